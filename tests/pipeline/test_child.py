"""The watcher of a worker process: limits are kept by killing, culprits are known, nothing else is lost."""

import asyncio
import mmap
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from dsgen.pipeline.engine.child import Cell, Child, TaskUserError, WorkerError
from dsgen.pipeline.engine.work import Task
from dsgen.pipeline.workflow import parse

STUBBORN = ("-P", str(Path(__file__).with_name("stubborn_worker.py")))
WORKFLOW = parse(
    {
        "name": "w",
        "seed": 1,
        "sources": [{"kind": "templates", "seeds": 1, "only": ["geometry/fenced_garden"]}],
        "validators": [{"kind": "answer"}],
        "engine": {"row_limit_s": 1.0, "attempts": 3},
    },
    "w",
)


@pytest.fixture
def child():
    made = Child(WORKFLOW, "w", STUBBORN)
    yield made
    made.close()


async def test_a_unit_that_hangs_is_killed_and_named_and_the_rest_is_done(child: Child) -> None:
    began = time.monotonic()
    done, task = await child.do(Task("any", 0, (11, 13, 14)))
    assert done == [11, 14]
    reason, detail = task.poison[13]
    assert (set(task.poison), reason) == ({13}, "timeout")
    assert detail.startswith("1 s\n")
    assert "stubborn_worker.py" in detail  # where it hung
    assert time.monotonic() - began < 30


async def test_a_unit_that_kills_its_worker_is_tried_three_times(child: Child) -> None:
    done, task = await child.do(Task("any", 0, (16, 17, 18)))
    assert done == [16, 18]
    assert task.poison == {17: ("signal_9", "killed its worker 3 times")}


async def test_a_worker_that_dies_once_loses_nothing(
    child: Child, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUBBORN_ONCE", str(tmp_path / "once"))
    done, task = await child.do(Task("any", 0, (18, 19, 20)))
    assert done == [18, 19, 20]
    assert not task.poison


async def test_a_disk_that_fails_is_the_users_to_mend(child: Child) -> None:
    with pytest.raises(TaskUserError, match=r"cannot read /somewhere/part.parquet \(No space left on device\)"):
        await child.do(Task("any", 0, (23,)))


async def test_a_bug_comes_back_with_its_traceback_and_the_worker_lives(child: Child) -> None:
    with pytest.raises(WorkerError, match="ZeroDivisionError: a bug"):
        await child.do(Task("any", 0, (29,)))
    assert child.process is not None
    assert child.process.poll() is None
    assert await child.do(Task("any", 0, (1,))) == ([1], Task("any", 0, (1,)))


async def test_close_ends_the_process(child: Child) -> None:
    await child.do(Task("any", 0, (1,)))
    assert child.process is not None
    pid = child.process.pid
    child.close()
    await asyncio.sleep(0)
    assert not psutil.pid_exists(pid)


def test_a_watcher_never_sees_half_a_mark() -> None:
    """Zeros between two marks would be unit 0, begun at the beginning of time: an innocent row in quarantine."""
    cell = Cell(mmap.mmap(-1, mmap.PAGESIZE))
    cell.mark(1000)
    began = time.monotonic()
    writer = os.fork()
    if writer == 0:
        unit = 1000
        while True:
            cell.mark(unit)
            unit += 1
    try:
        last = 1000
        for _ in range(300_000):
            unit, since = cell.read()
            assert unit >= last
            assert since >= began - 1
            last = unit
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    assert last > 1000
