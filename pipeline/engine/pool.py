"""A teacher's engines and the rows that wait for them: admission row by row, requeueing, restarts. Plain asyncio."""

from __future__ import annotations

import asyncio
import heapq
import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dsgen.pipeline.core.candidate import Failure, Reply, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.engine.lengths import Lengths
from dsgen.pipeline.teachers.protocol import Teacher

OVERBOOKING = 1.15
"""Rows handed to an engine for each of its slots: enough that a slot is filled the moment it is free."""
_CONNECTION_LOST = "connection"
_LOST_LIMIT = 20


@dataclass(eq=False, slots=True)
class _Row:
    """A row that waits; rows compare by their place in the queue."""

    rank: tuple[int, float, float, int]
    request: Request
    reply: asyncio.Future[Reply]
    order: int
    bucket: int
    strikes: int = 0
    """Engines that died while they held the row."""
    failures: int = 0
    """Replies that were failures which may pass."""

    def __lt__(self, other: _Row) -> bool:
        return self.rank < other.rank


class Seat:
    """One engine of a pool: what it holds, and how busy it has been."""

    def __init__(self, engine: Teacher, clock: Callable[[], float]) -> None:
        self.engine = engine
        self.slots = max(1, engine.slots)
        self.bound = max(self.slots, math.ceil(self.slots * OVERBOOKING))
        self.held: set[_Row] = set()
        self.up = False
        self.gone = False
        """Drained, or given up: it gets no more rows."""
        self.why_gone = ""
        self.done = 0
        self.deaths = 0
        self.fruitless = 0
        """Deaths in a row without a reply between them."""
        self._clock = clock
        self._began: float | None = None
        """When it was handed its first row."""
        self._since = 0.0
        self._busy = 0.0

    @property
    def free(self) -> bool:
        """Whether it can be handed another row."""
        return self.up and not self.gone and len(self.held) < self.bound

    def tick(self) -> None:
        """Count the slots that were busy since the last change."""
        now = self._clock()
        if self._began is None:
            self._began = now
        else:
            self._busy += min(len(self.held), self.slots) * (now - self._since)
        self._since = now

    def occupancy(self) -> float:
        """The share of its slots that were busy from its first row to the last change, 0 to 1."""
        lived = self._since - self._began if self._began is not None else 0.0
        return self._busy / (self.slots * lived) if lived > 0 else 0.0


