"""A killable process that works on buckets, and the handle that watches it.

The child says before every unit which one it begins, in a few bytes of shared memory. Its watcher kills it with
SIGKILL when one unit takes longer than the limit: nothing softer stops a C extension that does not return. The unit
that was at work is known, so the task is done again without it; where its Python code was is written down first.
Queues are not part of the limit, only a unit's own time is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import faulthandler
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe
from typing import IO, Any, Protocol

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.engine.work import IDLE, Task
from dsgen.pipeline.workflow import Workflow, parse

WORKER = ("-m", "dsgen.pipeline.engine.worker")
_PR_SET_PDEATHSIG = 1
_TRACE_TIME = 0.2
"""Seconds that a stuck process gets to write down where it is; one stuck in C code may not."""
_TRACE_LENGTH = 2000


class WorkerError(Exception):
    """A task failed in its worker for a reason that is dsgen's fault; carries the worker's traceback."""


class TaskUserError(UserError):
    """A task met a mistake that the user can mend."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back from a child: a value, or the text of an error and whose fault it is."""

    value: Any = None
    error: str = ""
    by_user: bool = False


class Cell:
    """The unit at work and the time at which it was begun, in memory that a process and its watcher share.

    Either is written in one store. Whoever packs both at once, with :mod:`struct`, fills the place with zeros first; a
    watcher that looks just then sees unit 0, begun at the beginning of time, and kills a worker that did no wrong.
    """

    def __init__(self, memory: mmap.mmap) -> None:
        self._unit = memoryview(memory)[:8].cast("q")
        self._since = memoryview(memory)[8:16].cast("d")

    def mark(self, unit: int) -> None:
        """Begin a unit. The time goes first: the last unit with the new time is late for nobody."""
        self._since[0] = time.monotonic()
        self._unit[0] = unit

    def read(self) -> tuple[int, float]:
        """The unit at work, and when it was begun."""
        unit = self._unit[0]
        return unit, self._since[0]


