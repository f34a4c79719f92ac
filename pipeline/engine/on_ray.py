"""Workers and engines as Ray actors. Whatever node dies, its work is done again on those that are left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import ray
from ray.exceptions import ActorDiedError, AuthenticationError, RayError, RayTaskError

from dsgen.pipeline.core.candidate import Reply, Request
from dsgen.pipeline.core.errors import DsgenError, EngineLost, TeacherError, UserError
from dsgen.pipeline.engine import reaper
from dsgen.pipeline.engine.child import Child
from dsgen.pipeline.engine.host import EngineConfig, slots_of
from dsgen.pipeline.engine.schedule import Lanes
from dsgen.pipeline.engine.work import Task
from dsgen.pipeline.teachers.config import ModelConfig, OpenAIConfig, build
from dsgen.pipeline.teachers.protocol import Teacher
from dsgen.pipeline.workflow import Workflow, parse

_STORE_BYTES = 256 * 1024**2
_KNOCK_LIMIT_S = 20.0
_GONE_LIMIT_S = 120.0
"""Time without any worker after which a run gives up: a cluster may need as long to bring a node back."""


class RayExecutor:
    """Ray actors, one CPU each, every one the watcher of a killable process of its own.

    Without an address a cluster is started on this machine. The place of an actor that died is taken by a fresh one as
    soon as the cluster has room for it; its task is given to the next idle one.
    """

    def __init__(self, workers: int | None, address: str | None) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        # Workers at Ray's usual niceness of 15 starve beside anything else on the machine.
        os.environ.setdefault("RAY_worker_niceness", "0")
        address = address or os.environ.get("RAY_ADDRESS")
        self._reaper = None if address else reaper.Reaper()
        try:
            if address:
                _knock(address)
            with _own_sigterm():
                ray.init(
                    # Left out, it would be any cluster that happens to run on this machine.
                    address=address or "local",
                    num_cpus=None if address else workers or os.cpu_count(),
                    include_dashboard=None if address else False,
                    logging_level=logging.ERROR,
                    log_to_driver=False,
                    object_store_memory=None if address else _STORE_BYTES,
                    namespace="dsgen",
                )
        except (OSError, AuthenticationError, ValueError) as error:
            if self._reaper is not None:
                self._reaper.end()
            raise UserError(
                f"no Ray cluster at {address or 'this machine'}: {error}; for a cluster that wants a token set "
                "RAY_AUTH_MODE=token, and `--executor local` works without a cluster"
            ) from None
        resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
        self.gpus = int(resources.get("GPU", 0))
        self.workers = workers or max(1, int(resources.get("CPU", 1)))
        self._lanes = Lanes()
        self._alive = 0
        self._useless = ""
        self._attempts = 3
        self._data: dict[str, Any] = {}
        self._name = ""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, workflow: Workflow) -> None:
        self._attempts = workflow.engine.attempts
        self._data, self._name = workflow.model_dump(mode="json"), workflow.name
        for _ in range(self.workers):
            self._spawn(self._bring_up())

    async def run(self, task: Task, *, urgent: bool = False) -> tuple[Any, Task]:
        attempt = 0
        while True:
            attempt += 1
            actor = await self._take(urgent)
            try:
                result: tuple[Any, Task] = await actor.do.remote(task)
            except RayTaskError as error:
                self._lanes.give(actor)
                # Ray wraps what the actor raised; our own errors are told as they are.
                raise (error.cause if isinstance(error.cause, DsgenError) else error) from None
            except RayError as error:
                self._alive -= 1
                # It may live on behind a broken connection, and would keep its CPU.
                _end(actor)
                self._spawn(self._bring_up())
                # Nodes come and go; only a task that takes its actor along time after time is at fault.
                if attempt >= self._attempts + self.workers:
                    raise DsgenError(f"{attempt} workers died under one task; the last one: {error}") from error
            else:
                self._lanes.give(actor)
                return result

    def engines(self, config: ModelConfig) -> list[Teacher]:
        if isinstance(config, OpenAIConfig):
            return [build(config)]
        return [RayEngine(config) for _ in range(config.engines)]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        ray.shutdown()
        if self._reaper is not None:
            self._reaper.end()

    async def _take(self, urgent: bool) -> Any:
        """An idle worker; gives up when none can be had, or there has been none at all for long."""
        taking = asyncio.ensure_future(self._lanes.take(urgent=urgent))
        since = time.monotonic()
        try:
            while True:
                done, _ = await asyncio.wait({taking}, timeout=5.0)
                if done:
                    return taking.result()
                if self._useless and not self._alive:
                    raise UserError(
                        f"workers cannot be started on the cluster's nodes: {self._useless}. dsgen and what the "
                        "workflow needs must be installed on every node, in the same versions"
                    )
                if self._alive:
                    since = time.monotonic()
                elif time.monotonic() - since > _GONE_LIMIT_S:
                    raise UserError(
                        f"the cluster has had no CPU for a worker for {_GONE_LIMIT_S:g} s; what was committed is "
                        "intact: give it CPUs and the same command goes on"
                    )
        finally:
            taking.cancel()

    async def _bring_up(self) -> None:
        """A fresh worker, lent out once it answers: one that waits for a CPU must not be given a task."""
        watcher = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Watcher)
        while True:
            actor: Any = watcher.remote(self._data, self._name)
            try:
                await actor.ready.remote()
            except RayError as error:
                if isinstance(error, ActorDiedError) and error.actor_init_failed:
                    self._useless = _last_line(error)
                    return
                _end(actor)
                await asyncio.sleep(1.0)
                continue
            self._alive += 1
            self._lanes.give(actor)
            return

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Watcher:
    """The actor: a killable process and its watcher, with the same code as on one machine."""

    def __init__(self, data: dict[str, Any], name: str) -> None:
        self.child = Child(parse(data, name), name)

    def ready(self) -> bool:
        """The actor runs."""
        return True

    async def do(self, task: Task) -> tuple[Any, Task]:
        """The task's result, and the task as it was done."""
        return await self.child.do(task)


