"""Canaries: problems with known answers that an engine must get right now and then, or it gets no more rows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from dsgen.pipeline.core.candidate import Reply, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.engine.executors import Executor
from dsgen.pipeline.engine.plan import Plan
from dsgen.pipeline.engine.pool import Pool, Seat
from dsgen.pipeline.engine.work import Task
from dsgen.pipeline.teachers.config import ModelConfig

_TRIES = 8
"""Places of the plan that are looked at for each canary; some have no problem, or one without a proven answer."""


class Canaries:
    """Some of the run's own problems, asked of each engine at its start and after every so many rows."""

    def __init__(
        self, name: str, config: ModelConfig, pool: Pool, plan: Plan, executor: Executor, warn: Callable[[str], None]
    ) -> None:
        self.name = name
        self.config = config
        self.pool = pool
        self.plan = plan
        self.executor = executor
        self.warn = warn
        self.asked = self.right = 0
        self._requests: list[Request] = []
        self._units: tuple[int, ...] = ()
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Send canaries through every engine before any row.

        Raises:
            TeacherError: no engine passed.
        """
        order = Key.of("canaries", self.plan.run_seed).permutation(len(self.plan))
        wanted = min(self.config.canaries * _TRIES, len(self.plan))
        self._units = tuple(sorted(order[i] for i in range(wanted)))
        requests, _ = await self.executor.run(Task("prepare", 0, self._units))
        chosen = [r for r in requests if r.size][: self.config.canaries]
        self._requests = [replace(r, id=r.id, n=1, sampling=self.config.sampling(), purpose="canary") for r in chosen]
        if not self._requests:
            return
        await asyncio.gather(*[self._test(seat) for seat in self.pool.seats])
        self._watching = [asyncio.create_task(self._watch(seat)) for seat in self.pool.seats]

    async def close(self) -> None:
        """Stop watching."""
        for task in self._watching:
            task.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)

    async def _watch(self, seat: Seat) -> None:
        due, deaths = self.config.canary_every, seat.deaths
        while not seat.gone:
            await asyncio.sleep(1.0)
            if seat.up and (seat.done >= due or seat.deaths > deaths):
                due, deaths = seat.done + self.config.canary_every, seat.deaths
                try:
                    await self._test(seat)
                except TeacherError:
                    return  # it was the last engine, and everybody who waits has been told

    async def _test(self, seat: Seat) -> None:
        try:
            replies = await asyncio.gather(*[self.pool.ask_engine(seat, r) for r in self._requests])
        except EngineLost:
            return  # the rows that it holds find that out as well
        known: dict[str, Reply] = {r.request_id: r for r in replies if r.failure is None}
        right: dict[str, bool] = {}
        if known:
            right, _ = await self.executor.run(Task("check", 0, self._units, replies=known))
        good = sum(right.values())
        self.asked += len(self._requests)
        self.right += good
        if good < self.config.canary_floor * len(self._requests):
            why = f"{good} of {len(self._requests)} canaries right, {self.config.canary_floor:.0%} are wanted"
            self.warn(f"{self.name}: an engine is taken out: {why}")
            self.pool.drain(seat, why)
