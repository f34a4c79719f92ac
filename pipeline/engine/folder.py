"""A run's folder: whose it is, what is committed in it, and how a bucket becomes part of the dataset.

Files are written below ``tmp/``, synced, and linked to their final names, which fails rather than overwrites. Then the
commit record is linked. Readers trust commit records only: a file without one is a leftover of a killed run.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from dsgen.pipeline.core.errors import DatasetError

_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS


class Folder:
    """The output folder of one run. Open it with :meth:`locked`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.tmp = root / "tmp" / str(os.getpid())
        self.commits = root / "commits"

    @classmethod
    @contextmanager
    def locked(cls, root: Path, identity: Mapping[str, Any]) -> Iterator[Folder]:
        """The folder for one driver at a time, and for one run for ever.

        Raises:
            DatasetError: it belongs to another run, another driver is at work in it, or it cannot be written.
        """
        folder = cls(root)
        with _writing(root):
            root.mkdir(parents=True, exist_ok=True)
            lock = (root / ".lock").open("a")
        with lock:
            try:
                # The kernel gives the lock back when its holder dies, however it dies.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise DatasetError(f"{root}: another run is writing to this folder; wait for it to end") from None
            folder._claim(identity)
            with _writing(root):
                shutil.rmtree(root / "tmp", ignore_errors=True)
                folder.tmp.mkdir(parents=True)
                folder.commits.mkdir(exist_ok=True)
            try:
                yield folder
            finally:
                shutil.rmtree(root / "tmp", ignore_errors=True)

    def _claim(self, identity: Mapping[str, Any]) -> None:
        path = self.root / "run.json"
        if path.exists():
            known = orjson.loads(path.read_bytes())
            if known != orjson.loads(orjson.dumps(identity)):
                differs = ", ".join(sorted(k for k in {*known, *identity} if known.get(k) != identity.get(k)))
                raise DatasetError(
                    f"{self.root} belongs to another run (`{known.get('name')}`; different: {differs}). "
                    "Choose another --out; nothing in the folder was touched"
                )
            return
        foreign = sorted(p.name for p in self.root.iterdir() if p.name != ".lock")
        if foreign:
            raise DatasetError(
                f"{self.root} is not empty and not a dataset of dsgen (it holds {', '.join(foreign[:3])}); "
                "choose another --out"
            )
        self.publish(path, orjson.dumps(identity, option=_INDENTED))

    def committed(self) -> dict[int, dict[str, Any]]:
        """The commit records by bucket.

        Raises:
            DatasetError: a committed file is missing or has another size.
        """
        records = {}
        for path in sorted(self.commits.glob("bucket-*.json")):
            record = orjson.loads(path.read_bytes())
            for file in record["files"]:
                target = self.root / file["path"]
                if not target.exists() or target.stat().st_size != file["bytes"]:
                    raise DatasetError(
                        f"{target}: committed with {file['bytes']} bytes, now missing or changed. Restore it, or "
                        f"delete {path} to have the bucket made again"
                    )
            records[record["bucket"]] = record
        return records

    def commit(self, record: dict[str, Any], staged: Path) -> None:
        """Make a bucket part of the dataset; a crash before the end leaves it uncommitted, never half committed."""
        with _writing(self.root):
            for file in record["files"]:
                target = self.root / file["path"]
                target.parent.mkdir(parents=True, exist_ok=True)
                source = staged / file["path"]
                try:
                    os.link(source, target)
                except FileExistsError:
                    # Left by a run that was killed between link and record: the same bytes, or worthless.
                    if hashlib.sha256(target.read_bytes()).hexdigest() != file["sha256"]:
                        target.unlink()
                        os.link(source, target)
                _sync(target.parent)
            path = self.commits / f"bucket-{record['bucket']:06d}.json"
            self.publish(path, orjson.dumps(record, option=_INDENTED))
            shutil.rmtree(staged, ignore_errors=True)

    def retract(self, record: Mapping[str, Any]) -> None:
        """Take a bucket back, record first, so that it is made again."""
        with _writing(self.root):
            (self.commits / f"bucket-{record['bucket']:06d}.json").unlink()
            _sync(self.commits)
            for file in record["files"]:
                (self.root / file["path"]).unlink(missing_ok=True)

    def publish(self, path: Path, content: bytes) -> None:
        """Write a small file so that it is there whole or not at all."""
        with _writing(self.root):
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            _sync(path.parent)

    def save_survey(self, survey: Mapping[str, NDArray[Any]], report: Mapping[str, Any]) -> None:
        """Keep the survey, so that a resumed run plans without making every problem again."""
        with _writing(self.root):
            draft = self.tmp / "survey.npz"
            arrays: dict[str, Any] = {**survey, "report": np.frombuffer(orjson.dumps(report), np.uint8)}
            np.savez_compressed(draft, **arrays)
            draft.replace(self.root / "survey.npz")

    def load_survey(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """The survey of an earlier start of this run."""
        path = self.root / "survey.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "report"}
            return arrays, orjson.loads(stored["report"].tobytes())


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    """Tell what the disk refuses as one clear message."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"{root}: cannot write ({error.strerror}); what was committed is intact, the same command goes on from it"
        ) from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
