"""The scheduler: buckets through workers and teacher, row by row, and committed as they are done. Plain asyncio."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any

from dsgen.pipeline.core.candidate import Reply, Request
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.teachers.protocol import Teacher

OVERBOOKING = 1.15
"""Rows handed to a teacher for each of its slots: enough that a slot is filled the moment it is free."""
_LOST = frozenset({"connection"})
_LOST_LIMIT = 20


class TeacherQueue:
    """Rows waiting for a teacher, predicted-long ones first: a long row begun last would hold up the end."""

    def __init__(self, teacher: Teacher, journal: Journal) -> None:
        self.teacher = teacher
        self.journal = journal
        self.asked = 0
        self.tokens = 0
        self.in_flight = 0
        self._waiting: asyncio.PriorityQueue[tuple[float, int, Request, asyncio.Future[Reply]]] = (
            asyncio.PriorityQueue()
        )
        self._order = 0
        self._lost = 0
        self._workers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to serve; raises what the teacher's own start raises."""
        await self.teacher.start()
        rows = max(1, math.ceil(self.teacher.slots * OVERBOOKING))
        self._workers = [asyncio.create_task(self._serve()) for _ in range(rows)]

    async def ask(self, request: Request) -> Reply:
        """The reply to a request, from the journal if it holds one that serves."""
        known = self.journal.find(request)
        if known is not None:
            return known
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._order += 1
        length = sum(len(m.text) for m in request.messages)
        self._waiting.put_nowait((-float(length), self._order, request, future))
        return await future

    async def close(self) -> None:
        """Stop serving and let the teacher go."""
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self.teacher.close()
        self.journal.close()

    async def _serve(self) -> None:
        while True:
            _, _, request, future = await self._waiting.get()
            if future.cancelled():
                continue
            self.in_flight += 1
            try:
                (reply,) = await self.teacher.complete([request])
                self._watch(reply)
                self.asked += 1
                self.tokens += sum(c.completion_tokens for c in reply.completions)
                await asyncio.to_thread(self.journal.append, request, reply)
            except asyncio.CancelledError:
                future.cancel()
                raise
            except Exception as error:  # noqa: BLE001 - handed to whoever waits for the row
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(reply)
            finally:
                self.in_flight -= 1

    def _watch(self, reply: Reply) -> None:
        """Give up when the endpoint is gone: failing every row of a long run would help nobody."""
        if reply.failure is None or reply.failure.reason not in _LOST:
            self._lost = 0
            return
        self._lost += 1
        if self._lost >= _LOST_LIMIT:
            raise TeacherError(
                f"teacher {self.teacher.name}: {self._lost} calls in a row found no endpoint ({reply.failure.detail}). "
                "What was committed is intact; start the endpoint and give the same command"
            )


async def each(items: Iterable[int], work: Callable[[int], Awaitable[Any]], *, at_once: int) -> None:
    """Do ``work`` for every item with a sliding window; the first error ends all of it."""
    queue = iter(items)

    async def lane() -> None:
        for item in queue:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(lane())


async def all_replies(queue: TeacherQueue, requests: Sequence[Request]) -> dict[str, Reply]:
    """The replies to a bucket's requests by request id."""
    replies = await asyncio.gather(*[queue.ask(r) for r in requests])
    return {r.request_id: r for r in replies}
