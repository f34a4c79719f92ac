"""The cache: which kept reply serves which limit, one call for equal questions, and failures that are asked again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.candidate import Completion, Failure, Message, Reply, Request, Sampling
from dsgen.pipeline.engine.cache import ReplyCache, serves
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.store import Store, open_store

WHO = ("model", "r1")


def request(text: str = "2 + 2?", limit: int = 100, **change: Any) -> Request:
    return replace(Request("u1", (Message("user", text),), Sampling(max_tokens=limit), seed=7), **change)


def reply(text: str = "4", tokens: int = 3, finish: str = "stop", samples: int = 1) -> Reply:
    return Reply("u1", (Completion(text, "two and two", finish, 5, tokens, -1.5),) * samples)


REPLY = reply()
CUT = reply("4 is", 100, "length")


@pytest.fixture
def store() -> Store:
    return open_store(f"memory://{uuid4().hex}")


@pytest.fixture
async def cache(store: Store) -> AsyncIterator[ReplyCache]:
    cache = opened(store)
    yield cache
    await cache.close()


def opened(store: Store, **options: Any) -> ReplyCache:
    return ReplyCache(Journal(store, flush_s=0.001), **options)


async def kept(store: Store, *made: tuple[Request, Reply]) -> None:
    """An earlier run's replies."""
    cache = opened(store)
    for asked, answered in made:
        await cache.put(asked, answered, *WHO)
    await cache.close()


async def test_a_reply_is_found_in_memory_and_after_a_restart_in_the_journal(store: Store) -> None:
    cache = opened(store)
    assert await cache.find(request(), *WHO) is None
    await cache.put(request(), REPLY, *WHO)
    other_unit = request(id="other unit")
    assert await cache.find(other_unit, *WHO) == replace(REPLY, request_id="other unit")
    assert cache.hits == {"memory": 1, "journal": 0, "redis": 0}
    assert cache.misses == 1
    await cache.close()
    cache = opened(store)
    assert await cache.find(request(), *WHO) == REPLY
    assert await cache.find(request(), *WHO) == REPLY
    assert cache.hits == {"memory": 1, "journal": 1, "redis": 0}
    await cache.close()


@pytest.mark.parametrize(
    ("other", "who"),
    [
        pytest.param(request("3 + 3?"), WHO, id="prompt"),
        pytest.param(request(seed=8), WHO, id="seed"),
        pytest.param(request(n=2), WHO, id="n"),
        pytest.param(request(sampling=Sampling(temperature=0.1, max_tokens=100)), WHO, id="temperature"),
        pytest.param(request(), ("model 2", "r1"), id="model"),
        pytest.param(request(), ("model", "r2"), id="revision"),
    ],
)
async def test_what_a_reply_depends_on_is_in_its_key(store: Store, other: Request, who: tuple[str, str]) -> None:
    await kept(store, (request(), REPLY))
    cache = opened(store)
    assert await cache.find(other, *who) is None
    await cache.close()


async def test_failures_are_asked_again(store: Store) -> None:
    await kept(store, (request(), Reply("u1", failure=Failure("http_500"))))
    assert store.list("") == []


@pytest.mark.parametrize(
    ("made", "tokens", "finish", "samples", "exact", "asked", "served"),
    [
        pytest.param(100, 3, "stop", 1, None, 100, True, id="same limit"),
        pytest.param(100, 100, "length", 1, None, 100, True, id="same limit, cut off"),
        pytest.param(100, 3, "stop", 1, None, 200, True, id="higher limit"),
        pytest.param(100, 100, "length", 1, None, 200, False, id="higher limit, cut off: asked again"),
        pytest.param(100, 3, "stop", 1, None, 3, True, id="lower limit, fits"),
        pytest.param(100, 3, "stop", 1, None, 2, False, id="lower limit, too long"),
        pytest.param(100, 100, "length", 1, None, 50, False, id="lower limit, cut off"),
        pytest.param(100, 0, "stop", 1, None, 50, False, id="lower limit, tokens not counted"),
        pytest.param(100, 3, "stop", 4, None, 12, True, id="means: all in one would fit"),
        pytest.param(100, 3, "stop", 4, None, 11, False, id="means: one may have had all"),
        pytest.param(100, 3, "stop", 4, True, 3, True, id="own counts of each"),
        pytest.param(100, 3, "stop", 4, True, 2, False, id="own counts, too long"),
    ],
)
async def test_which_limits_a_reply_serves(
    store: Store, made: int, tokens: int, finish: str, samples: int, exact: bool | None, asked: int, served: bool
) -> None:
    answered = reply(tokens=tokens, finish=finish, samples=samples)
    cache = opened(store)
    await cache.put(request(limit=made), answered, *WHO, exact=bool(exact))
    assert await cache.find(request(limit=asked), *WHO) == (answered if served else None)
    await cache.close()
    cache = opened(store)
    assert await cache.find(request(limit=asked), *WHO) == (answered if served else None)
    await cache.close()


async def test_one_truncated_sample_has_the_request_asked_again(cache: ReplyCache) -> None:
    mixed = Reply("u1", (*REPLY.completions, *CUT.completions))
    await cache.put(request(), mixed, *WHO)
    assert await cache.find(request(limit=200), *WHO) is None
    assert await cache.find(request(), *WHO) == mixed


