"""A run's output: whose it is, what is committed in it, and how a bucket becomes part of the dataset.

A bucket's files are created under their final names, none over another, then its commit record. Readers trust commit
records only: a file without one is a leftover of a killed run. It is all the same on a disk and on an object store.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine import lease as leases
from dsgen.pipeline.engine.lease import Lease
from dsgen.pipeline.engine.store import SWAP_LOCK, Missing, Notice, Store, open_store

_INDENTED = orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS
_OURS = (leases.LOCK, leases.PATH, SWAP_LOCK, ".dsgen-")
_CONNECTIONS = 16
_T = TypeVar("_T")


class Folder:
    """The output of one run. Open it with :meth:`locked`; its methods may be called from any thread."""

    def __init__(self, store: Store, lease: Lease) -> None:
        self.store = store
        self.lease = lease
        self.url = store.url

    @classmethod
    @contextmanager
    def locked(
        cls,
        out: str | Path,
        identity: Mapping[str, Any],
        *,
        ttl: float = leases.TTL_S,
        notice: Notice = lambda _: None,
    ) -> Iterator[Folder]:
        """The output for one driver at a time, and for one run for ever.

        The caller must keep ``folder.lease`` beating (:meth:`Lease.keep`) for as long as it works.

        Args:
            out: a path, or a URL such as ``s3://bucket/prefix``.
            identity: what makes the run this one; JSON data.
            ttl: seconds without a beat after which a driver of another machine counts as dead.
            notice: told while a driver that may be dead is watched, and of a store that cannot create exclusively.

        Raises:
            DatasetError: it belongs to another run, another driver is at work in it, or it cannot be written.
        """
        store = open_store(out)
        folder = cls(store, Lease(store, ttl=ttl, notice=notice))
        # Looked at before anything is written, and again when nobody else can write.
        folder._claimed(identity)
        folder.lease.acquire()
        try:
            if not store.conditional:
                notice(f"{store.url}: no conditional writes here; the lease alone keeps a second driver away")
            if not folder._claimed(identity):
                store.create("run.json", orjson.dumps(identity, option=_INDENTED))
            store.clean()
            yield folder
        finally:
            folder.lease.release()

    def _claimed(self, identity: Mapping[str, Any]) -> bool:
        """Whether the output is this run's already; otherwise it is nobody's."""
        try:
            known = orjson.loads(self.store.read("run.json"))
        except Missing:
            foreign = sorted({path.partition("/")[0] for path, _ in self.store.list("") if not path.startswith(_OURS)})
            if foreign:
                raise DatasetError(
                    f"{self.url} is not empty and not a dataset of dsgen (it holds {', '.join(foreign[:3])}); "
                    "choose another --out"
                ) from None
            return False
        if known != orjson.loads(orjson.dumps(identity)):
            differs = ", ".join(sorted(k for k in {*known, *identity} if known.get(k) != identity.get(k)))
            raise DatasetError(
                f"{self.url} belongs to another run (`{known.get('name')}`; different: {differs}). "
                "Choose another --out; nothing in the folder was touched"
            )
        return True

    def committed(self) -> dict[int, dict[str, Any]]:
        """The commit records by bucket.

        Raises:
            DatasetError: a committed file is missing or has another size.
        """
        paths = [path for path, _ in self.store.list("commits/bucket-") if path.endswith(".json")]
        records = [orjson.loads(raw) for raw in self._each(self.store.read, paths)]
        tops = sorted({file["path"].partition("/")[0] for record in records for file in record["files"]})
        sizes = {path: size for top in tops for path, size in self.store.list(f"{top}/")}
        for path, record in zip(paths, records, strict=True):
            for file in record["files"]:
                if sizes.get(file["path"]) != file["bytes"]:
                    raise DatasetError(
                        f"{self.url}/{file['path']}: committed with {file['bytes']} bytes, now missing or changed. "
                        f"Restore it, or delete {self.url}/{path} to have the bucket made again"
                    )
        return {record["bucket"]: record for record in records}

    def commit(self, record: Mapping[str, Any], files: Mapping[str, bytes]) -> dict[str, Any]:
        """Make a bucket part of the dataset; a crash before the end leaves it uncommitted, never half committed.

        Returns:
            The record as it was written: with the driver's epoch.

        Raises:
            LeaseLost: another driver took over; what it has committed is not touched.
        """
        self.lease.check()
        for file in record["files"]:
            self._place(file["path"], files[file["path"]], file["sha256"])
        path = _record_path(record["bucket"])
        written = {**record, "epoch": self.lease.epoch}
        raw = orjson.dumps(written, option=_INDENTED)
        while not self.store.create(path, raw):
            try:
                there, version = self.store.read_versioned(path)
            except Missing:
                continue
            if there == raw:  # ours: the answer to the first try was lost
                break
            # A driver that has lost the lease came in between its check and its record. The owner's word counts.
            self.lease.check()
            if self.store.swap(path, raw, version):
                ours = {file["path"] for file in record["files"]}
                self._delete(f["path"] for f in orjson.loads(there)["files"] if f["path"] not in ours)
                break
        return written

    def retract(self, record: Mapping[str, Any]) -> None:
        """Take a bucket back, record first, so that it is made again."""
        self.lease.check()
        self.store.delete(_record_path(record["bucket"]))
        self._delete(file["path"] for file in record["files"])

    def publish(self, path: str, content: bytes) -> None:
        """Write a file of the run's end, such as the manifest, so that it is there whole or not at all."""
        self.lease.check()
        self.store.replace(path, content)

    def save_survey(self, survey: Mapping[str, NDArray[Any]], report: Mapping[str, Any]) -> None:
        """Keep the survey, so that a resumed run plans without making every problem again."""
        arrays: dict[str, Any] = {**survey, "report": np.frombuffer(orjson.dumps(report), np.uint8)}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        self.publish("survey.npz", buffer.getvalue())

    def load_survey(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """The survey of an earlier start of this run."""
        try:
            raw = self.store.read("survey.npz")
        except Missing:
            return None
        with np.load(io.BytesIO(raw), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files if name != "report"}
            return arrays, orjson.loads(stored["report"].tobytes())

    def save_state(self, name: str, data: Any) -> None:
        """Keep small JSON data for a resumed run, such as a table that was decided once."""
        self.publish(_state_path(name), orjson.dumps(data, option=_INDENTED))

    def load_state(self, name: str) -> Any:
        """What was kept under the name, or ``None``."""
        try:
            return orjson.loads(self.store.read(_state_path(name)))
        except Missing:
            return None

    def _place(self, path: str, content: bytes, sha256: str) -> None:
        while not self.store.create(path, content):
            try:
                there, version = self.store.read_versioned(path)
            except Missing:
                continue
            # Left by a run that was killed before its record: the same bytes, or worthless.
            if hashlib.sha256(there).hexdigest() == sha256:
                return
            # Only this very leftover: whoever took over since may have committed a file of the same name.
            self.lease.check()
            if self.store.swap(path, content, version):
                return

    def _delete(self, paths: Iterable[str]) -> None:
        for _ in self._each(self.store.delete, list(paths)):
            pass

    def _each(self, work: Callable[[str], _T], paths: list[str]) -> list[_T]:
        """Do something with many objects; an object store answers many questions at a time."""
        with ThreadPoolExecutor(_CONNECTIONS) as pool:
            return list(pool.map(work, paths))


def _record_path(bucket: int) -> str:
    return f"commits/bucket-{bucket:06d}.json"


def _state_path(name: str) -> str:
    return f"state/{name}.json"
