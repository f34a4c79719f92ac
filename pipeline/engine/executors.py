"""Where CPU work runs: processes of this machine, or Ray actors. The scheduler does not know which."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from typing import Any, Protocol

from dsgen.pipeline.core.errors import DsgenError, UserError
from dsgen.pipeline.engine import reaper
from dsgen.pipeline.engine.child import Child
from dsgen.pipeline.engine.work import Task
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

    async def run(self, task: Task) -> tuple[Any, Task]:
        """The task's result, and the task without the units that had to be set aside."""
        ...

    async def close(self) -> None:
        """End all workers."""
        ...


class LocalExecutor:
    """Killable processes of this machine; imports no Ray."""

    def __init__(self, workers: int | None) -> None:
        self.workers = workers or os.cpu_count() or 1
        self.gpus = 0
        self._idle: asyncio.Queue[Child] = asyncio.Queue()
        self._children: list[Child] = []

    async def start(self, workflow: Workflow) -> None:
        self._children = [Child(workflow, workflow.name) for _ in range(self.workers)]
        for child in self._children:
            self._idle.put_nowait(child)

    async def run(self, task: Task) -> tuple[Any, Task]:
        child = await self._idle.get()
        try:
            return await child.do(task)
        finally:
            self._idle.put_nowait(child)

    async def close(self) -> None:
        for child in self._children:
            child.close()


class RayExecutor:
    """Ray actors, one CPU each, every one the watcher of a killable process of its own.

    Without an address a cluster is started on this machine. An actor that dies is started again by Ray; its task is
    given to the next idle one.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        import ray  # noqa: PLC0415 - Ray is imported by this executor only

        self._ray = ray
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Workers at Ray's usual niceness of 15 starve beside anything else on the machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        self._reaper = None if address else reaper.spawn()
        try:
            ray.init(
                address=address or "local",
                num_cpus=None if address else workers or os.cpu_count(),
                include_dashboard=None if address else False,
                logging_level=logging.ERROR,
                log_to_driver=False,
                object_store_memory=None if address else 256 * 1024**2,
                namespace="dsgen",
            )
        except (ConnectionError, ray.exceptions.AuthenticationError) as error:
            self._end_reaper()
            raise UserError(
                f"no Ray cluster at {address or 'this machine'}: {error}; for a cluster that wants a token set "
                "RAY_AUTH_MODE=token, and `--executor local` works without a cluster"
            ) from None
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.gpus = int(resources.get("GPU", 0))
        self.workers = workers or max(1, int(resources.get("CPU", 1)))
        self._idle: asyncio.Queue[Any] = asyncio.Queue()
        self._attempts = 3

    async def start(self, workflow: Workflow) -> None:
        self._attempts = workflow.engine.attempts
        actor = self._ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=0)(_Watcher)
        data = workflow.model_dump(mode="json")
        for _ in range(self.workers):
            self._idle.put_nowait(actor.remote(data, workflow.name))

    async def run(self, task: Task) -> tuple[Any, Task]:
        from ray.exceptions import RayActorError, RayTaskError  # noqa: PLC0415

        attempt = 0
        while True:
            attempt += 1
            actor = await self._idle.get()
            try:
                result: tuple[Any, Task] = await actor.do.remote(task)
                return result
            except RayTaskError as error:
                # Ray wraps what the actor raised; our own errors are told as they are.
                raise (error.cause if isinstance(error.cause, DsgenError) else error) from None
            except RayActorError:
                if attempt >= self._attempts:
                    raise
            finally:
                self._idle.put_nowait(actor)

    async def close(self) -> None:
        self._ray.shutdown()
        self._end_reaper()

    def _end_reaper(self) -> None:
        if self._reaper is not None:
            self._reaper.kill()
            self._reaper.wait()


class _Watcher:
    """The actor: a killable process and its watcher, with the same code as on one machine."""

    def __init__(self, data: dict[str, Any], name: str) -> None:
        from dsgen.pipeline.workflow import parse  # noqa: PLC0415 - resolved on the worker

        self.child = Child(parse(data, name), name)

    async def do(self, task: Task) -> tuple[Any, Task]:
        return await self.child.do(task)


def make(workflow: Workflow) -> Executor:
    """The executor that a workflow asks for.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    engine = workflow.engine
    if engine.executor == "local":
        return LocalExecutor(engine.workers)
    build: Callable[..., Executor] = RayExecutor
    try:
        return build(engine.workers, engine.address)
    except ModuleNotFoundError as error:
        if error.name == "ray":
            raise UserError("Ray is not installed: `pip install 'dsgen[ray]'`, or use `--executor local`") from None
        raise
