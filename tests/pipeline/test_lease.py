"""The lease: one driver at a time, the dead are succeeded, and who was succeeded commits no more."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

import orjson
import pytest

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.lease import PATH, Lease, LeaseLost, Owner, started
from dsgen.pipeline.engine.store import Store, open_store

HERE = Owner("here", "boot 1", 10, "100", "t1")
THERE = Owner("there", "boot 2", 10, "100", "t2")


class Time:
    """A clock that only sleeping moves; whatever is planned happens on the way."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.planned: list[tuple[float, Callable[[], object]]] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [work for when, work in self.planned if when <= self.now]
        self.planned = [(when, work) for when, work in self.planned if when > self.now]
        for work in due:
            work()


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid4().hex}")


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def make(store: Store, time: Time, said: list[str]) -> Callable[..., Lease]:
    def make(me: Owner, *, alive: dict[int, str] | None = None, ttl: float = 30) -> Lease:
        return Lease(
            store,
            ttl=ttl,
            notice=said.append,
            me=me,
            clock=lambda: time.now,
            sleep=time.sleep,
            start_of=(alive or {}).get,
        )

    return make


def test_every_owner_raises_the_epoch(make: Callable[..., Lease], said: list[str]) -> None:
    for epoch in (1, 2, 3):
        lease = make(replace(HERE, token=f"t{epoch}"))
        assert lease.acquire() == epoch
        lease.renew()
        lease.check()
        lease.release()
        with pytest.raises(LeaseLost):
            lease.check()
    assert not said


def test_a_dead_process_of_this_machine_is_succeeded_at_once(
    make: Callable[..., Lease], time: Time, said: list[str]
) -> None:
    make(HERE).acquire()
    assert make(replace(HERE, pid=11, token="t2"), alive={11: "100"}).acquire() == 2
    assert time.now == 1000
    assert not said


def test_a_process_id_that_is_used_again_is_not_the_owner(make: Callable[..., Lease], time: Time) -> None:
    make(HERE).acquire()
    assert make(replace(HERE, pid=11, token="t2"), alive={10: "later", 11: "100"}).acquire() == 2
    assert time.now == 1000


def test_a_live_process_of_this_machine_is_not_disturbed(make: Callable[..., Lease], time: Time) -> None:
    first = make(HERE)
    first.acquire()
    message = r"another run \(host here, pid 10\) is writing to memory://.*; wait for it to end, or stop it"
    with pytest.raises(DatasetError, match=message):
        make(replace(HERE, pid=11, token="t2"), alive={10: "100"}).acquire()
    assert time.now == 1000
    first.check()


def test_an_owner_elsewhere_that_beats_is_not_disturbed(make: Callable[..., Lease], time: Time) -> None:
    first = make(THERE)
    first.acquire()
    # The last moment: it may have been long ago that it beat before.
    time.planned = [(1029, first.renew)]
    with pytest.raises(DatasetError, match=r"another run \(host there, pid 10\)"):
        make(HERE).acquire()
    assert time.now <= 1030
    first.check()


def test_an_owner_elsewhere_that_gives_no_sign_is_succeeded(
    make: Callable[..., Lease], time: Time, said: list[str]
) -> None:
    first = make(THERE)
    first.acquire()
    second = make(HERE, ttl=5)
    assert second.acquire() == 2
    assert time.now == pytest.approx(1030), "for as long as the owner promised, not the successor"
    assert "watching for 30 s" in said[0]
    assert "taking over" in said[1]
    lost = r"another driver \(host here, pid 10\) took over; this one stops; nothing is lost"
    with pytest.raises(LeaseLost, match=lost):
        first.check()
    with pytest.raises(LeaseLost, match=lost):
        first.renew()
    first.release()
    second.check()


def test_equal_names_and_process_ids_on_two_machines_are_two_drivers(make: Callable[..., Lease], time: Time) -> None:
    """Containers are often named alike and have small process ids."""
    make(replace(THERE, host="here")).acquire()
    assert make(HERE, alive={}).acquire() == 2
    assert time.now > 1000


def test_given_back_while_watched(make: Callable[..., Lease], time: Time) -> None:
    first = make(THERE)
    first.acquire()
    time.planned = [(1007, first.release)]
    assert make(HERE).acquire() == 2
    assert time.now < 1020


