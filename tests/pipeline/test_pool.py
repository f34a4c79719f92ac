"""The pool of engines on a simulated clock: admission, order, deaths, poison rows, drained engines."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_clock import simulate

from dsgen.pipeline.core.candidate import Completion, Failure, Message, Reply, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.engine.pool import Pool


class Engine:
    """An engine with slots, lengths and deaths made for the test: a token takes a second, whoever waits."""

    name = model = "scripted"
    revision = ""

    def __init__(self, slots: int, tokens: Callable[[Request], int] = lambda _: 10) -> None:
        self.slots = slots
        self.tokens = tokens
        self.order: list[str] = []
        self.asked: Counter[str] = Counter()
        self.most = 0
        self.starts = self.deaths = 0
        self.dies: Callable[[Request], bool] = lambda _: False
        self.failure: Failure | None = None
        self.refuses_to_start = 0
        self._free = asyncio.Semaphore(slots)
        self._held: set[asyncio.Future[None]] = set()

    async def start(self) -> None:
        if self.starts and self.refuses_to_start:
            self.refuses_to_start -= 1
            raise TeacherError("no GPU left")
        self.starts += 1
        self._free = asyncio.Semaphore(self.slots)

    async def report(self) -> dict[str, object]:
        return {}

    async def close(self) -> None: ...

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        (request,) = requests
        self.asked[request.id] += 1
        dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._held.add(dead)
        self.most = max(self.most, len(self._held))
        work = asyncio.ensure_future(self._work(request))
        try:
            await asyncio.wait({work, dead}, return_when=asyncio.FIRST_COMPLETED)
            if dead.done():
                raise EngineLost("killed")
            return [await work]
        finally:
            work.cancel()
            self._held.discard(dead)

    async def _work(self, request: Request) -> Reply:
        async with self._free:
            self.order.append(request.id)
            count = self.tokens(request)
            if self.dies(request):
                await asyncio.sleep(count / 2)
                self.die()
                await asyncio.sleep(1e9)
            await asyncio.sleep(count)
        if self.failure:
            return Reply(request.id, failure=self.failure)
        return Reply(request.id, (Completion(f"to {request.id}", completion_tokens=count),))

    def die(self) -> None:
        alive = [dead for dead in self._held if not dead.done()]
        self.deaths += bool(alive)
        for dead in alive:
            dead.set_result(None)


def request(i: int, *, size: float = 1.0, group: str = "", purpose: Any = "solve") -> Request:
    return Request(f"r{i}", (Message("user", str(i)),), size=size, group=group, purpose=purpose)


def serve(pool: Pool, requests: Sequence[Request], last: bool = True) -> list[Reply]:
    async def work() -> list[Reply]:
        await pool.start()
        asking = [asyncio.ensure_future(pool.ask(r)) for r in requests]
        await asyncio.sleep(0)
        if last:
            pool.last_rows()
        replies = await asyncio.gather(*asking)
        await pool.close()
        return replies

    return simulate(work())


def test_every_row_gets_its_own_reply_and_slots_are_overbooked_a_little() -> None:
    engine = Engine(20)
    replies = serve(Pool([engine]), [request(i) for i in range(300)])
    assert [r.completions[0].text for r in replies] == [f"to r{i}" for i in range(300)]
    assert engine.most == 23
    assert set(engine.asked.values()) == {1}


def test_engines_share_the_rows_by_their_slots() -> None:
    small, large = Engine(4), Engine(16)
    serve(Pool([small, large]), [request(i) for i in range(400)])
    assert len(small.order) == pytest.approx(80, abs=8)
    assert len(large.order) == pytest.approx(320, abs=8)


def test_judges_and_canaries_go_before_solutions() -> None:
    engine = Engine(1)
    rows = [request(i) for i in range(20)] + [request(100, purpose="judge"), request(101, purpose="canary")]
    serve(Pool([engine]), rows)
    # Two rows were handed out before the judge's came: the slot's and the overbooked one.
    assert set(engine.order[2:4]) == {"r100", "r101"}


def test_buckets_go_in_order_and_long_rows_first_within_each() -> None:
    engine = Engine(1)

    async def work() -> None:
        pool = Pool([engine])
        await pool.start()
        asking = []
        for bucket in (0, 1):
            for i in range(5):
                asking.append(asyncio.ensure_future(pool.ask(request(bucket * 10 + i, size=1.0 + i), bucket)))
        await asyncio.gather(*asking)
        await pool.close()

    simulate(work())
    assert engine.order[2:] == ["r4", "r3", "r2", "r14", "r13", "r12", "r11", "r10"]


def test_long_rows_of_all_buckets_go_first_once_the_last_is_open() -> None:
    engine = Engine(1)

    async def work() -> None:
        pool = Pool([engine])
        await pool.start()
        asking = [asyncio.ensure_future(pool.ask(request(i, size=1.0 + i), bucket=i // 5)) for i in range(10)]
        await asyncio.sleep(0)
        pool.last_rows()
        await asyncio.gather(*asking)
        await pool.close()

    simulate(work())
    assert engine.order[2:] == [f"r{i}" for i in range(9, 1, -1)]


def test_lengths_are_learnt_from_groups() -> None:
    """Nothing but the group's name tells which rows are long; the drain shows that it was learnt."""
    lengths = {f"r{i}": 1000 if i % 10 == 3 else 10 for i in range(400)}
    engine = Engine(4, lambda r: lengths[r.id])
    pool = Pool([engine])
    serve(pool, [request(i, group=f"g{i % 10}") for i in range(400)], last=False)
    assert pool.lengths.predict(request(0, group="g3")) > 5 * pool.lengths.predict(request(0, group="g1"))


