"""Where work runs: processes of this machine, or Ray actors. The scheduler does not know which."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.engine import reaper
from dsgen.pipeline.engine.child import Child
from dsgen.pipeline.engine.host import ProcessEngine
from dsgen.pipeline.engine.schedule import Lanes
from dsgen.pipeline.engine.work import Task
from dsgen.pipeline.teachers.config import ModelConfig, OpenAIConfig, build
from dsgen.pipeline.teachers.protocol import Teacher
from dsgen.pipeline.workflow import Workflow


class Executor(Protocol):
    """Runs tasks on CPU workers, as many at a time as there are workers; further ones wait."""

    @property
    def workers(self) -> int:
        """Tasks at the same time."""
        ...

    @property
    def gpus(self) -> int:
        """GPUs of the machine or the cluster."""
        ...

    async def start(self, workflow: Workflow) -> None:
        """Start the workers for a workflow whose teacher is settled."""
        ...

    async def run(self, task: Task, *, urgent: bool = False) -> tuple[Any, Task]:
        """The task's result, and the task without the units that had to be set aside; urgent ones go first."""
        ...

    def engines(self, config: ModelConfig) -> list[Teacher]:
        """The engines of a teacher, not yet started."""
        ...

    async def close(self) -> None:
        """End all workers."""
        ...


class LocalExecutor:
    """Killable processes of this machine; imports no Ray."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self._visible = visible_gpus()
        self.gpus = len(self._visible)
        self._lanes = Lanes()
        self._children: list[Child] = []
        self._reaper: reaper.Reaper | None = None

    async def start(self, workflow: Workflow) -> None:
        self._children = [Child(workflow, workflow.name) for _ in range(self.workers)]
        for child in self._children:
            self._lanes.give(child)

    async def run(self, task: Task, *, urgent: bool = False) -> tuple[Any, Task]:
        child = await self._lanes.take(urgent=urgent)
        try:
            outcome: tuple[Any, Task] = await child.do(task)
            return outcome
        finally:
            self._lanes.give(child)

    def engines(self, config: ModelConfig) -> list[Teacher]:
        if isinstance(config, OpenAIConfig):
            return [build(config)]
        if self._reaper is None:
            # An engine starts processes of its own, which do not all end with it.
            self._reaper = reaper.Reaper()
        made: list[Teacher] = []
        for _ in range(config.engines):
            taken, self._visible = self._visible[: config.gpus], self._visible[config.gpus :]
            if self.gpus and len(taken) < config.gpus:
                raise UserError(
                    f"teacher {config.kind}:{config.model}: {config.engines} engines of {config.gpus} GPUs are wanted, "
                    f"this machine has {self.gpus}; lower `engines` or `tensor_parallel`, or join a cluster"
                )
            made.append(ProcessEngine(config, taken))
        return made

    async def close(self) -> None:
        for child in self._children:
            child.close()
        if self._reaper is not None:
            self._reaper.end()


def visible_gpus() -> list[int]:
    """The numbers of this machine's NVIDIA GPUs that this process may use."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [int(n) for n in named.split(",") if n.strip().isdigit()]
    found = [re.fullmatch(r"nvidia(\d+)", p.name) for p in Path("/dev").glob("nvidia*")]
    return sorted(int(m[1]) for m in found if m)


def make(workflow: Workflow) -> Executor:
    """The executor that a workflow asks for.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    engine = workflow.engine
    if engine.executor == "local":
        return LocalExecutor(engine.workers)
    try:
        from dsgen.pipeline.engine.on_ray import RayExecutor  # noqa: PLC0415 - Ray is imported only where it is used
    except ModuleNotFoundError as error:
        if error.name == "ray":
            raise UserError("Ray is not installed: `pip install 'dsgen[ray]'`, or use `--executor local`") from None
        raise
    build_it: Callable[..., Executor] = RayExecutor
    return build_it(engine.workers, engine.address)
