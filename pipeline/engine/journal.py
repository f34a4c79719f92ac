"""The journal: a teacher's replies on disk as soon as they exist, so that no killed run asks for them twice.

A record is its length and CRC-32 (little-endian, 4 bytes each) and a JSON body. A torn tail, as a killed writer leaves
it, ends the reading of that file; the first record of a key wins. Every writer has a file of its own.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import orjson

from dsgen.pipeline.core.candidate import Completion, Reply, Request

_HEAD = struct.Struct("<II")


class Journal:
    """The replies of one run's teacher, read at the start and appended to while it works."""

    def __init__(self, folder: Path, model: str, revision: str) -> None:
        self.folder = folder
        self.model = model
        self.revision = revision
        self.hits = 0
        # Only places are held: the replies of a long run do not fit into memory.
        self._known: dict[str, tuple[Path, int]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        files = sorted(folder.glob("replies-*.log"))
        for path in files:
            for at, record in read(path):
                self._known.setdefault(record["key"], (path, at))
        number = int(files[-1].stem.partition("-")[2]) + 1 if files else 0
        self._file = (folder / f"replies-{number:06d}.log").open("xb")

    def find(self, request: Request) -> Reply | None:
        """The journaled reply, if it serves: a sample cut off at a lower limit than the one asked for does not."""
        place = self._known.get(request.cache_key(self.model, self.revision))
        if place is None:
            return None
        _, record = next(read(*place))
        completions = tuple(Completion(**c) for c in record["completions"])
        if any(c.finish_reason == "length" for c in completions) and record["limit"] < request.sampling.max_tokens:
            return None
        self.hits += 1
        return Reply(request.id, completions)

    def append(self, request: Request, reply: Reply) -> None:
        """Make a reply durable; a failure is not journaled, so that a resumed run asks again."""
        if reply.failure is not None:
            return
        body = orjson.dumps(
            {
                "key": request.cache_key(self.model, self.revision),
                "limit": request.sampling.max_tokens,
                "completions": [asdict(c) for c in reply.completions],
            }
        )
        self._file.write(_HEAD.pack(len(body), zlib.crc32(body)) + body)
        self._file.flush()
        os.fdatasync(self._file.fileno())

    def close(self) -> None:
        """Close the file; an empty one is removed."""
        self._file.close()
        path = Path(self._file.name)
        if path.exists() and path.stat().st_size == 0:
            path.unlink()


def read(path: Path, start: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The whole records of a journal file with their places, from one of those on, up to the first torn record."""
    with path.open("rb") as file:
        file.seek(start)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            body = file.read(length)
            if len(body) < length or zlib.crc32(body) != checksum:
                return
            yield start, orjson.loads(body)
            start += _HEAD.size + length
