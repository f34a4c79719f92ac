"""The window over buckets and the lending of workers, on a simulated clock."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_clock import simulate

from dsgen.pipeline.engine.schedule import Lanes, Window, each


@given(
    rows=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    bound=st.integers(1, 120),
    seed=st.randoms(use_true_random=False),
)
@settings(max_examples=80, deadline=None)
def test_open_rows_never_exceed_the_bound_but_for_one_bucket(rows: list[int], bound: int, seed: object) -> None:
    done: list[int] = []

    async def work() -> None:
        window = Window(bound)

        async def make(bucket: int) -> None:
            await asyncio.sleep(seed.random())  # type: ignore[attr-defined]
            assert window.open_rows <= bound or len(window._held) == 1
            done.append(bucket)
            window.leave(bucket)

        await each(range(len(rows)), make, admit=lambda b: window.admit(b, rows[b]))
        assert window.open_rows == window.open_bytes == 0

    simulate(work())
    assert sorted(done) == list(range(len(rows)))


def test_bytes_hold_up_the_next_bucket() -> None:
    order: list[str] = []

    async def work() -> None:
        window = Window(rows=1000, size=100)

        async def make(bucket: int) -> None:
            order.append(f"open {bucket}")
            window.grow(bucket, 120)
            await asyncio.sleep(1)
            order.append(f"done {bucket}")
            window.leave(bucket)

        async def admit(bucket: int) -> None:
            await asyncio.sleep(0)  # lets the one before grow first
            await window.admit(bucket, 1)

        await each(range(3), make, admit=admit)
        assert window.most_bytes == 120

    simulate(work())
    assert order == ["open 0", "done 0", "open 1", "done 1", "open 2", "done 2"]


def test_it_is_told_when_all_are_open_and_before_they_are_done() -> None:
    told: list[float] = []

    async def work() -> None:
        window = Window(10)
        clock = asyncio.get_running_loop().time

        async def make(bucket: int) -> None:
            await asyncio.sleep(10)
            window.leave(bucket)

        await each(range(4), make, admit=lambda b: window.admit(b, 5), opened_all=lambda: told.append(clock()))
        assert clock() == 20

    simulate(work())
    assert told == [10]


def test_the_first_error_ends_all() -> None:
    ended: list[int] = []

    async def work() -> None:
        async def make(item: int) -> None:
            try:
                await asyncio.sleep(item)
                if item == 3:
                    raise ValueError("three")
            finally:
                ended.append(item)

        async def admit(_: int) -> None: ...

        await each(range(1, 9), make, admit=admit)

    with pytest.raises(ExceptionGroup) as raised:
        simulate(work())
    assert [str(e) for e in raised.value.exceptions] == ["three"]
    assert sorted(ended) == list(range(1, 9))


def test_urgent_work_gets_the_next_worker() -> None:
    order: list[str] = []

    async def work() -> None:
        lanes = Lanes(["worker"])

        async def do(name: str, urgent: bool) -> None:
            worker = await lanes.take(urgent=urgent)
            order.append(name)
            await asyncio.sleep(1)
            lanes.give(worker)

        names = [("a", False), ("b", False), ("c", True), ("d", True)]
        await asyncio.gather(*[do(*n) for n in names])

    simulate(work())
    assert order == ["a", "c", "d", "b"]


def test_a_worker_is_not_lost_with_the_task_that_waited_for_it() -> None:
    async def work() -> None:
        lanes = Lanes(["worker"])
        worker = await lanes.take(urgent=False)
        waiting = asyncio.ensure_future(lanes.take(urgent=False))
        await asyncio.sleep(0)
        lanes.give(worker)  # lent to the one who waits, who is cancelled before it learns of that
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert await asyncio.wait_for(lanes.take(urgent=True), 1) == "worker"

    simulate(work())
