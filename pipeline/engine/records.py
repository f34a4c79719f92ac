"""Records in files: how they are framed, read from the start, and read back from their places.

A record is its length and CRC-32 (little-endian, 4 bytes each) and a JSON body that begins with its key.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.places import fingerprint
from dsgen.pipeline.engine.store import LocalStore, Missing, Store

Record = dict[str, Any]

_HEAD = struct.Struct("<II")
_CHUNK = 4 << 20
_FIRST_READ = 32 << 10
_BLOCK = 1 << 20
_BLOCKS = 64
_HANDLES = 64
_KEY = b'{"key":"'


class Torn(Exception):
    """A file does not end with a whole record."""


def framed(record: Mapping[str, Any]) -> bytes:
    """A record as it stands in a file."""
    body = orjson.dumps({"key": record["key"], **record})
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


def read(store: Store, path: str, size: int) -> Iterator[tuple[int, bytes]]:
    """The places and bodies of a file's whole records, in constant memory.

    Raises:
        Torn: the first record that is not whole; what follows is not believed.
    """
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
            more = store.read_range(path, start + len(buffer), min(max(_CHUNK, whole), size - start - len(buffer)))
            if not more:
                raise Torn(path)
            buffer, start, at = buffer[at:] + more, start + at, 0
            continue
        body = buffer[at + _HEAD.size : at + whole]
        if zlib.crc32(body) != checksum:
            raise Torn(path)
        yield start + at, body
        at += whole


def index(store: Store, path: str, size: int) -> tuple[array[int], array[int], bool]:
    """The fingerprints and places of a file's records, and whether it was torn."""
    words, offsets = array("Q"), array("Q")
    try:
        for offset, body in read(store, path, size):
            words.append(fingerprint(_key_of(body)))
            offsets.append(offset)
    except Torn:
        return words, offsets, True
    return words, offsets, False


class Reader:
    """Reads records back from their places: through a bounded number of open files, or of blocks of objects."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lock = threading.Lock()
        self._handles: OrderedDict[str, int] = OrderedDict()
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()

    def record(self, path: str, offset: int) -> Record:
        """The record at a place.

        Raises:
            DatasetError: it is not there any more.
        """
        try:
            raw = self._read(path, offset, _FIRST_READ)
            length, checksum = _HEAD.unpack_from(raw)
            body = raw[_HEAD.size : _HEAD.size + length]
            if len(body) < length:
                body += self._read(path, offset + len(raw), length - len(body))
        except (Missing, OSError, struct.error):
            length, checksum, body = 0, 0, b""
        if not length or len(body) < length or zlib.crc32(body) != checksum:
            raise DatasetError(
                f"{self.store.url}/{path}: changed while the run reads it. Nothing else may write there; "
                "give the same command again"
            )
        record: Record = orjson.loads(body)
        return record

    def close(self) -> None:
        """Close the files."""
        with self._lock:
            while self._handles:
                os.close(self._handles.popitem()[1])

    def _read(self, path: str, offset: int, length: int) -> bytes:
        if not isinstance(self.store, LocalStore):
            return self._from_blocks(path, offset, length)
        with self._lock:
            handle = self._handles.pop(path, None)
            if handle is None:
                if len(self._handles) >= _HANDLES:
                    os.close(self._handles.popitem(last=False)[1])
                handle = os.open(self.store.root / path, os.O_RDONLY | os.O_CLOEXEC)
            self._handles[path] = handle
            return os.pread(handle, length, offset)

    def _from_blocks(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of an object. What is asked for next often stands near by, and a round trip costs as much as 1 MB."""
        if length > _BLOCK:
            return self.store.read_range(path, offset, length)
        number, start = divmod(offset, _BLOCK)
        raw = self._block(path, number)[start : start + length]
        if len(raw) < length and start + len(raw) == _BLOCK:
            raw += self._block(path, number + 1)[: length - len(raw)]
        return raw

    def _block(self, path: str, number: int) -> bytes:
        with self._lock:
            block = self._blocks.get((path, number))
            if block is not None:
                self._blocks.move_to_end((path, number))
                return block
        size = self.store.size(path) or 0
        start = number * _BLOCK
        block = self.store.read_range(path, start, min(_BLOCK, size - start)) if start < size else b""
        with self._lock:
            self._blocks[path, number] = block
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        return block


def _key_of(body: bytes) -> str:
    if body.startswith(_KEY):
        key = body[len(_KEY) : body.find(b'"', len(_KEY))]
        if b"\\" not in key:
            return key.decode()
    return str(orjson.loads(body)["key"])
