"""What a disturbed run is made of and leaves behind: its workflow, its files, its journal, the requests it asked."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq

ENGINES, SLOTS = 2, 8
WORKFLOW: dict[str, Any] = {
    "name": "chaos",
    "seed": 5,
    "bucket_units": 20,
    "sources": [{"kind": "templates", "seeds": 2}, {"kind": "gsm8k", "limit": 10}],
    "mutators": [{"kind": "perturb", "count": 2}, {"kind": "invert_backward", "count": 1}],
    "validators": [
        {"kind": "format"},
        {"kind": "answer", "required": False},
        {"kind": "steps", "required": False},
        {"kind": "judge"},
    ],
    "engine": {"open_rows": 120},
}
"""Two samples a problem, and a judge who is asked about each that has the right form."""


def workflow(path: Path, *, log: Path, options: dict[str, Any] | None = None, **engine: Any) -> Path:
    """A workflow file whose teacher is the stand-in, with long-tailed times and a process of its own."""
    teacher = {
        "kind": "python",
        "target": "stand_in:StandIn",
        "model": "seeded",
        "engines": ENGINES,
        "slots": SLOTS,
        "n": 2,
        "options": {"seconds": 0.1, "words": 20, "children": 1, "log": str(log), **(options or {})},
    }
    made = WORKFLOW | {"teacher": teacher, "engine": WORKFLOW["engine"] | engine}
    path.write_text(json.dumps(made))  # JSON is YAML
    return path


class Output:
    """A run's folder and the log of its stand-in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "out"
        self.log = root / "log"
        root.mkdir(parents=True, exist_ok=True)

    def files(self) -> dict[str, str]:
        """Hashes of the data files: accepted, rejected, quarantined."""
        return {
            str(p.relative_to(self.folder)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in sorted(self.folder.rglob("*.parquet"))
        }

    def rows(self, columns: list[str], kind: str = "") -> list[dict[str, Any]]:
        """Rows of the dataset, of a kind (``data``, ``rejected``, ``quarantine``) or all."""
        paths = sorted((self.folder / kind).rglob("*.parquet"))
        return [row for p in paths for row in pq.read_table(p, columns=columns).to_pylist()]

    def ids(self) -> Counter[str]:
        """How often each sample stands in the dataset."""
        return Counter(row["id"] for row in self.rows(["id"]))

    def counts(self) -> dict[str, int]:
        """Samples by outcome, as the manifest tells them."""
        counts: dict[str, int] = json.loads((self.folder / "manifest.json").read_text())["counts"]
        return counts

    def commits(self) -> dict[str, tuple[int, bytes]]:
        """The commit records with the times at which they were written."""
        found = {}
        for path in (self.folder / "commits").glob("bucket-*.json"):
            found[path.name] = (path.stat().st_mtime_ns, path.read_bytes())
        return found

    def kept(self) -> set[str]:
        """The keys of all replies that are durable; read without the code that is under test."""
        return {orjson.loads(b)["key"] for p in (self.folder / "journal").glob("*.log") for b in _records(p)}

    def begun(self) -> Counter[str]:
        """How often each request was begun by an engine, by its key."""
        return self._logged("begun")

    def answered(self) -> set[str]:
        """The requests that an engine has answered."""
        return set(self._logged("done"))

    def asked(self) -> int:
        """Requests begun, repeated ones included."""
        return self.log.read_bytes().count(b"begun") if self.log.exists() else 0

    def _logged(self, what: str) -> Counter[str]:
        if not self.log.exists():
            return Counter()
        lines = (line.split() for line in self.log.read_text().splitlines())
        # A killed engine may have left half a line.
        return Counter(line[1] for line in lines if len(line) == 3 and line[0] == what)


def _records(path: Path) -> Iterator[bytes]:
    """The whole records of a journal's file: length, CRC-32 and body, up to a torn one."""
    raw, at = path.read_bytes(), 0
    while at + 8 <= len(raw):
        length, checksum = struct.unpack_from("<II", raw, at)
        body = raw[at + 8 : at + 8 + length]
        if len(body) < length or zlib.crc32(body) != checksum:
            return
        yield body
        at += 8 + length