class Pool:
    """Serves requests with the engines of one teacher.

    Judges and canaries go first. Solutions go bucket by bucket, so that buckets can be committed, and within a bucket
    the predicted-long rows first; once the last bucket is open (:meth:`last_rows`), the predicted-long rows of all of
    them go first, as a long row begun last would hold up the end.

    An engine that dies is started again, and all its rows are asked again with one strike more. Which of them killed
    it is not known, so rows with a strike are spread thinly, the square root of an engine's rows at a time, and a row
    one strike short of ``attempts`` has an engine to itself: if that dies too, it was the row, which gets the failure
    ``engine_lost``, and the run goes on. Rows that happened to be beside it are never blamed.
    """

    def __init__(
        self,
        engines: Sequence[Teacher],
        *,
        attempts: int = 3,
        retries: int = 2,
        restart_pause_s: float = 1.0,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self.engines = engines
        self.attempts = attempts
        self.retries = retries
        """Times that a row is asked again whose failure may pass; 0 for teachers that see to it themselves."""
        self.restart_pause_s = restart_pause_s
        self.lengths = Lengths()
        self.asked = self.tokens = self.requeued = self.quarantined = 0
        self.seats: list[Seat] = []
        self._on_change = on_change
        self._waiting: list[_Row] = []
        self._struck: list[_Row] = []
        """Rows with a strike, thinly spread."""
        self._suspects: list[_Row] = []
        """Rows that get an engine to themselves."""
        self._alone: Seat | None = None
        """The engine that takes suspects; no other row goes there."""
        self._order = 0
        self._last = False
        self._lost = 0
        self._broken: BaseException | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """What rows, card and manifest call the teacher."""
        return self.engines[0].name

    @property
    def model(self) -> str:
        """The model's name, for the cache."""
        return self.engines[0].model

    @property
    def revision(self) -> str:
        """The model's revision, for the cache."""
        return self.engines[0].revision

    @property
    def slots(self) -> int:
        """Rows that all engines together work on at the same time."""
        return sum(e.slots for e in self.engines)

    @property
    def in_flight(self) -> int:
        """Rows that engines hold now."""
        return sum(len(s.held) for s in self.seats)

    @property
    def waiting(self) -> int:
        """Rows that no engine holds yet."""
        return len(self._waiting) + len(self._struck) + len(self._suspects)

    async def start(self) -> None:
        """Bring all engines up.

        Raises:
            TeacherError: what an engine's own start raised, or an engine died each time that it was started.
        """
        clock = asyncio.get_running_loop().time
        self.seats = [Seat(e, clock) for e in self.engines]
        starting = [asyncio.create_task(self._bring_up(s)) for s in self.seats]
        try:
            await asyncio.gather(*starting)
        finally:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)

    async def ask(self, request: Request, bucket: int = 0) -> Reply:
        """The reply to a request, whatever engine gives it.

        Raises:
            TeacherError: no engine is left, or the teacher cannot work at all.
        """
        if self._broken is not None:
            raise self._broken
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._order += 1
        row = _Row((0, 0.0, 0.0, 0), request, future, self._order, bucket)
        row.rank = self._rank(row)
        heapq.heappush(self._waiting, row)
        self._pump()
        return await future

    async def ask_engine(self, seat: Seat, request: Request) -> Reply:
        """A reply from one engine, beside the queue: for canaries."""
        (reply,) = await seat.engine.complete([request])
        return reply

    def last_rows(self) -> None:
        """No further bucket will be opened: from here the predicted-long rows of all buckets go first."""
        self._last = True
        for row in self._waiting:
            row.rank = self._rank(row)
        heapq.heapify(self._waiting)

    def drain(self, seat: Seat, why: str) -> None:
        """Give an engine no further rows; what it holds, it may finish.

        Raises:
            TeacherError: it was the last one.
        """
        seat.gone, seat.why_gone = True, why
        if all(s.gone for s in self.seats):
            error = TeacherError(
                f"teacher {self.name}: no engine is left ({why}). What was committed is intact; mend it and give the "
                "same command"
            )
            self._fail(error)
            raise error

    async def close(self) -> None:
        """Let all engines go."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*[e.close() for e in self.engines], return_exceptions=True)

    async def _bring_up(self, seat: Seat) -> None:
        """Start an engine; one that is lost while it starts, with its node perhaps, is started again."""
        tries = 0
        while True:
            try:
                await seat.engine.start()
            except EngineLost as error:
                tries += 1
                if tries >= self.attempts:
                    raise TeacherError(
                        f"an engine died {tries} times while it started; the last time: {error}"
                    ) from None
                await asyncio.sleep(self.restart_pause_s * 2 ** (tries - 1))
            else:
                seat.up = True
                return

    def _rank(self, row: _Row) -> tuple[int, float, float, int]:
        if row.request.purpose != "solve":
            return (0, 0.0, 0.0, row.order)
        long_first = -self.lengths.predict(row.request)
        return (1, 0.0 if self._last else float(row.bucket), long_first, row.order)

    def _pump(self) -> None:
        """Hand rows out while there are rows and room for them."""
        self._set_apart()
        # An engine may have room and yet get no row: none that waits may be added to what it holds.
        refused: set[Seat] = set()
        while self.waiting:
            free = [s for s in self.seats if s.free and s not in refused]
            seat = min(free, key=lambda s: len(s.held) / s.slots, default=None)
            if seat is None:
                return
            row = self._next(seat)
            if row is None:
                refused.add(seat)
                continue
            if row.reply.done():  # whoever waited for it is gone
                continue
            seat.tick()
            seat.held.add(row)
            task = asyncio.create_task(self._serve(seat, row))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _set_apart(self) -> None:
        """Choose the engine that takes the suspects; one that just died is empty already."""
        if not self._suspects:
            if self._alone is not None and not self._alone.held:
                self._alone = None
        elif self._alone is None or self._alone.gone:
            self._alone = min((s for s in self.seats if not s.gone), key=lambda s: len(s.held), default=None)

    def _next(self, seat: Seat) -> _Row | None:
        if seat is self._alone:
            return self._suspects.pop(0) if self._suspects and not seat.held else None
        if self._struck and sum(r.strikes > 0 for r in seat.held) < max(1, math.isqrt(seat.bound)):
            return self._struck.pop(0)
        return heapq.heappop(self._waiting) if self._waiting else None

    async def _serve(self, seat: Seat, row: _Row) -> None:
        try:
            (reply,) = await seat.engine.complete([row.request])
            self._watch(reply)
        except EngineLost as error:
            self._dead(seat, error)
            return
        except asyncio.CancelledError:
            row.reply.cancel()
            raise
        except TeacherError as error:
            self._fail(error)
            return
        except Exception as error:  # noqa: BLE001 - handed to whoever waits for the row
            reply = Reply(row.request.id, failure=Failure("teacher_crashed", _trace(error)))
        seat.tick()
        seat.held.discard(row)
        seat.done += 1
        seat.fruitless = 0
        if reply.failure is not None and reply.failure.retryable and row.failures < self.retries:
            row.failures += 1
            self.requeued += 1
            heapq.heappush(self._waiting, row)
            self._pump()
            return
        self.asked += 1
        counts = [c.completion_tokens for c in reply.completions]
        self.tokens += sum(counts)
        if row.request.purpose == "solve" and counts:
            self.lengths.observe(row.request, counts)
        if not row.reply.done():
            row.reply.set_result(reply)
        self._pump()
        self._on_change()

    def _dead(self, seat: Seat, error: EngineLost) -> None:
        """Take an engine's rows back and start it again; called by each of its rows, acts on the first."""
        if not seat.up:
            return
        seat.tick()
        seat.up = False
        seat.deaths += 1
        seat.fruitless += 1
        rows, seat.held = seat.held, set()
        for row in sorted(rows):
            row.strikes += 1
            self.requeued += 1
            if seat is self._alone and row.strikes >= self.attempts:
                seat.fruitless = 0  # not the engine's fault
                self.quarantined += 1
                detail = f"{row.strikes} engines died while they held it, the last one this row alone: {error}"
                if not row.reply.done():
                    row.reply.set_result(Reply(row.request.id, failure=Failure("engine_lost", detail)))
            elif row.strikes >= self.attempts - 1:
                self._suspects.append(row)
            else:
                self._struck.append(row)
        if seat.gone:
            return
        task = asyncio.create_task(self._revive(seat, error))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._pump()
        self._on_change()

    async def _revive(self, seat: Seat, error: Exception) -> None:
        while seat.fruitless <= self.attempts * 2:
            await asyncio.sleep(self.restart_pause_s * 2 ** max(0, seat.fruitless - 1))
            try:
                await seat.engine.start()
            except (EngineLost, TeacherError) as failed:
                error = failed
                seat.fruitless += 1
                continue
            except Exception as failed:  # noqa: BLE001 - told when the engine is given up
                error = failed
                seat.fruitless += 1
                continue
            seat.up = True
            self._pump()
            return
        try:
            self.drain(seat, f"an engine died {seat.deaths} times; the last one said: {error}")
        except TeacherError:
            return
        self._pump()

    def _watch(self, reply: Reply) -> None:
        """Give up when the endpoint is gone: failing every row of a long run would help nobody."""
        if reply.failure is None or reply.failure.reason != _CONNECTION_LOST:
            self._lost = 0
            return
        self._lost += 1
        if self._lost >= _LOST_LIMIT:
            raise TeacherError(
                f"teacher {self.name}: {self._lost} calls in a row found no endpoint ({reply.failure.detail}). "
                "What was committed is intact; start the endpoint and give the same command"
            )

    def _fail(self, error: BaseException) -> None:
        """The teacher is of no use any more: everybody who waits is told."""
        self._broken = error
        rows = [*self._waiting, *self._struck, *self._suspects, *(r for s in self.seats for r in s.held)]
        self._waiting, self._struck, self._suspects = [], [], []
        for row in rows:
            if not row.reply.done():
                row.reply.set_exception(error)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-4000:]