class RayEngine:
    """A teacher whose engine lives in an actor with GPUs of its own."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.actor: Any = None

    @property
    def name(self) -> str:
        return f"{self.config.kind}:{self.config.model}"

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def revision(self) -> str:
        return self.config.revision

    @property
    def slots(self) -> int:
        return slots_of(self.config)

    async def start(self) -> None:
        """Place a fresh actor and wait until its engine is ready.

        Raises:
            TeacherError: what the engine's own start raised, or the limit of time: no node has that many GPUs free.
            EngineLost: the actor died while it started.
        """
        self._drop()
        options: dict[str, Any] = {
            "num_gpus": self.config.gpus,
            # Workers hold all CPUs of the cluster by now: an engine that asked for one would never be placed.
            "num_cpus": 0,
            "max_restarts": 0,
            "max_task_retries": 0,
            "max_concurrency": 2 * self.slots + 16,
        }
        if self.config.environment:
            options["runtime_env"] = {"env_vars": dict(self.config.environment)}
        self.actor = ray.remote(**options)(_Engine).remote(self.config)
        try:
            async with asyncio.timeout(self.config.start_limit_s):
                await self._call("start")
        except TimeoutError:
            self._drop()
            raise TeacherError(
                f"teacher {self.name}: no engine was ready within {self.config.start_limit_s:g} s (start_limit_s); it "
                f"wants {self.config.gpus} GPUs on one node"
            ) from None

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        replies: Sequence[Reply] = await self._call("complete", list(requests))
        return replies

    async def report(self) -> Mapping[str, Any]:
        try:
            report: Mapping[str, Any] = await self._call("report")
        except EngineLost:
            return {}
        return report

    async def close(self) -> None:
        if self.actor is not None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(30):
                    await self._call("close")
        self._drop()

    async def _call(self, what: str, *arguments: Any) -> Any:
        if self.actor is None:
            raise EngineLost(f"{self.name}: the engine's actor is gone")
        try:
            return await getattr(self.actor, what).remote(*arguments)
        except RayTaskError as error:
            raise (error.cause if isinstance(error.cause, DsgenError) else RuntimeError(str(error))) from None
        except RayError as error:
            if isinstance(error, ActorDiedError) and error.actor_init_failed:
                raise TeacherError(
                    f"teacher {self.name}: no engine can be started on the cluster's nodes: {_last_line(error)}. "
                    "dsgen must be installed on every node, in the same version"
                ) from None
            # Ids, addresses and times differ from run to run and would end up in rows.
            said = re.split(r"[.:\n]", str(error), maxsplit=1)[0]
            raise EngineLost(f"{self.name}: {said}") from None

    def _drop(self) -> None:
        if self.actor is not None:
            _end(self.actor)
            self.actor = None


class _Engine:
    """The actor: the teacher itself, in a process on the node that has its GPUs."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config

    async def start(self) -> None:
        """Bring the engine up."""
        # Processes that an engine has started outlive an actor that is killed, and keep the GPUs.
        self.reaper = reaper.Reaper()
        self.teacher = build(self.config)
        await self.teacher.start()

    async def complete(self, requests: list[Request]) -> Sequence[Reply]:
        """One reply each."""
        return await self.teacher.complete(requests)

    async def report(self) -> Mapping[str, Any]:
        """What the engine counted."""
        return await self.teacher.report()

    async def close(self) -> None:
        """Let the engine go."""
        await self.teacher.close()


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdigit() and "/" not in address:
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_LIMIT_S).close()


def _end(actor: Any) -> None:
    with contextlib.suppress(RayError):
        ray.kill(actor, no_restart=True)


def _last_line(error: RayError) -> str:
    """What a traceback ends with, without colours."""
    lines = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip().splitlines()
    return lines[-1].strip() if lines else type(error).__name__


@contextmanager
def _own_sigterm() -> Iterator[None]:
    """Keep this process's way of ending: Ray puts a handler of its own in place, which exits on the spot."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, handler)


__all__ = ["RayEngine", "RayExecutor"]
