"""Where replies come from: the cache, or else the engines of the teacher or judge that a row is meant for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.candidate import Reply, Request
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.engine.cache import ReplyCache
from dsgen.pipeline.engine.executors import Executor
from dsgen.pipeline.engine.pool import Pool
from dsgen.pipeline.engine.routing import name_of
from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.teachers.config import ModelConfig, OpenAIConfig, PythonConfig, VLLMConfig
from dsgen.pipeline.teachers.vllm import identity
from dsgen.pipeline.teachers.vllm.experts import ExpertLoad, figures, merge
from dsgen.pipeline.workflow import Workflow


def revision_of(config: ModelConfig) -> str:
    """What tells a model's replies from those of the same model served otherwise, for the cache."""
    if isinstance(config, VLLMConfig):
        return identity.revision(config)
    if isinstance(config, PythonConfig):
        return digest(config.revision, config.target, str(sorted(config.options.items())), size=8).hex()
    return config.revision


class Replies:
    """The teachers and the judge of a run, each a pool of engines, behind one cache."""

    def __init__(
        self, workflow: Workflow, executor: Executor, cache: ReplyCache, on_change: Callable[[], None]
    ) -> None:
        self.cache = cache
        self.configs: dict[str, ModelConfig] = {name_of(t): t for t in workflow.models}
        self._judge = next(iter(self.configs), "")
        if workflow.judge is not None:
            self._judge = f"judge {name_of(workflow.judge)}"
            self.configs[self._judge] = workflow.judge
        attempts = workflow.engine.attempts
        self.pools = {
            name: Pool(
                executor.engines(config),
                attempts=attempts,
                # The client of an endpoint repeats its calls itself, and knows better when.
                retries=0 if isinstance(config, OpenAIConfig) else attempts - 1,
                on_change=on_change,
            )
            for name, config in self.configs.items()
        }

    @property
    def slots(self) -> int:
        """Rows that all engines work on at the same time."""
        return sum(p.slots for p in self.pools.values())

    @property
    def hungry(self) -> bool:
        """Whether some teacher may soon have a free slot and no row for it."""
        return any(p.waiting < p.slots for p in self.pools.values())

    async def start(self) -> None:
        """Bring all engines up; the first that cannot ends it."""
        async with asyncio.TaskGroup() as group:
            for pool in self.pools.values():
                group.create_task(pool.start())

    async def all(self, requests: Sequence[Request], bucket: int) -> dict[str, Reply]:
        """The replies to requests by their ids."""
        replies = await asyncio.gather(*[self._reply(r, bucket) for r in requests])
        return {r.request_id: r for r in replies}

    def last_rows(self) -> None:
        """No further bucket will be opened."""
        for pool in self.pools.values():
            pool.last_rows()

    async def close(self) -> None:
        """Let all engines go, and make what came durable."""
        await asyncio.gather(*[p.close() for p in self.pools.values()], return_exceptions=True)
        await self.cache.close()

    async def _reply(self, request: Request, bucket: int) -> Reply:
        name = self._judge if request.purpose == "judge" else request.teacher
        pool, revision = self.pools[name], revision_of(self.configs[name])
        # An engine of our own counts the tokens of each sample; an endpoint those of the call.
        exact = not isinstance(self.configs[name], OpenAIConfig)
        return await self.cache.reply(request, pool.model, revision, lambda: pool.ask(request, bucket), exact=exact)

    def tell(self, status: Status) -> None:
        """Write into a status what engines and cache have done."""
        pools = self.pools.values()
        status.tokens = sum(p.tokens for p in pools)
        status.asked = sum(p.asked for p in pools)
        status.waiting = sum(p.waiting for p in pools)
        status.requeued = sum(p.requeued for p in pools)
        status.cache = {**self.cache.hits, "misses": self.cache.misses}
        status.engines = [
            EngineStatus(
                name if len(pool.seats) == 1 else f"{name} {i}",
                seat.slots,
                len(seat.held),
                seat.occupancy(),
                seat.deaths,
                seat.why_gone,
            )
            for name, pool in self.pools.items()
            for i, seat in enumerate(pool.seats)
        ]

    async def report(self) -> dict[str, Any]:
        """What engines counted since this start, by teacher, as JSON data for manifest and card."""
        made: dict[str, Any] = {}
        for name, pool in self.pools.items():
            engines = []
            for seat in pool.seats:
                # One that is being started again has nothing to tell yet.
                said: Mapping[str, Any] = await seat.engine.report() if seat.up and not seat.gone else {}
                engines.append(
                    {
                        "rows": seat.done,
                        "slots": seat.slots,
                        "occupancy": round(seat.occupancy(), 4),
                        "deaths": seat.deaths,
                        "gone": seat.why_gone,
                        **said,
                    }
                )
            counted = {"asked": pool.asked, "tokens": pool.tokens, "requeued": pool.requeued, "engines": engines}
            made[name] = counted | _experts(engines)
        return made


def _experts(engines: list[dict[str, Any]]) -> dict[str, Any]:
    """The engines' expert loads as one, taken out of their reports."""
    said = [e.pop("experts") for e in engines if isinstance(e.get("experts"), dict)]
    if not said:
        return {}
    try:
        whole = merge(ExpertLoad.of(s) for s in said if "counts" in s)
    except (KeyError, TypeError, ValueError) as error:
        return {"experts": {"why_not": f"what engines told does not fit together: {error}"}}
    if whole is None:
        return {"experts": {"why_not": next((s["why_not"] for s in said if s.get("why_not")), "")}}
    return {"experts": {**whole.data(), "figures": figures(whole)}}
