"""Replies in three tiers: memory, the run's own journal, and a Redis that runs share.

``max_tokens`` is not part of a key. A reply made with limit L serves a request with limit M when L = M; when M > L, if
no completion was cut off; when M < L, if none was cut off and each is known to be no longer than M. So a key may have
several records. The first in the journal's order that serves a limit is the one for this limit, now and in every
resumed run, for records are only ever added behind it. Failures are never kept.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import orjson

from dsgen.pipeline.core.candidate import Completion, Reply, Request
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.records import Record
from dsgen.pipeline.engine.redis_tier import RedisTier

MEMORY_BYTES = 64 << 20
_OVERHEAD = 300
"""Bytes of the dictionary's entry, the key and the objects' heads."""


class ReplyCache:
    """What was answered is never asked again, in this run or in another one of the same Redis."""

    def __init__(self, journal: Journal, redis: RedisTier | None = None, memory_bytes: int = MEMORY_BYTES) -> None:
        self.journal = journal
        self.redis = redis
        self.memory_bytes = memory_bytes
        self.hits: Counter[str] = Counter(memory=0, journal=0, redis=0)
        self.misses = 0
        # By key and limit: a reply serves the limit for which it was found or made.
        self._memory: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._held = 0
        self._asked: dict[str, tuple[asyncio.Lock, int]] = {}

    async def reply(
        self, request: Request, model: str, revision: str, ask: Callable[[], Awaitable[Reply]], *, exact: bool = False
    ) -> Reply:
        """The kept reply, or that of ``ask``, which is called once for equal requests at the same time.

        ``exact`` says that the teacher counts each completion's own tokens, as opposed to the request's.
        """
        key = request.cache_key(model, revision)
        async with self.once(key):
            known = await self._find(key, request)
            if known is not None:
                return known
            reply = await ask()
            await self._put(key, request, reply, exact)
            return reply

    async def find(self, request: Request, model: str, revision: str) -> Reply | None:
        """The reply to a request, if one is kept that serves its limit."""
        return await self._find(request.cache_key(model, revision), request)

    async def put(self, request: Request, reply: Reply, model: str, revision: str, *, exact: bool = False) -> None:
        """Keep a reply; it is durable in the journal when this returns. A failure is not kept.

        ``exact`` says that the teacher counts each completion's own tokens, as opposed to the request's.
        """
        await self._put(request.cache_key(model, revision), request, reply, exact)

    @asynccontextmanager
    async def once(self, key: str) -> AsyncIterator[None]:
        """One at a time for a key: whoever waits finds the reply that the first one has put."""
        lock, users = self._asked.get(key) or (asyncio.Lock(), 0)
        self._asked[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._asked.pop(key)
            if users > 1:
                self._asked[key] = (lock, users - 1)

    async def close(self) -> None:
        """Write what waits and let the tiers go."""
        await self.journal.close()
        if self.redis is not None:
            await self.redis.close()

    async def _find(self, key: str, request: Request) -> Reply | None:
        limit = request.sampling.max_tokens
        body = self._memory.get((key, limit))
        if body is not None:
            self._memory.move_to_end((key, limit))
            self.hits["memory"] += 1
            return _reply(request, orjson.loads(body))
        record = await self.journal.find(key, lambda r: serves(r, limit))
        if record is not None:
            self.hits["journal"] += 1
        elif self.redis is not None:
            record = await self._from_redis(self.redis, key, limit)
            if record is not None:
                self.hits["redis"] += 1
        if record is None:
            self.misses += 1
            return None
        self._remember(key, limit, orjson.dumps(record))
        return _reply(request, record)

    async def _from_redis(self, redis: RedisTier, key: str, limit: int) -> Record | None:
        for body in await redis.find([key, f"{key}:{limit}"]):
            record = _checked(body, key)
            if record is not None and serves(record, limit):
                # The run's folder must be complete in itself.
                await self.journal.append(record)
                return record
        return None

    async def _put(self, key: str, request: Request, reply: Reply, exact: bool) -> None:
        if reply.failure is not None:
            return
        limit = request.sampling.max_tokens
        record = {
            "key": key,
            "limit": limit,
            "exact": exact or len(reply.completions) == 1,
            "completions": [_fields(c) for c in reply.completions],
        }
        await self.journal.append(record)
        body = orjson.dumps(record)
        self._remember(key, limit, body)
        if self.redis is not None:
            # A cut-off reply serves its own limit only and stands beside the whole one, which comes later.
            self.redis.put(f"{key}:{limit}" if _cut(record) else key, body)

    def _remember(self, key: str, limit: int, body: bytes) -> None:
        size = len(body) + _OVERHEAD
        if (key, limit) in self._memory or size > self.memory_bytes:
            return
        self._memory[key, limit] = body
        self._held += size
        while self._held > self.memory_bytes:
            _, dropped = self._memory.popitem(last=False)
            self._held -= len(dropped) + _OVERHEAD


def serves(record: Record, limit: int) -> bool:
    """Whether a kept record answers a request with this ``max_tokens``."""
    made: int = record["limit"]
    if made == limit:
        return True
    if _cut(record):
        return False
    if made < limit:
        return True
    tokens: list[int] = [c["completion_tokens"] for c in record["completions"]]
    if record.get("exact", len(tokens) == 1):
        # An engine that counts nothing reports zeros.
        return all(0 < t <= limit for t in tokens)
    # Shares of the request's sum: one completion may have had nearly all of it.
    return 0 < sum(tokens) <= limit


def _fields(completion: Completion) -> dict[str, Any]:
    """What ``dataclasses.asdict`` gives, without its deep copies: this is done for every reply."""
    return {name: getattr(completion, name) for name in _TYPES}


def _cut(record: Record) -> bool:
    return any(c["finish_reason"] == "length" for c in record["completions"])


def _reply(request: Request, record: Record) -> Reply:
    return Reply(request.id, tuple(Completion(**c) for c in record["completions"]))


def _checked(body: bytes, key: str) -> Record | None:
    """A record that came from outside, if it is one of this key."""
    try:
        record: Any = orjson.loads(body)
        completions = [asdict(Completion(**c)) for c in record["completions"]]
        limit, exact = record["limit"], record["exact"]
    except (ValueError, TypeError, KeyError):
        return None
    whole = type(limit) is int and type(exact) is bool and record["key"] == key
    typed = all(type(c[f]) in t for c in completions for f, t in _TYPES.items())
    if not whole or not typed or not completions:
        return None
    return {"key": key, "limit": limit, "exact": exact, "completions": completions}


_TYPES: dict[str, tuple[type, ...]] = {
    "text": (str,),
    "reasoning": (str,),
    "finish_reason": (str,),
    "prompt_tokens": (int,),
    "completion_tokens": (int,),
    "logprob": (float, int, type(None)),
}
