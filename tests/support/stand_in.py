"""A seeded stand-in for a teacher's engine: the same text for the same request, in its own time, with faults on order.

Used by tests and benchmarks through ``kind: python`` with ``target: stand_in:StandIn``. Options:

* ``seconds``: mean time of a reply, log-normally long-tailed and fixed by the request; 0 answers at once;
* ``words``: words of filler in a reply;
* ``fail``: share of requests that fail the first time they are asked of this process, or, with ``always``, ever;
* ``mute``: no reply holds a final answer;
* ``poison``: a text; the process kills itself when a prompt holds it;
* ``poison_while``: a file; the poison works as long as it is there;
* ``endless``: a text; a prompt that holds it is answered with more equations than a worker reads in any decent time;
* ``children``: processes that the engine starts of its own, as vLLM does, and does not end;
* ``log``: a file that gets a line ``begun KEY ID`` for every request that was begun, ``done KEY ID`` once answered;
  the key is the one under which the reply is kept.

A request with a JSON schema, as a judge's, gets an object with one of the values that the schema admits.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
import random
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsgen.pipeline.core.candidate import Completion, Failure, Reply, Request
from dsgen.pipeline.engine.replies import revision_of
from dsgen.pipeline.teachers.config import PythonConfig


class StandIn:
    """Answers with a number drawn from the request's seed, now and then without a box or cut off; judges by dice."""

    def __init__(self, config: PythonConfig) -> None:
        self.config = config
        self.name = f"python:{config.model}"
        self.model = config.model
        self.revision = config.revision
        self.slots = config.slots
        self.options: dict[str, Any] = config.options
        self._free = asyncio.Semaphore(config.slots)
        self._failed: set[str] = set()
        self._log = Path(self.options["log"]).open("a", buffering=1) if self.options.get("log") else None  # noqa: SIM115
        self.asked = 0

    async def start(self) -> None:
        for _ in range(int(self.options.get("children", 0))):
            subprocess.Popen(["sleep", "600"], stdin=subprocess.DEVNULL)

    async def close(self) -> None: ...

    async def report(self) -> Mapping[str, Any]:
        return {"asked": self.asked}

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return [await self._reply(r) for r in requests]

    async def _reply(self, request: Request) -> Reply:
        self.asked += 1
        rng = random.Random(request.seed)
        self._note("begun", request)
        if self._holds(request, "poison") and Path(self.options.get("poison_while", "/")).exists():
            os.kill(os.getpid(), signal.SIGKILL)
        async with self._free:
            seconds = float(self.options.get("seconds", 0.0))
            if seconds:
                await asyncio.sleep(seconds * math.exp(rng.gauss(-0.5, 1.0)))
        fails = rng.random() < float(self.options.get("fail", 0.0))
        if fails and (self.options.get("always") or request.id not in self._failed):
            self._failed.add(request.id)
            return Reply(request.id, failure=Failure("scripted", "as asked for", retryable=True))
        self._note("done", request)
        return Reply(request.id, tuple(self._completion(request, rng) for _ in range(request.n)))

    def _holds(self, request: Request, option: str) -> bool:
        text = self.options.get(option)
        return bool(text) and any(text in m.text for m in request.messages)

    def _note(self, what: str, request: Request) -> None:
        if self._log is not None:
            self._log.write(f"{what} {request.cache_key(self.model, revision_of(self.config))} {request.id}\n")

    def _completion(self, request: Request, rng: random.Random) -> Completion:
        if request.schema is not None:
            fields = request.schema["properties"].items()
            verdict = json.dumps({name: rng.choice(field["enum"]) for name, field in fields})
            return Completion(verdict, completion_tokens=len(fields))
        if self._holds(request, "endless"):
            return Completion("1 + 1 = 2\n" * 600_000 + "\\boxed{2}", completion_tokens=2_400_000)
        if request.schema is not None:
            return Completion(
                '{"verdict": "%s"}' % ("correct" if rng.random() < 0.8 else "incorrect"), completion_tokens=5
            )
        words = " ".join(f"word{rng.randrange(1000)}" for _ in range(int(self.options.get("words", 20))))
        dice = rng.random()
        if dice < 0.05:
            return Completion(words, finish_reason="length", completion_tokens=request.sampling.max_tokens)
        text = (
            words
            if dice < 0.1 or self.options.get("mute")
            else f"{words}\nThe answer is \\boxed{{{rng.randrange(100)}}}."
        )
        return Completion(text, completion_tokens=len(text.split()))
