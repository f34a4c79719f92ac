"""The engines of a run behind one cache: what they are asked for at its end."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dsgen.pipeline.engine.cache import ReplyCache
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.replies import Replies
from dsgen.pipeline.engine.store import LocalStore
from dsgen.pipeline.workflow import parse

WORKFLOW = {
    "name": "w",
    "seed": 1,
    "sources": [{"kind": "templates", "seeds": 1}],
    "teacher": {"kind": "python", "target": "stand_in:StandIn", "model": "m", "engines": 2},
    "validators": [{"kind": "format"}],
}


class Engine:
    name = model = "scripted"
    revision = ""
    slots = 4

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def report(self) -> Mapping[str, Any]:
        return {"counted": 7}


class Executor:
    def engines(self, _: Any) -> list[Engine]:
        return [Engine(), Engine()]


async def test_an_engine_that_is_being_started_again_is_not_asked_what_it_counted(tmp_path: Path) -> None:
    """It could not answer: the run, which may be all but done, would end with its error."""
    executor: Any = Executor()
    cache = ReplyCache(Journal(LocalStore(tmp_path)))
    replies = Replies(parse(WORKFLOW, "w"), executor, cache, lambda: None)
    await replies.start()
    (pool,) = replies.pools.values()
    pool.seats[0].up = False
    (told,) = (await replies.report()).values()
    assert ["counted" in engine for engine in told["engines"]] == [False, True]
    await replies.close()
