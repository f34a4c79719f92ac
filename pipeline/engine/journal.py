"""The journal: records that are durable as soon as they exist, so that no killed run asks for a reply twice.

A record is its length and CRC-32 (little-endian, 4 bytes each) and a JSON body that begins with its key. A torn tail,
as a killed writer leaves it, ends the reading of that file. Every writer has files of its own, created exclusively: on
a disk one that grows, on an object store one for each flush. Records are written in groups, with one sync for all that
wait. Of several records of one key the first counts, by the files' numbers and the places in them.
"""

from __future__ import annotations

import asyncio
import os
import re
import struct
import threading
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO

import orjson

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.places import Places, fingerprint
from dsgen.pipeline.engine.store import LocalStore, Store, make_folder, sync

FOLDER = "journal"
FLUSH_S = 10.0
GROUP_BYTES = 64 << 20
_HEAD = struct.Struct("<II")
_CHUNK = 4 << 20
_FIRST_READ = 32 << 10
_OFFSET_BITS = 40
_HANDLES = 64
_READERS = 8
_KEY = b'{"key":"'

Record = dict[str, Any]


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
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="journal")
        self._handles: OrderedDict[int, int] = OrderedDict()
        self._handles_lock = threading.Lock()
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
        key = record["key"]
        body = orjson.dumps({"key": key, **record})
        future = asyncio.get_running_loop().create_future()
        self._waiting.append((fingerprint(key), _HEAD.pack(len(body), zlib.crc32(body)) + body, future))
        self._bytes += _HEAD.size + len(body)
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
            return await asyncio.to_thread(self._first, places, key, serves)
        return self._first(places, key, serves)

    async def close(self) -> None:
        """Write what waits and close the files."""
        self._closing = True
        self._now.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()
        if self._log is not None:
            self._log.close()
        with self._handles_lock:
            while self._handles:
                os.close(self._handles.popitem()[1])

    def _load(self) -> None:
        pattern = re.compile(re.escape(self._prefix) + r"(\d{6,})\.log")
        found = [(m, path, size) for path, size in self.store.list(self._prefix) if (m := pattern.fullmatch(path))]
        found.sort(key=lambda f: int(f[0].group(1)))
        self._next = int(found[-1][0].group(1)) + 1 if found else 0
        words, places = array("Q"), array("Q")
        with ThreadPoolExecutor(_READERS if self.remote else 1) as pool:
            read = pool.map(lambda f: _index(self.store, *f[1:]), found)
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
                file, offset = await loop.run_in_executor(self._thread, self._put, content)
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
            record = self._record(place >> _OFFSET_BITS, place & ((1 << _OFFSET_BITS) - 1))
            if record["key"] == key and serves(record):
                return record
        return None

    def _record(self, file: int, offset: int) -> Record:
        raw = self._bytes_at(file, offset, _FIRST_READ)
        length, checksum = _HEAD.unpack_from(raw)
        body = raw[_HEAD.size : _HEAD.size + length]
        if len(body) < length:
            body += self._bytes_at(file, offset + len(raw), length - len(body))
        if len(body) < length or zlib.crc32(body) != checksum:
            raise DatasetError(
                f"{self.store.url}/{self._files[file]}: changed while the run reads it; give the same command again"
            )
        record: Record = orjson.loads(body)
        return record

    def _bytes_at(self, file: int, offset: int, length: int) -> bytes:
        if not isinstance(self.store, LocalStore):
            return self.store.read_range(self._files[file], offset, length)
        with self._handles_lock:
            handle = self._handles.pop(file, None)
            if handle is None:
                if len(self._handles) >= _HANDLES:
                    os.close(self._handles.popitem(last=False)[1])
                handle = os.open(self.store.root / self._files[file], os.O_RDONLY | os.O_CLOEXEC)
            self._handles[file] = handle
            return os.pread(handle, length, offset)


def read(store: Store, path: str, size: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The places and bodies of a file's whole records, up to the first torn one.

    Raises:
        Torn: the file does not end with a whole record.
    """
    size = store.size(path) or 0 if size is None else size
    buffer, start, at = b"", 0, 0  # `buffer` begins at `start` of the file and is used up to `at`
    while start + at < size:
        length, checksum, whole = 0, 0, _HEAD.size
        if len(buffer) - at >= _HEAD.size:
            length, checksum = _HEAD.unpack_from(buffer, at)
            whole += length
            # No record is empty: a disk that lost power may leave zeros.
            if not length or start + at + whole > size:
                raise Torn(path)
        if not length or len(buffer) - at < whole:
            more = store.read_range(path, start + len(buffer), max(_CHUNK, whole))
            if not more:
                raise Torn(path)
            buffer, start, at = buffer[at:] + more, start + at, 0
            continue
        body = buffer[at + _HEAD.size : at + whole]
        if zlib.crc32(body) != checksum:
            raise Torn(path)
        yield start + at, body
        at += whole


class Torn(Exception):
    """A file's last whole record is not its end."""


def _index(store: Store, path: str, size: int) -> tuple[array[int], array[int], bool]:
    """The fingerprints and places of a file's records, and whether it was torn."""
    words, offsets = array("Q"), array("Q")
    try:
        for offset, body in read(store, path, size):
            words.append(fingerprint(_key_of(body)))
            offsets.append(offset)
    except Torn:
        return words, offsets, True
    return words, offsets, False


def _key_of(body: bytes) -> str:
    if body.startswith(_KEY):
        end = body.find(b'"', len(_KEY))
        key = body[len(_KEY) : end]
        if b"\\" not in key:
            return key.decode()
    return str(orjson.loads(body)["key"])
