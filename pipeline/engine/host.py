"""An engine in a process of its own on this machine, so that its death takes nothing else with it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.candidate import Reply, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.engine.child import die_with
from dsgen.pipeline.teachers.config import PythonConfig, VLLMConfig, build
from dsgen.pipeline.teachers.vllm import identity

EngineConfig = VLLMConfig | PythonConfig
_HEAD = struct.Struct("<I")
_CLOSE_LIMIT_S = 30.0


def slots_of(config: EngineConfig) -> int:
    """Rows that one engine of a config works on at the same time."""
    return identity.slots(config) if isinstance(config, VLLMConfig) else config.slots


class ProcessEngine:
    """A teacher whose engine lives in a child process; both ends of the pipe are ours."""

    def __init__(self, config: EngineConfig, gpus: Sequence[int] = ()) -> None:
        self.config = config
        self.gpus = tuple(gpus)
        """The GPUs that the engine may see; none named: all."""
        self.process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0

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
        """Start the process and wait until its engine is ready.

        Raises:
            TeacherError: what the engine's own start raised, or the limit of time.
            EngineLost: the process died while it started.
        """
        await self._end()
        ours, theirs = socket.socketpair()
        environment = {**os.environ, **self.config.environment}
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, self.gpus))
        command = [sys.executable, "-m", "dsgen.pipeline.engine.host", str(theirs.fileno()), str(os.getpid())]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr.fileno(),
                env=environment,
                # An engine starts processes of its own. As one group they can be ended together, and an interrupt
                # from the terminal reaches none of them: the driver decides what it means.
                start_new_session=True,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader))
        try:
            async with asyncio.timeout(self.config.start_limit_s):
                await self._call("start", self.config)
        except TimeoutError:
            await self._end()
            raise TeacherError(
                f"teacher {self.name}: the engine was not ready within {self.config.start_limit_s:g} s (start_limit_s)"
            ) from None

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        replies: Sequence[Reply] = await self._call("complete", list(requests))
        return replies

    async def report(self) -> Mapping[str, Any]:
        try:
            report: Mapping[str, Any] = await self._call("report", None)
        except EngineLost:
            return {}
        return report

    async def close(self) -> None:
        if self._writer is not None and self.process is not None and self.process.returncode is None:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_CLOSE_LIMIT_S):
                    await self._call("close", None)
        await self._end()

    async def _call(self, what: str, argument: Any) -> Any:
        # Without a reader, as after an interrupt, no answer would ever come.
        if self._writer is None or self._writer.is_closing() or self._reading is None or self._reading.done():
            raise EngineLost(f"{self.name}: the engine's process is gone")
        self._number += 1
        number = self._number
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await _send(self._writer, (number, what, argument))
            return await future
        except (ConnectionError, BrokenPipeError):
            raise EngineLost(f"{self.name}: the engine's process is gone") from None
        finally:
            self._waiting.pop(number, None)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while True:
                number, outcome = await _receive(reader)
                future = self._waiting.get(number)
                if future is None or future.done():
                    continue
                if isinstance(outcome, BaseException):
                    future.set_exception(outcome)
                else:
                    future.set_result(outcome)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        assert self.process is not None
        code = await asyncio.to_thread(self.process.wait)
        _kill_group(self.process.pid)  # what an engine leaves would keep its GPUs
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(EngineLost(f"{self.name}: the engine's process ended with {how}"))
        if self._writer is not None:
            self._writer.close()

    async def _end(self) -> None:
        # Not looked at yet: its number is still its own.
        if self.process is not None and self.process.returncode is None:
            _kill_group(self.process.pid)
        if self._reading is not None:
            await asyncio.gather(self._reading, return_exceptions=True)
            self._reading = None
        if self.process is not None:
            await asyncio.to_thread(self.process.wait)
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


async def _send(writer: asyncio.StreamWriter, data: Any) -> None:
    body = pickle.dumps(data, protocol=5)
    writer.write(_HEAD.pack(len(body)) + body)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> Any:
    (length,) = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - the other end is this program


async def serve(handle: int) -> None:
    """The engine's side: do what is asked, many calls at a time, until the other end is gone."""
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=handle))
    teacher: Any = None
    tasks: set[asyncio.Task[None]] = set()

    async def answer(number: int, what: str, argument: Any) -> None:
        nonlocal teacher
        outcome: Any
        try:
            if what == "start":
                teacher = build(argument)
                outcome = await teacher.start()
            elif what == "complete":
                outcome = await teacher.complete(argument)
            elif what == "report":
                outcome = await teacher.report()
            else:
                outcome = await teacher.close()
        except (TeacherError, EngineLost) as error:
            outcome = error
        except Exception:  # noqa: BLE001 - told at the other end
            outcome = RuntimeError(traceback.format_exc())
        if isinstance(outcome, EngineLost):
            # Whatever is left of the engine goes with the process; the other end starts a fresh one.
            await _send(writer, (number, outcome))
            os._exit(1)
        await _send(writer, (number, outcome))

    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            task = asyncio.create_task(answer(*await _receive(reader)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


if __name__ == "__mp_main__":
    # This module again, in a process that an engine has spawned: it must not outlive its host, however that dies.
    die_with(os.getppid())

if __name__ == "__main__":
    die_with(int(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver decides what an interrupt means
    asyncio.run(serve(int(sys.argv[1])))
    # Threads and children of an engine may not let the interpreter end by itself.
    os._exit(0)
