"""A seeded stand-in for a teacher's engine: the same text for the same request, in its own time, with faults on order.

Used by tests and benchmarks through ``kind: python`` with ``target: stand_in:StandIn``. Options:

* ``seconds``: mean time of a reply, log-normally long-tailed and fixed by the request; 0 answers at once;
* ``words``: words of filler in a reply;
* ``fail``: share of requests that fail the first time they are asked of this process;
* ``poison``: a text; the process kills itself when a prompt holds it;
* ``log``: a file that gets a line for every request that was begun.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dsgen.pipeline.core.candidate import Completion, Failure, Reply, Request
from dsgen.pipeline.teachers.config import PythonConfig


class StandIn:
    """Answers with a number drawn from the request's seed, now and then without a box or cut off."""

    def __init__(self, config: PythonConfig) -> None:
        self.config = config
        self.name = f"python:{config.model}"
        self.model = config.model
        self.revision = config.revision
        self.slots = config.slots
        self.options: dict[str, Any] = config.options
        self._free = asyncio.Semaphore(config.slots)
        self._failed: set[str] = set()
        self._log = Path(self.options["log"]).open("a", buffering=1) if self.options.get("log") else None
        self.asked = 0

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def report(self) -> Mapping[str, Any]:
        return {"asked": self.asked}

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return [await self._reply(r) for r in requests]

    async def _reply(self, request: Request) -> Reply:
        self.asked += 1
        rng = random.Random(request.seed)
        if self._log is not None:
            self._log.write(f"{request.id}\n")
        poison = self.options.get("poison")
        if poison and any(poison in m.text for m in request.messages):
            os.kill(os.getpid(), signal.SIGKILL)
        async with self._free:
            seconds = float(self.options.get("seconds", 0.0))
            if seconds:
                await asyncio.sleep(seconds * math.exp(rng.gauss(-0.5, 1.0)))
        if rng.random() < float(self.options.get("fail", 0.0)) and request.id not in self._failed:
            self._failed.add(request.id)
            return Reply(request.id, failure=Failure("scripted", "as asked for", retryable=True))
        return Reply(request.id, tuple(self._completion(request, rng) for _ in range(request.n)))

    def _completion(self, request: Request, rng: random.Random) -> Completion:
        words = " ".join(f"word{rng.randrange(1000)}" for _ in range(int(self.options.get("words", 20))))
        dice = rng.random()
        if dice < 0.05:
            return Completion(words, finish_reason="length", completion_tokens=request.sampling.max_tokens)
        text = words if dice < 0.1 else f"{words}\nThe answer is \\boxed{{{rng.randrange(100)}}}."
        return Completion(text, completion_tokens=len(text.split()))
