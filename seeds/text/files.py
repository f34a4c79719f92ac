"""Records from JSON Lines and Parquet files, by number, with errors that name the line."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import orjson

from dsgen.pipeline.core.errors import SourceError

SHIPPED = "dsgen.seeds.data"


def locate(path: str) -> Path:
    """The file at ``path``; a bare name may also be a file that ships with dsgen.

    Raises:
        SourceError: there is no such file.
    """
    given = Path(path)
    if given.is_file():
        return given
    shipped = Path(str(files(SHIPPED).joinpath(path))) if "/" not in path else None
    if shipped is not None and shipped.is_file():
        return shipped
    names = sorted(p.name for p in Path(str(files(SHIPPED))).iterdir() if p.suffix in (".jsonl", ".parquet"))
    raise SourceError(f"{path}: no such seed file; give a path, or one that ships with dsgen: {', '.join(names)}")


class Records:
    """The records of a file as dictionaries; lines of a JSON Lines file are parsed when asked for."""

    def __init__(self, path: str, fields: tuple[str, ...], *, limit: int | None = None) -> None:
        self.path = locate(path)
        self.fields = fields
        try:
            if self.path.suffix == ".parquet":
                import pyarrow.parquet as pq  # noqa: PLC0415 - JSON Lines sources need no Arrow

                self._rows: list[Any] = pq.read_table(self.path).to_pylist()
                self.sha256 = sha256(self.path.read_bytes()).hexdigest()
            else:
                raw = self.path.read_bytes()
                self.sha256 = sha256(raw).hexdigest()
                self._rows = [(n, line) for n, line in enumerate(raw.splitlines(), 1) if line.strip()]
        except OSError as error:
            raise SourceError(f"{self.path}: cannot be read ({error.strerror})") from error
        except ValueError as error:
            raise SourceError(f"{self.path}: not a Parquet file ({error})") from error
        if limit is not None:
            self._rows = self._rows[:limit]
        if not self._rows:
            raise SourceError(f"{self.path}: no records in it")

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = self._rows[index]
        where = f"{self.path}, record {index + 1}"
        if isinstance(row, tuple):
            where = f"{self.path}, line {row[0]}"
            try:
                row = orjson.loads(row[1])
            except orjson.JSONDecodeError as error:
                raise SourceError(f"{where}: not a JSON object ({error})") from error
        if not isinstance(row, dict):
            raise SourceError(f"{where}: a JSON object is wanted, this is {type(row).__name__}")
        for field in self.fields:
            if field not in row:
                raise SourceError(f"{where}: no field `{field}`; the record has {', '.join(map(str, row)) or 'none'}")
        return row

    def check(self) -> None:
        """Read every record once, so that an unreadable one is told before any work is done.

        Raises:
            SourceError: all unreadable records at once, up to ten.
        """
        faults = []
        for index in range(len(self)):
            try:
                self[index]
            except SourceError as error:
                faults.append(str(error))
                if len(faults) == 10:
                    faults.append("(more lines may be unreadable)")
                    break
        if faults:
            raise SourceError("\n".join(faults))
