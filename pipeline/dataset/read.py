"""Reading rows back from a dataset's folder."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import orjson
import pyarrow.parquet as pq

from dsgen.pipeline.core.errors import DatasetError


def manifest_of(dataset: Path) -> dict[str, Any]:
    """The manifest of a finished run.

    Raises:
        DatasetError: the folder is no dataset, or its run has not ended.
    """
    path = dataset / "manifest.json"
    if path.exists():
        manifest: dict[str, Any] = orjson.loads(path.read_bytes())
        return manifest
    if (dataset / "run.json").exists():
        raise DatasetError(f"{dataset}: the run has not ended; give its `dsgen run` command again to go on")
    raise DatasetError(f"{dataset} is not a dataset of dsgen: there is no manifest.json in it")


def pick(dataset: Path, rows: int, *, row_id: str | None, rejected: bool, seed: int) -> list[dict[str, Any]]:
    """Random rows, or the one with an id (a beginning of it will do).

    Raises:
        DatasetError: there is no such dataset or no such row.
    """
    kind = "rejected" if rejected else "data"
    files = [f for f in manifest_of(dataset)["files"] if f["kind"] == kind]
    if row_id is not None:
        # An id may be that of an accepted or of a rejected row; whoever asks by id wants it either way.
        files = [f for f in manifest_of(dataset)["files"] if f["kind"] in ("data", "rejected")]
        for file in files:
            ids = pq.read_table(dataset / file["path"], columns=["id"])["id"].to_pylist()
            found = [i for i, known in enumerate(ids) if known.startswith(row_id)]
            if found:
                return pq.read_table(dataset / file["path"]).take(found[:rows]).to_pylist()  # type: ignore[no-any-return]
        raise DatasetError(f"{dataset}: no row whose id begins with {row_id!r}")
    total = sum(f["rows"] for f in files)
    if not total:
        raise DatasetError(f"{dataset}: no {'rejected' if rejected else 'accepted'} rows")
    wanted = sorted(Random(seed).sample(range(total), min(rows, total)))  # noqa: S311 - which rows to look at
    picked: list[dict[str, Any]] = []
    start = 0
    for file in files:
        here = [w - start for w in wanted if start <= w < start + file["rows"]]
        if here:
            picked += pq.read_table(dataset / file["path"]).take(here).to_pylist()
        start += file["rows"]
    return picked
