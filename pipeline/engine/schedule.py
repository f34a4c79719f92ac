"""The window: buckets are opened in order while the bounds on open rows and bytes allow. Plain asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

ROWS_PER_SLOT = 64
"""Open rows for each slot of the teacher: what is waiting must outlast the longest row at the end of a run."""
OPEN_BYTES = 512 * 1024**2
"""Bytes of prompts and replies in open buckets, all together."""


class Window:
    """Open buckets, bounded by their rows and by their bytes; one bucket is always let in.

    ``admit`` waits for room, ``grow`` tells of bytes that a bucket has come to hold, ``leave`` gives all back.
    """

    def __init__(self, rows: int, size: int = OPEN_BYTES) -> None:
        self.rows, self.size = rows, size
        self.open_rows = self.open_bytes = 0
        self.most_rows = self.most_bytes = 0
        self._held: dict[int, list[int]] = {}
        self._room = asyncio.Event()

    async def admit(self, bucket: int, rows: int) -> None:
        """Wait until a bucket of so many rows may be opened."""
        while self._held and (self.open_rows + rows > self.rows or self.open_bytes >= self.size):
            self._room.clear()
            await self._room.wait()
        self._held[bucket] = [rows, 0]
        self.open_rows += rows
        self.most_rows = max(self.most_rows, self.open_rows)

    def grow(self, bucket: int, size: int) -> None:
        """A bucket holds so many bytes more."""
        self._held[bucket][1] += size
        self.open_bytes += size
        self.most_bytes = max(self.most_bytes, self.open_bytes)

    def leave(self, bucket: int) -> None:
        """A bucket is done with."""
        rows, size = self._held.pop(bucket)
        self.open_rows -= rows
        self.open_bytes -= size
        self._room.set()


async def each(
    items: Iterable[int],
    work: Callable[[int], Awaitable[Any]],
    *,
    admit: Callable[[int], Awaitable[None]],
    opened_all: Callable[[], None] = lambda: None,
) -> None:
    """Begin ``work`` for every item in order, each when it is admitted; the first error ends all of it."""
    async with asyncio.TaskGroup() as group:
        for item in items:
            await admit(item)
            group.create_task(_run(work, item))
        opened_all()


async def _run(work: Callable[[int], Awaitable[Any]], item: int) -> None:
    await work(item)


class Lanes:
    """Workers, lent to urgent work first: what feeds a waiting teacher goes before what finishes a bucket."""

    def __init__(self, workers: Iterable[Any] = ()) -> None:
        self._idle = list(workers)
        self._urgent: list[asyncio.Future[Any]] = []
        self._other: list[asyncio.Future[Any]] = []

    async def take(self, *, urgent: bool) -> Any:
        """The next idle worker."""
        if self._idle:
            return self._idle.pop()
        turn: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._other).append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(turn.result())
            raise

    def give(self, worker: Any) -> None:
        """Give a worker back."""
        for queue in (self._urgent, self._other):
            while queue:
                turn = queue.pop(0)
                if not turn.done():
                    turn.set_result(worker)
                    return
        self._idle.append(worker)
