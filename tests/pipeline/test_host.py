"""An engine in a process of its own: it answers, its death is told, and nothing that it has started stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dsgen.pipeline.core.candidate import Message, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.engine import host, reaper
from dsgen.pipeline.engine.host import ProcessEngine
from dsgen.pipeline.teachers.config import PythonConfig

REQUEST = Request("r", (Message("user", "1 + 1"),), n=2, seed=7)


@pytest.fixture(autouse=True)
def _stand_in_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))


def engine(target: str = "stand_in:StandIn", **options: Any) -> ProcessEngine:
    return ProcessEngine(PythonConfig(target=target, model="seeded", slots=4, options=options))


@pytest.fixture
async def with_children() -> AsyncIterator[ProcessEngine]:
    made = engine(children=2)
    await made.start()
    yield made
    await made.close()


def family(of: ProcessEngine) -> list[psutil.Process]:
    assert of.process is not None
    host_process = psutil.Process(of.process.pid)
    found = host_process.children(recursive=True)
    assert len(found) == 2
    return [host_process, *found]


async def gone(processes: list[psutil.Process]) -> bool:
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, 20)
    return not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]


async def test_it_answers_and_the_same_again() -> None:
    made = engine()
    await made.start()
    first, second = await asyncio.gather(made.complete([REQUEST]), made.complete([REQUEST]))
    assert first == second
    assert len(first[0].completions) == 2
    assert await made.report() == {"asked": 2}
    await made.close()


async def test_what_an_engine_has_started_ends_with_it(with_children: ProcessEngine) -> None:
    started = family(with_children)
    await with_children.close()
    assert await gone(started)


async def test_what_a_killed_engine_has_started_ends_too(with_children: ProcessEngine) -> None:
    started = family(with_children)
    started[0].kill()
    assert await gone(started)
    with pytest.raises(EngineLost):
        await with_children.complete([REQUEST])


async def test_its_death_is_told_to_all_who_wait_and_a_fresh_one_serves() -> None:
    made = engine(seconds=600.0)
    await made.start()
    waiting = [asyncio.ensure_future(made.complete([REQUEST])) for _ in range(3)]
    await asyncio.sleep(0)
    assert made.process is not None
    made.process.send_signal(signal.SIGKILL)
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(t) for t in told] == [EngineLost] * 3
    assert "signal 9" in str(told[0])
    await made.start()
    assert await made.report() == {"asked": 0}
    await made.close()


async def test_an_interrupt_waits_for_no_answer(with_children: ProcessEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cancels all tasks, the one that reads answers among them."""
    monkeypatch.setattr(host, "_CLOSE_LIMIT_S", 1e9)
    started = family(with_children)
    assert with_children._reading is not None
    with_children._reading.cancel()
    await asyncio.gather(with_children._reading, return_exceptions=True)
    await with_children.close()
    assert await gone(started)


async def test_a_class_that_is_not_there_is_told() -> None:
    made = engine("no_such_module:Teacher")
    with pytest.raises(TeacherError, match="no_such_module:Teacher cannot be imported"):
        await made.start()
    await made.close()


def test_the_reaper_finds_what_was_started_after_its_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver and its host are gone at once, and with them the only ties to what the host had just started."""
    host_program = "import subprocess, sys; sys.stdin.readline(); p = subprocess.Popen(['sleep', '600']); print(p.pid)"
    host_program += "; sys.stdout.flush(); sys.stdin.readline()"
    driver_program = (
        "import subprocess, sys; h = subprocess.Popen([sys.executable, '-c', sys.argv[1]], start_new_session=True); "
        "print(h.pid, flush=True); h.wait()"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", driver_program, host_program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert driver.stdin is not None and driver.stdout is not None
    host_pid = int(driver.stdout.readline())
    looked = threading.Event()
    look = reaper._descendants

    def told(process: psutil.Process) -> list[psutil.Process]:
        found = look(process)
        looked.set()
        return found

    monkeypatch.setattr(reaper, "_descendants", told)
    monkeypatch.setattr(reaper, "_LOOK_EVERY_S", 3.0)
    watching = threading.Thread(target=reaper.watch, args=(driver.pid,))
    watching.start()
    looked.wait()
    driver.stdin.write("go\n")
    driver.stdin.flush()
    late = psutil.Process(int(driver.stdout.readline()))
    driver.kill()
    os.kill(host_pid, signal.SIGKILL)
    driver.communicate()
    watching.join()
    _, alive = psutil.wait_procs([late], 20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