@pytest.mark.parametrize("deaths", [1, 2, 5])
def test_an_engine_that_dies_is_started_again_and_no_row_is_lost(deaths: int) -> None:
    engine = Engine(8)
    left = [deaths]

    def dies(r: Request) -> bool:
        if left[0] and random.Random(r.id).random() < 0.1:
            left[0] -= 1
            return True
        return False

    engine.dies = dies
    pool = Pool([engine], attempts=4)
    replies = serve(pool, [request(i) for i in range(200)])
    assert all(r.failure is None for r in replies)
    assert engine.deaths >= 1
    assert engine.starts == 1 + engine.deaths
    assert pool.requeued > 0


def test_a_row_that_kills_every_engine_is_set_aside_alone() -> None:
    """Its neighbours die with it each time and are innocent."""
    engines = [Engine(16), Engine(16)]
    for engine in engines:
        engine.dies = lambda r: r.id == "r50"
    replies = serve(Pool(engines, attempts=3), [request(i) for i in range(300)])
    failed = {r.request_id: r.failure for r in replies if r.failure is not None}
    assert set(failed) == {"r50"}
    assert failed["r50"].reason == "engine_lost"
    assert "this row alone" in failed["r50"].detail


@given(poison=st.sets(st.integers(0, 99), max_size=4), slots=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_only_poison_rows_are_ever_set_aside(poison: set[int], slots: int, seed: int) -> None:
    rng = random.Random(seed)
    engine = Engine(slots, lambda _: rng.randint(1, 50))
    engine.dies = lambda r: int(r.id[1:]) in poison
    replies = serve(Pool([engine], attempts=3), [request(i) for i in range(100)])
    assert {int(r.request_id[1:]) for r in replies if r.failure} == poison


def test_an_engine_that_does_not_come_back_is_given_up_and_the_others_do_its_rows() -> None:
    bad, good = Engine(4), Engine(4)
    bad.refuses_to_start = 99
    bad.dies = lambda r: True
    replies = serve(Pool([bad, good]), [request(i) for i in range(60)])
    assert all(r.failure is None for r in replies)


def test_without_any_engine_left_everybody_is_told() -> None:
    bad = Engine(4)
    bad.refuses_to_start = 99
    bad.dies = lambda r: r.id == "r7"
    with pytest.raises(TeacherError, match=r"no engine is left .* no GPU left"):
        serve(Pool([bad]), [request(i) for i in range(60)])


class Stillborn(Engine):
    """Is lost so many times while it starts, as on a node that is gone."""

    def __init__(self, often: int) -> None:
        super().__init__(4)
        self.often = often

    async def start(self) -> None:
        if self.often:
            self.often -= 1
            raise EngineLost("its node is gone")
        await super().start()


def test_an_engine_that_is_lost_while_it_starts_is_started_again() -> None:
    replies = serve(Pool([Engine(4), Stillborn(2)], attempts=3), [request(i) for i in range(20)])
    assert all(r.failure is None for r in replies)


def test_an_engine_that_is_lost_at_every_start_ends_the_run() -> None:
    with pytest.raises(TeacherError, match="died 3 times while it started; the last time: its node is gone"):
        serve(Pool([Engine(4), Stillborn(99)], attempts=3), [request(0)])


def test_a_drained_engine_gets_no_more_rows() -> None:
    first, second = Engine(4), Engine(4)

    async def work() -> None:
        pool = Pool([first, second])
        await pool.start()
        asking = [asyncio.ensure_future(pool.ask(request(i))) for i in range(100)]
        await asyncio.sleep(25)
        had = sum(first.asked.values())
        pool.drain(pool.seats[0], "failed its canaries")
        await asyncio.gather(*asking)
        assert sum(first.asked.values()) == had
        with pytest.raises(TeacherError, match="failed its canaries"):
            pool.drain(pool.seats[1], "failed its canaries")
        await pool.close()

    simulate(work())


def test_an_endpoint_that_is_gone_ends_the_run() -> None:
    engine = Engine(4)
    engine.failure = Failure("connection", "refused", retryable=True)
    with pytest.raises(TeacherError, match=r"20 calls in a row found no endpoint \(refused\)"):
        serve(Pool([engine]), [request(i) for i in range(100)])


def test_a_teacher_that_raises_costs_one_row() -> None:
    class Buggy(Engine):
        async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
            if requests[0].id == "r3":
                raise ZeroDivisionError("a bug")
            return await super().complete(requests)

    replies = serve(Pool([Buggy(4)]), [request(i) for i in range(20)])
    failed = [r for r in replies if r.failure]
    assert [r.request_id for r in failed] == ["r3"]
    assert failed[0].failure is not None and "a bug" in failed[0].failure.detail


def test_a_failure_that_may_pass_is_asked_again_a_few_times() -> None:
    class Moody(Engine):
        async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
            (reply,) = await super().complete(requests)
            often = {"r1": 2, "r2": 99}.get(reply.request_id, 0)
            if self.asked[reply.request_id] <= often:
                return [Reply(reply.request_id, failure=Failure("interrupted", "", retryable=True))]
            return [reply]

    engine = Moody(2)
    replies = serve(Pool([engine], retries=2), [request(i) for i in range(5)])
    assert [r.request_id for r in replies if r.failure] == ["r2"]
    assert [engine.asked[f"r{i}"] for i in range(5)] == [1, 3, 3, 1, 1]


def test_occupancy_counts_busy_slots() -> None:
    engine = Engine(10)
    pool = Pool([engine])

    async def work() -> float:
        await pool.start()
        await asyncio.gather(*[pool.ask(request(i)) for i in range(5)])
        busy = pool.seats[0].occupancy()
        await pool.close()
        return busy

    assert simulate(work()) == pytest.approx(0.5)