class Child:
    """One worker process. Use from one task at a time."""

    def __init__(self, workflow: Workflow, name: str, module: Sequence[str] = WORKER) -> None:
        self.module = module
        """What the process runs; tests give one that misbehaves."""
        self.workflow = workflow
        self.name = name
        self.limit = workflow.engine.row_limit_s
        self.attempts = workflow.engine.attempts
        self.process: subprocess.Popen[bytes] | None = None
        # Of its own: asyncio's common threads are few, and a task would hold one of them for minutes.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._closed = False
        self._pipe: Connection[Any, Any] | None = None
        self._cell: Cell | None = None
        self._trace: IO[bytes] | None = None

    async def do(self, task: Task) -> tuple[Any, Task]:
        """The task's result, and the task as it was in the end done: without the units that killed the process.

        Raises:
            TaskUserError: the user can mend it.
            WorkerError: dsgen cannot.
        """
        strikes: dict[int, int] = {}
        while True:
            outcome = await asyncio.get_running_loop().run_in_executor(self._thread, self._attempt, task)
            if isinstance(outcome, Outcome):
                if outcome.by_user:
                    raise TaskUserError(outcome.error)
                if outcome.error:
                    raise WorkerError(outcome.error)
                return outcome.value, task
            unit, reason, trace = outcome
            strikes[unit] = strikes.get(unit, 0) + 1
            if unit == IDLE and strikes[unit] >= self.attempts:
                raise WorkerError(f"the worker process died {strikes[unit]} times before it began a unit ({reason})")
            if unit != IDLE and (strikes[unit] >= self.attempts or reason == "timeout"):
                detail = f"killed its worker {strikes[unit]} times" if reason != "timeout" else f"{self.limit:g} s"
                task = replace(task, poison={**task.poison, unit: (reason, f"{detail}\n{trace}".strip())})

    def close(self) -> None:
        """End the process for good; a thread that waits for it sees its end and gives up."""
        self._closed = True
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._thread.shutdown(wait=True)
        if self._trace is not None:
            self._trace.close()
            self._trace = None

    def _drop(self) -> None:
        """Let go of a process that is dead or must be."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None

    def _attempt(self, task: Task) -> Outcome | tuple[int, str, str]:
        """The outcome of one try; or the unit that was at work when the process ended, why, and where it was."""
        if self._closed:
            return Outcome(error="the worker was closed")
        if self.process is None or self.process.poll() is not None:
            self._drop()
            self._start()
        pipe, cell = self._pipe, self._cell
        assert pipe is not None and cell is not None and self.process is not None
        cell.mark(IDLE)
        try:
            pipe.send(task)
            while not pipe.poll(min(0.2, self.limit / 4)):
                unit, since = cell.read()
                if unit != IDLE and time.monotonic() - since > self.limit:
                    self.process.send_signal(signal.SIGUSR1)
                    time.sleep(_TRACE_TIME)
                    self._drop()
                    return unit, "timeout", self._where()
            outcome: Outcome = pipe.recv()
        except (EOFError, OSError):
            unit, _ = cell.read()
            code = self.process.wait()
            self._drop()
            return unit, f"signal_{-code}" if code < 0 else f"exit_{code}", self._where()
        return outcome

    def _where(self) -> str:
        """What the process wrote down about its stack before it ended; empty after a SIGKILL from elsewhere."""
        if self._trace is None:
            return ""
        self._trace.seek(0)
        said = self._trace.read().decode(errors="replace")
        # The other lines hold addresses, which differ from run to run.
        return "\n".join(line for line in said.splitlines() if line.startswith("  File"))[:_TRACE_LENGTH]

    def _start(self) -> None:
        ours, theirs = Pipe()
        if self._trace is not None:
            self._trace.close()
        self._trace = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process lives
        with tempfile.TemporaryFile() as cell:
            cell.truncate(mmap.PAGESIZE)
            self._cell = Cell(mmap.mmap(cell.fileno(), mmap.PAGESIZE))
            handles = (theirs.fileno(), cell.fileno(), self._trace.fileno())
            command = [sys.executable, *self.module, *map(str, handles), str(os.getpid())]
            # A worker is one of many: numpy's thread pool costs each of them its start and is never used.
            environment = {"OPENBLAS_NUM_THREADS": "1", **os.environ}
            self.process = subprocess.Popen(  # noqa: S603
                command, pass_fds=handles, stdin=subprocess.DEVNULL, env=environment
            )
        theirs.close()
        self._pipe = ours
        with contextlib.suppress(OSError):
            ours.send((self.workflow.model_dump(mode="json"), self.name))


class Bench(Protocol):
    """What does tasks, such as a :class:`~dsgen.pipeline.engine.work.Workbench`."""

    def do(self, task: Task, mark: Callable[[int], None]) -> Any:
        """The result of a task; ``mark`` is told each unit before it is begun."""
        ...


def serve(make_bench: Callable[[Workflow], Bench]) -> None:
    """The child's side: open the workflow, then do tasks until the parent is gone."""
    handle, cell, trace, parent = (int(a) for a in sys.argv[1:5])
    die_with(parent)
    faulthandler.enable(trace)
    faulthandler.register(signal.SIGUSR1, trace)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides what an interrupt means
    pipe: Connection[Any, Any] = Connection(handle)
    mark = Cell(mmap.mmap(cell, mmap.PAGESIZE)).mark

    data, name = pipe.recv()
    bench: Bench | None = None
    while True:
        try:
            task: Task = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            if bench is None:
                bench = make_bench(parse(data, name))
            outcome = Outcome(bench.do(task, mark))
        except UserError as error:
            outcome = Outcome(error=str(error), by_user=True)
        except OSError as error:
            kept = "what was committed is intact, the same command goes on from it"
            outcome = Outcome(error=f"cannot read {error.filename} ({error.strerror}); {kept}", by_user=True)
        except Exception:  # noqa: BLE001 - the boundary: a bug is reported with its traceback, never lost
            outcome = Outcome(error=traceback.format_exc())
        mark(IDLE)
        try:
            pipe.send(outcome)
        except (BrokenPipeError, OSError):
            return


def die_with(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends, where it can."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