async def test_a_whole_reply_supersedes_a_truncated_one_for_its_limit_and_only_there(store: Store) -> None:
    whole = reply("4 is what it is", 150)
    await kept(store, (request(), CUT), (request(limit=200), whole))
    for _ in range(2):
        cache = opened(store)
        assert await cache.find(request(limit=200), *WHO) == whole
        assert await cache.find(request(limit=300), *WHO) == whole
        assert await cache.find(request(), *WHO) == CUT, "a run with the old limit finds what it had"
        assert await cache.find(request(limit=120), *WHO) is None
        assert await cache.find(request(limit=200), *WHO) == whole
        await cache.close()


async def test_the_first_that_serves_stays_the_one_that_serves(store: Store) -> None:
    await kept(store, (request(), reply("first")))
    await kept(store, (request(), reply("second")), (request(limit=50), reply("third")))
    cache = opened(store)
    for limit in (50, 100, 150):
        found = await cache.find(request(limit=limit), *WHO)
        assert found is not None
        assert found.completions[0].text == "first"
    await cache.close()


RECORDS = st.fixed_dictionaries(
    {
        "key": st.just("k"),
        "limit": st.integers(1, 6),
        "exact": st.booleans(),
        "completions": st.lists(
            st.fixed_dictionaries(
                {"finish_reason": st.sampled_from(["stop", "length"]), "completion_tokens": st.integers(0, 6)}
            ),
            min_size=1,
            max_size=3,
        ),
    }
)


@settings(max_examples=300, deadline=None)
@given(record=RECORDS, limit=st.integers(1, 6))
def test_no_reply_serves_that_the_limit_might_have_made_another(record: dict[str, Any], limit: int) -> None:
    """Said the other way round: what would each sample have been under this limit?"""
    if not serves(record, limit) or limit == record["limit"]:
        return
    samples = record["completions"]
    assert all(s["finish_reason"] == "stop" for s in samples), "with more room it would have gone on"
    if limit < record["limit"]:
        total = sum(s["completion_tokens"] for s in samples)
        longest = max(s["completion_tokens"] for s in samples) if record["exact"] else total
        assert 0 < longest <= limit, "it might have been cut off"


async def test_memory_is_bounded_and_the_oldest_goes_first(store: Store) -> None:
    cache = opened(store, memory_bytes=5000)
    for i in range(10):
        await cache.put(request(str(i)), reply("x" * 800), *WHO)
        await cache.find(request("0"), *WHO)
    assert cache._held == sum(len(b) + 300 for b in cache._memory.values()) <= 5000
    assert cache.hits == {"memory": 10, "journal": 0, "redis": 0}, "what is used stays"
    await cache.find(request("1"), *WHO)
    assert cache.hits["journal"] == 1
    huge = reply("x" * 6000)
    await cache.put(request("huge"), huge, *WHO)
    assert len(cache._memory) > 1, "what would drive out all else is not held"
    assert await cache.find(request("huge"), *WHO) == huge
    await cache.close()


async def test_equal_questions_at_once_are_one_call(cache: ReplyCache) -> None:
    calls = 0

    async def ask() -> Reply:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return REPLY

    units = [request(id=f"u{i}") for i in range(20)]
    replies = await asyncio.gather(*[cache.reply(unit, *WHO, ask) for unit in units])
    assert replies == [REPLY, *(replace(REPLY, request_id=unit.id) for unit in units[1:])]
    assert calls == 1
    assert cache.hits["memory"] == 19
    assert cache.misses == 1
    assert cache._asked == {}, "nothing is held for a question that nobody waits for"


async def test_different_questions_do_not_wait_for_each_other(cache: ReplyCache) -> None:
    second_asked = asyncio.Event()

    async def first() -> Reply:
        await second_asked.wait()
        return REPLY

    async def second() -> Reply:
        second_asked.set()
        return REPLY

    async with asyncio.timeout(5):
        await asyncio.gather(cache.reply(request("a"), *WHO, first), cache.reply(request("b"), *WHO, second))


@pytest.mark.parametrize("fate", ["failure", "error", "cancelled"])
async def test_a_question_that_came_to_nothing_is_asked_by_the_next(cache: ReplyCache, fate: str) -> None:
    started, calls = asyncio.Event(), 0

    async def ask() -> Reply:
        nonlocal calls
        calls += 1
        if calls > 1:
            return REPLY
        started.set()
        await asyncio.sleep(3600 if fate == "cancelled" else 0.01)
        if fate == "error":
            raise RuntimeError("the engine fell over")
        return Reply("u1", failure=Failure("http_500"))

    first = asyncio.create_task(cache.reply(request(), *WHO, ask))
    await started.wait()
    second = asyncio.create_task(cache.reply(request(), *WHO, ask))
    await asyncio.sleep(0)
    if fate == "cancelled":
        first.cancel()
    (outcome,) = await asyncio.gather(first, return_exceptions=True)
    assert isinstance(outcome, {"failure": Reply, "error": RuntimeError, "cancelled": asyncio.CancelledError}[fate])
    assert await second == REPLY
    assert calls == 2
    assert cache._asked == {}


async def test_a_journal_of_an_earlier_version_is_read(store: Store) -> None:
    journal = Journal(store, flush_s=0.001)
    completion = {
        "text": "4", "reasoning": "", "finish_reason": "stop",
        "prompt_tokens": 5, "completion_tokens": 3, "logprob": None,
    }  # fmt: skip
    old = {"key": request().cache_key(*WHO), "limit": 100, "completions": [completion]}
    await journal.append(old)
    await journal.close()
    cache = opened(store)
    assert await cache.find(request(limit=50), *WHO) == Reply("u1", (Completion("4", "", "stop", 5, 3),))
    await cache.close()
