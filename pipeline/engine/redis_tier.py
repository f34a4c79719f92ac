"""The third tier: replies that runs share through a Redis. It may be dead, slow or full: no run is the worse for it.

Values are zstd-compressed records under ``dsgen:1:<key>``, set only where there is none. Reads that wait at the same
time go out as one; writes are gathered behind the run's back. After some failures in a row the tier is switched off.
"""

from __future__ import annotations

import asyncio
import importlib
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.store import Notice

PREFIX = "dsgen:1:"
TIMEOUT_S = 0.5
FAILURES = 3
_GROUP = 256
_WAITING_BYTES = 32 << 20
_LARGEST = 64 << 20
_HEAD = struct.Struct("<I")
_CODEC = pa.Codec("zstd")


class RedisTier:
    """A Redis as a cache. Nothing here raises on account of the server; use from one event loop."""

    def __init__(
        self, url: str, *, notice: Notice = lambda _: None, timeout: float = TIMEOUT_S, failures: int = FAILURES
    ) -> None:
        """Take a server by its URL, ``redis://[user:password@]host[:port][/db]`` or ``rediss://``; nothing is sent yet.

        Args:
            url: the server.
            notice: told once when the tier is switched off.
            timeout: seconds for one exchange with the server.
            failures: exchanges that may fail in a row.

        Raises:
            DatasetError: the package is not installed, or the URL is none.
        """
        self.name = _without_password(url)
        """The server, for messages."""
        self.notice = notice
        self.timeout = timeout
        self.failures = failures
        self.on = True
        self.dropped = 0
        """Values that were not shared: the server did not take them, or too many waited."""
        self._failed = 0
        self._wanted: list[tuple[list[str], asyncio.Future[list[bytes | None]]]] = []
        self._waiting: list[tuple[str, bytes]] = []
        self._bytes = 0
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        # A thread of its own: those of asyncio may all be waiting for workers.
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="redis")
        try:
            asynchronous = importlib.import_module("redis.asyncio")
            retry = importlib.import_module("redis.asyncio.retry").Retry(
                importlib.import_module("redis.backoff").NoBackoff(), 0
            )
        except ImportError as error:
            raise DatasetError(
                f"{self.name}: the package redis is not installed; pip install 'dsgen[redis]'"
            ) from error
        try:
            self._client: Any = asynchronous.from_url(
                url, retry=retry, socket_timeout=timeout, socket_connect_timeout=timeout, protocol=2
            )
        except ValueError:
            # The library's own message would repeat the URL with its password.
            raise DatasetError(f"{self.name}: not the URL of a Redis; write redis://host:6379/0") from None

    async def find(self, keys: Sequence[str]) -> list[bytes]:
        """The values of those keys that are there, in the order of the keys."""
        if not self.on:
            return []
        future: asyncio.Future[list[bytes | None]] = asyncio.get_running_loop().create_future()
        self._wanted.append(([PREFIX + key for key in keys], future))
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read())
        found = [_unpacked(value) for value in await future if value is not None]
        return [value for value in found if value is not None]

    def put(self, key: str, value: bytes) -> None:
        """Share a value, some time later, unless there is one of this key."""
        if not self.on:
            return
        if self._bytes + len(value) > _WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting.append((PREFIX + key, value))
        self._bytes += len(value)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())

    async def close(self) -> None:
        """Send what waits, for no longer than the time limit allows, and hang up."""
        for task in (self._reader, self._writer):
            if task is not None:
                await asyncio.wait([task], timeout=self.timeout * 2)
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._off()
        self._packer.shutdown(wait=False)
        await asyncio.gather(self._client.aclose(), return_exceptions=True)

    async def _read(self) -> None:
        while self._wanted:
            group, self._wanted = self._wanted[:_GROUP], self._wanted[_GROUP:]
            keys = [key for wanted, _ in group for key in wanted]
            values = await self._exchange("mget", keys) or [None] * len(keys)
            for wanted, future in group:
                own, values = values[: len(wanted)], values[len(wanted) :]
                if not future.done():
                    future.set_result(own)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting and self.on:
            group, self._waiting = self._waiting[:_GROUP], self._waiting[_GROUP:]
            packed = await loop.run_in_executor(self._packer, lambda of: [(k, _packed(v)) for k, v in of], group)
            pipeline = self._client.pipeline(transaction=False)
            for key, value in packed:
                pipeline.set(key, value, nx=True)
            if await self._exchange(None, pipeline) is None:
                self.dropped += len(group)
            self._bytes -= sum(len(value) for _, value in group)

    async def _exchange(self, command: str | None, what: Any) -> Any:
        """The server's answer, or ``None`` where there was none."""
        if not self.on:
            return None
        try:
            async with asyncio.timeout(self.timeout):
                answer = await (what.execute() if command is None else getattr(self._client, command)(what))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a cache, the run goes on
            self._failed += 1
            # A wrong password will not become right. Reads and writes may fail at the same time, and one says so.
            if self.on and (self._failed >= self.failures or "Authentication" in type(error).__name__):
                self._off()
                self.notice(
                    f"{self.name}: {_reason(error)}; the run goes on without it. Its replies are in its own journal"
                )
            return None
        self._failed = 0
        return answer

    def _off(self) -> None:
        self.on = False
        self._waiting, self._bytes = [], 0
        for _, future in self._wanted:
            if not future.done():
                future.set_result([])
        self._wanted = []


def _packed(value: bytes) -> bytes:
    return _HEAD.pack(len(value)) + bytes(_CODEC.compress(value, asbytes=True))


def _unpacked(value: bytes) -> bytes | None:
    """The value, or ``None`` for what is none: others write to a shared server as well."""
    if len(value) < _HEAD.size:
        return None
    (size,) = _HEAD.unpack_from(value)
    if size > _LARGEST:
        return None
    try:
        unpacked = bytes(_CODEC.decompress(value[_HEAD.size :], decompressed_size=size, asbytes=True))
    except (OSError, ValueError):
        return None
    return unpacked if len(unpacked) == size else None


def _reason(error: Exception) -> str:
    kind = type(error).__name__
    if "Authentication" in kind:
        return "it refuses the user name or password"
    if isinstance(error, TimeoutError) or kind == "TimeoutError":
        return "it does not answer in time"
    if kind == "ConnectionError":
        return "it cannot be reached"
    return f"it refuses ({kind})"


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        where = f"{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}"
    except ValueError:
        return "redis"
    return f"{parts.scheme}://{where}{parts.path}"