def test_of_two_that_watch_a_dead_owner_the_second_finds_the_first(
    store: Store, make: Callable[..., Lease], time: Time
) -> None:
    make(THERE).acquire()
    third = asdict(replace(THERE, host="third", place="boot 3", token="t3"))

    def third_beats(beat: int) -> None:
        store.replace(PATH, orjson.dumps({"epoch": 2, "owner": third, "beat": beat, "ttl": 30}))

    time.planned = [(1000.0 + 9 * beat, lambda beat=beat: third_beats(beat)) for beat in range(1, 10)]
    with pytest.raises(DatasetError, match="host third"):
        make(HERE).acquire()
    assert orjson.loads(store.read(PATH))["owner"] == third


def test_of_many_that_start_at_once_one_writes(store: Store) -> None:
    leases = [Lease(store, me=replace(HERE, pid=n, token=str(n)), start_of=lambda _: "100") for n in range(8)]
    barrier = threading.Barrier(len(leases))

    def start(lease: Lease) -> int | str:
        barrier.wait()
        try:
            return lease.acquire()
        except DatasetError as error:
            return str(error)

    with ThreadPoolExecutor(len(leases)) as pool:
        outcomes = list(pool.map(start, leases))
    assert outcomes.count(1) == 1
    assert sum(isinstance(o, str) and "another run (host here" in o for o in outcomes) == len(leases) - 1


@pytest.mark.parametrize("step", ["acquire", "renew"])
def test_a_write_whose_answer_was_lost_is_known_again(store: Store, make: Callable[..., Lease], step: str) -> None:
    """A client repeats a write when the answer does not come, and is then told that it came too late."""
    lease = make(HERE)
    create, swap = store.create, store.swap
    if step == "renew":
        lease.acquire()
    store.create = lambda *a: create(*a) and False  # type: ignore[method-assign]
    store.swap = lambda *a: swap(*a) and False  # type: ignore[method-assign]
    if step == "acquire":
        assert lease.acquire() == 1
    lease.renew()
    lease.check()


async def test_beats_go_on_and_a_lost_lease_ends_them(store: Store, make: Callable[..., Lease]) -> None:
    lease = make(HERE, ttl=0.03)
    lease.acquire()
    beating = asyncio.create_task(lease.keep())
    while orjson.loads(store.read(PATH))["beat"] < 3:
        await asyncio.sleep(0.005)
    assert not beating.done()
    store.replace(PATH, orjson.dumps({"epoch": 2, "owner": None, "beat": 0, "ttl": 30}))
    with pytest.raises(LeaseLost):
        await beating


async def test_a_store_out_of_reach_is_tried_again_for_a_while(
    store: Store, make: Callable[..., Lease], time: Time
) -> None:
    lease = make(HERE, ttl=0.03)
    lease.acquire()
    read = store.read_versioned
    failures = 0

    def unreachable(path: str) -> tuple[bytes, str]:
        nonlocal failures
        failures += 1
        if failures > 5:
            time.now += 1
        elif failures == 3:
            return read(path)
        raise DatasetError("no connection")

    store.read_versioned = unreachable  # type: ignore[method-assign]
    with pytest.raises(DatasetError, match="no connection"):
        await lease.keep()
    assert failures == 6


def test_the_start_of_a_process_tells_the_living_from_the_dead() -> None:
    assert started(os.getpid()) is not None
    assert started(os.getpid()) == started(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert started(child.pid) is not None
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert started(child.pid) is None, "a zombie does not write"
    child.communicate()
    assert started(child.pid) is None


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_folder_is_free_the_moment_its_driver_is_dead(tmp_path: Path, rebooted: bool) -> None:
    code = (
        "import sys; from pathlib import Path; from dsgen.pipeline.engine.lease import Lease\n"
        "from dsgen.pipeline.engine.store import open_store\n"
        "print(Lease(open_store(sys.argv[1])).acquire(), flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-P", "-c", code, str(tmp_path / "out")]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"1\n"
    store = open_store(tmp_path / "out")
    said: list[str] = []
    with pytest.raises(DatasetError, match=rf"another run \(host .*, pid {holder.pid}\) is writing to {tmp_path}"):
        Lease(store, notice=said.append).acquire()
    holder.kill()
    holder.communicate()
    if rebooted:
        state = orjson.loads(store.read(PATH))
        state["owner"]["place"] = "the boot before"
        store.replace(PATH, orjson.dumps(state))
    lease = Lease(store, notice=said.append)
    assert lease.acquire() == 2
    lease.release()
    assert not said
