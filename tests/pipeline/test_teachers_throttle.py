"""Pauses, back-off and concurrency."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest

from dsgen.pipeline.teachers.throttle import LONGEST_BACKOFF, Throttle, backoff, exhausted, retry_after

NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


def test_back_off_is_a_function_of_the_request() -> None:
    first = [backoff("unit-1", attempt, 0.5) for attempt in range(1, 12)]
    assert first == [backoff("unit-1", attempt, 0.5) for attempt in range(1, 12)]
    assert first[0] == pytest.approx(0.04775, abs=1e-5)  # the same on every machine
    assert first != [backoff("unit-2", attempt, 0.5) for attempt in range(1, 12)]


def test_back_off_grows_with_full_jitter() -> None:
    for attempt, ceiling in [(1, 0.5), (2, 1.0), (5, 8.0), (40, LONGEST_BACKOFF)]:
        delays = [backoff(f"unit-{i}", attempt, 0.5) for i in range(300)]
        assert 0 <= min(delays) < 0.05 * ceiling
        assert 0.95 * ceiling < max(delays) <= ceiling


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "7", "retry-after-ms": "150"}, 0.15),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, lambda: NOON) == seconds


@pytest.mark.parametrize(
    ("left", "reset", "tokens", "seconds"),
    [
        pytest.param("1", "5s", 0, None, id="one left"),
        pytest.param("0", "5s", 0, 5.0, id="none left"),
        pytest.param("0", "20ms", 0, 0.02, id="milliseconds"),
        pytest.param("0", "6m0s", 0, 60.0, id="never longer than a minute"),
        pytest.param("0", "1.5", 0, 1.5, id="plain seconds"),
        pytest.param("0", "2026-03-01T12:00:30Z", 0, None, id="a point in time"),
        pytest.param("0", "", 0, None, id="no reset"),
        pytest.param("", "5s", 0, None, id="no remaining"),
    ],
)
def test_quotas(left: str, reset: str, tokens: int, seconds: float | None) -> None:
    for quota in ("requests", "tokens"):
        headers = {f"x-ratelimit-remaining-{quota}": left, f"x-ratelimit-reset-{quota}": reset}
        assert exhausted(headers, tokens) == seconds


def test_a_token_quota_is_used_up_when_the_next_call_does_not_fit() -> None:
    headers = {"x-ratelimit-remaining-tokens": "900", "x-ratelimit-reset-tokens": "3s"}
    assert exhausted(headers, 900) is None
    assert exhausted(headers, 901) == 3.0


async def test_retries_go_first() -> None:
    throttle = Throttle(1)
    await throttle.acquire()
    order: list[str] = []

    async def enter(name: str, retry: bool) -> None:
        await throttle.acquire(retry=retry)
        order.append(name)
        throttle.release()

    tasks = [asyncio.create_task(enter(name, name == "retry")) for name in ("first", "second", "retry")]
    await asyncio.sleep(0)
    throttle.release()
    await asyncio.gather(*tasks)
    assert order == ["retry", "first", "second"]
    assert throttle.active == 0


async def test_one_cut_for_calls_that_were_on_their_way_together() -> None:
    throttle = Throttle(16)
    tickets = [await throttle.acquire() for _ in range(16)]
    for ticket in tickets:
        throttle.limited(ticket)
        throttle.release()
    assert throttle.limit == 8
    throttle.limited(await throttle.acquire())
    assert throttle.limit == 4
    for _ in range(4):
        throttle.succeeded()
    assert 4.8 < throttle.limit < 5
    for _ in range(1000):
        throttle.succeeded()
    assert throttle.limit == 16
    for _ in range(20):
        throttle.limited(throttle._cuts)
    assert throttle.limit == 1


async def test_a_cancelled_wait_takes_no_slot() -> None:
    throttle = Throttle(1)
    await throttle.acquire()
    waiting = [asyncio.create_task(throttle.acquire()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    throttle.release()  # admits the second, which is cancelled before it runs
    waiting[1].cancel()
    await asyncio.gather(*waiting[:2], return_exceptions=True)
    await asyncio.wait_for(waiting[2], 1)
    assert throttle.active == 1


async def test_a_pause_holds_and_ends() -> None:
    throttle = Throttle(2)
    clock = asyncio.get_running_loop().time
    began = clock()
    throttle.pause(0.05)
    throttle.pause(0.02)
    await asyncio.gather(throttle.acquire(), throttle.acquire())
    assert clock() - began >= 0.049
    throttle.close()
