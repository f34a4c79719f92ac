"""The journal: records that are durable as soon as they exist, so that no killed run asks for a reply twice.

Every writer has files of its own, created exclusively: on a disk one that grows, on an object store one for each flush.
Records are written in groups, with one sync for all that wait. A torn tail, as a killed writer leaves it, ends the
reading of that file. Of several records of one key the first counts, by the files' numbers and the places in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from array import array
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.places import Places, fingerprint
from dsgen.pipeline.engine.records import Reader, Record, framed, index
from dsgen.pipeline.engine.store import LocalStore, Store, make_folder, sync

FOLDER = "journal"
FLUSH_S = 10.0
GROUP_BYTES = 64 << 20
_OFFSET_BITS = 40
_READERS = 8


class Journal:
    """The records of one run, read at the start and appended to while it works."""

    def __init__(
        self, store: Store, name: str = "replies", *, flush_s: float = FLUSH_S, group_bytes: int = GROUP_BYTES
    ) -> None:
        self.store = store
        self.flush_s = 0.0 if isinstance(store, LocalStore) else flush_s
        """Seconds for which an object store's journal gathers; a disk's writes at once what waits."""
        self.group_bytes = group_bytes
        self.torn = 0
        """Files whose reading ended at a torn or damaged record."""
        self._prefix = f"{FOLDER}/{name}-"
        self._files: list[str] = []
        self._places = Places()
        self._waiting: list[tuple[int, bytes, asyncio.Future[None]]] = []
        self._bytes = 0
        self._task: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self._closing = False
        self._broken: DatasetError | None = None
        # Threads of its own: those of asyncio may all be waiting for workers.
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._readers = ThreadPoolExecutor(_READERS if self.remote else 1, thread_name_prefix="journal-read")
        self._reader = Reader(store)
        self._log: BinaryIO | None = None
        self._load()

    @property
    def remote(self) -> bool:
        """Reading a record back takes a round trip."""
        return not isinstance(self.store, LocalStore)

    def __len__(self) -> int:
        return len(self._places)

    async def append(self, record: Mapping[str, Any]) -> None:
        """Make a record durable; returns when it is.

        Args:
            record: JSON data with the text ``key``.

        Raises:
            DatasetError: it could not be written; then nothing is taken any more.
        """
        if self._broken is not None:
            raise self._broken
        frame = framed(record)
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((fingerprint(record["key"]), frame, future))
        self._bytes += len(frame)
        if self._bytes >= self.group_bytes:
            self._now.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write())
        await future

    def get(self, key: str, serves: Callable[[Record], bool] = lambda _: True) -> Record | None:
        """The first record of a key that serves."""
        return self._first(self._places.find(fingerprint(key)), key, serves)

    async def find(self, key: str, serves: Callable[[Record], bool] = lambda _: True) -> Record | None:
        """As :meth:`get`, without holding up the event loop where a round trip is needed."""
        places = self._places.find(fingerprint(key))
        if not places:
            return None
        if self.remote:
            return await asyncio.get_running_loop().run_in_executor(self._readers, self._first, places, key, serves)
        return self._first(places, key, serves)

    def flush(self) -> None:
        """Have what waits written now, for whoever waits for the last rows."""
        if self._waiting:
            self._now.set()

    async def close(self) -> None:
        """Write what waits and close the files."""
        self._closing = True
        self._now.set()
        if self._task is not None:
            await self._task
        self._writer.shutdown()
        self._readers.shutdown()
        if self._log is not None:
            # Closing flushes once more; after a failed write that fails again, and would hide the first error.
            with contextlib.suppress(OSError) if self._broken else contextlib.nullcontext():
                self._log.close()
        self._reader.close()

    def _load(self) -> None:
        pattern = re.compile(re.escape(self._prefix) + r"(\d{6,})\.log")
        found = [(m, path, size) for path, size in self.store.list(self._prefix) if (m := pattern.fullmatch(path))]
        found.sort(key=lambda f: int(f[0].group(1)))
        self._next = int(found[-1][0].group(1)) + 1 if found else 0
        words, places = array("Q"), array("Q")
        read = self._readers.map(lambda f: index(self.store, *f[1:]), found)
        for number, ((_, path, _), (file_words, offsets, torn)) in enumerate(zip(found, read, strict=True)):
            self._files.append(path)
            self.torn += torn
            words += file_words
            places.extend(number << _OFFSET_BITS | offset for offset in offsets)
        self._places.load(words, places)

    async def _write(self) -> None:
        """Write in groups until nothing waits."""
        loop = asyncio.get_running_loop()
        while self._waiting:
            if self.flush_s and not self._closing:
                try:
                    async with asyncio.timeout(self.flush_s):
                        await self._now.wait()
                except TimeoutError:
                    pass
            group, size = self._take()
            try:
                content = b"".join([frame for _, frame, _ in group])
                file, offset = await loop.run_in_executor(self._writer, self._put, content)
            except BaseException as error:
                self._fail(group, error)
                if not isinstance(error, DatasetError):
                    raise
                return
            assert size == len(content)
            place = file << _OFFSET_BITS | offset
            for word, frame, future in group:
                self._places.add(word, place)
                place += len(frame)
                if not future.done():
                    future.set_result(None)

    def _take(self) -> tuple[list[tuple[int, bytes, asyncio.Future[None]]], int]:
        """The records of the next group, and their bytes."""
        size = count = 0
        for _, frame, _ in self._waiting:
            if count and size + len(frame) > self.group_bytes:
                break
            size += len(frame)
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        self._bytes -= size
        if self._bytes < self.group_bytes and not self._closing:
            self._now.clear()
        return group, size

    def _fail(self, group: list[tuple[int, bytes, asyncio.Future[None]]], error: BaseException) -> None:
        # What follows a torn record in a file is not read again, so that nothing may be written behind it.
        told = error if isinstance(error, DatasetError) else DatasetError(f"{self.store.url}: the journal was stopped")
        self._broken = told
        for _, _, future in group + self._waiting:
            if not future.done():
                future.set_exception(told)
        self._waiting, self._bytes = [], 0

    def _put(self, content: bytes) -> tuple[int, int]:
        """Write a group; returns the number of the file and the place in it. Runs in the journal's thread."""
        if isinstance(self.store, LocalStore):
            with self.store.writing():
                log = self._log = self._log or self._own_file(self.store)
                offset = log.tell()
                log.write(content)
                log.flush()
                os.fdatasync(log.fileno())
            return len(self._files) - 1, offset
        while not self.store.create(path := self._name(), content) and self.store.read(path) != content:
            pass  # another driver's; equal bytes are ours: the answer to the first try was lost
        self._files.append(path)
        return len(self._files) - 1, 0

    def _own_file(self, store: LocalStore) -> BinaryIO:
        make_folder(store.root / FOLDER)
        while True:
            path = self._name()
            try:
                log = (store.root / path).open("xb")
            except FileExistsError:
                continue
            sync(store.root / FOLDER)
            self._files.append(path)
            return log

    def _name(self) -> str:
        self._next += 1
        return f"{self._prefix}{self._next - 1:06d}.log"

    def _first(self, places: list[int], key: str, serves: Callable[[Record], bool]) -> Record | None:
        for place in places:
            record = self._reader.record(self._files[place >> _OFFSET_BITS], place & ((1 << _OFFSET_BITS) - 1))
            if record["key"] == key and serves(record):
                return record
        return None
