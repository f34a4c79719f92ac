"""Where a run's files live: a local folder, or a prefix of an object store.

A store has whole objects only, each there completely or not at all and durable when the call returns. There is no
rename and no locking: exclusive creation and compare-and-swap are all that commits and the lease are built of.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from dsgen.pipeline.core.errors import DatasetError

KEPT = "what was committed is intact, the same command goes on from it"
"""What every message about a store that fails in the middle of a run can promise."""

_REMOTE = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
SWAP_LOCK = ".swap.lock"
_NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.ENOSYS}
_TEMPORARY = re.compile(r"\..+\.tmp-[0-9a-f]{32}")


class Missing(KeyError):
    """There is no object of that path."""


class Store(Protocol):
    """Objects by path (``data/2k/part-000000.parquet``). Every method may be called from any thread.

    Raises:
        Missing: what is to be read is not there.
        DatasetError: the store refuses or cannot be reached; the message says what to do.
    """

    url: str
    """The place, for messages; it holds no credentials."""

    @property
    def conditional(self) -> bool:
        """Creation and swap are atomic in the store itself. Otherwise only the lease keeps two drivers apart."""
        ...

    def read(self, path: str) -> bytes:
        """The whole object."""
        ...

    def read_range(self, path: str, start: int, length: int) -> bytes:
        """Some of its bytes: fewer than ``length`` where the object ends."""
        ...

    def read_versioned(self, path: str) -> tuple[bytes, str]:
        """The whole object, and the version of it that :meth:`swap` compares."""
        ...

    def create(self, path: str, content: bytes) -> bool:
        """Make the object, unless there is one: ``False``, and nothing is changed."""
        ...

    def replace(self, path: str, content: bytes) -> None:
        """Make the object, or put another content into it."""
        ...

    def swap(self, path: str, content: bytes, version: str) -> bool:
        """Put another content into the object unless it is another version by now: ``False``."""
        ...

    def delete(self, path: str) -> None:
        """Take the object away; one that is not there is fine."""
        ...

    def list(self, prefix: str) -> list[tuple[str, int]]:
        """Paths that begin so, with their sizes, sorted."""
        ...

    def size(self, path: str) -> int | None:
        """The object's bytes, or ``None`` when there is none."""
        ...

    def clean(self) -> None:
        """Remove what writers that were killed have left and no reader sees."""
        ...


def open_store(out: str | Path) -> Store:
    """The store of an output: a path or ``file://`` URL is a folder, any other URL an object store.

    Raises:
        DatasetError: no such kind of store, a package that is not installed, or credentials in the URL.
    """
    # A Path has made `s3://bucket` into `s3:/bucket`.
    match = _REMOTE.fullmatch(str(out))
    if match is None:
        return LocalStore(Path(out))
    scheme, rest = match.groups()
    if scheme == "file":
        return LocalStore(Path("/" + rest))
    from dsgen.pipeline.engine.object_store import connect  # noqa: PLC0415 - fsspec is optional

    return connect(scheme, rest)


class LocalStore:
    """A folder of a local disk, or of one that is mounted."""

    conditional = True

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def read(self, path: str) -> bytes:
        with self._reading(path):
            return (self.root / path).read_bytes()

    def read_range(self, path: str, start: int, length: int) -> bytes:
        with self._reading(path), (self.root / path).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def read_versioned(self, path: str) -> tuple[bytes, str]:
        content = self.read(path)
        return content, sha256(content).hexdigest()

    def create(self, path: str, content: bytes) -> bool:
        with self.writing(), self._draft(path, content) as (draft, target):
            try:
                link_or_move(draft, target)
            except FileExistsError:
                return False
        return True

    def replace(self, path: str, content: bytes) -> None:
        with self.writing(), self._draft(path, content) as (draft, target):
            draft.replace(target)

    def swap(self, path: str, content: bytes, version: str) -> bool:
        if not self.root.is_dir():
            return False
        # A lock for the moment of the swap alone; its file stays, for a deleted one could be locked by two.
        with self.writing(), (self.root / SWAP_LOCK).open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                _, now = self.read_versioned(path)
            except Missing:
                return False
            if now != version:
                return False
            self.replace(path, content)
        return True

    def delete(self, path: str) -> None:
        target = self.root / path
        with self.writing(), contextlib.suppress(FileNotFoundError):
            target.unlink()
            sync(target.parent)

    def list(self, prefix: str) -> list[tuple[str, int]]:
        found = []
        base = self.root / prefix.rpartition("/")[0]
        with self._reading(prefix):
            for folder, _, names in os.walk(base):
                for name in names:
                    place = Path(folder, name)
                    path = place.relative_to(self.root).as_posix()
                    if path.startswith(prefix) and not _TEMPORARY.fullmatch(name):
                        with contextlib.suppress(FileNotFoundError):  # gone since the folder was read
                            found.append((path, place.stat().st_size))
        return sorted(found)

    def size(self, path: str) -> int | None:
        try:
            with self._reading(path):
                return (self.root / path).stat().st_size
        except Missing:
            return None

    def clean(self) -> None:
        with self.writing():
            for folder, _, names in os.walk(self.root):
                for name in names:
                    if _TEMPORARY.fullmatch(name):
                        Path(folder, name).unlink(missing_ok=True)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Tell what the disk refuses as one clear message."""
        try:
            yield
        except OSError as error:
            raise DatasetError(f"{self.url}: cannot write ({error.strerror}); {KEPT}") from error

    @contextmanager
    def _reading(self, path: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(path) from None
        except OSError as error:
            raise DatasetError(f"{self.root / path}: cannot read ({error.strerror}); {KEPT}") from error

    @contextmanager
    def _draft(self, path: str, content: bytes) -> Iterator[tuple[Path, Path]]:
        """A durable draft beside the target, to be moved there; what happens to the folder is made durable as well."""
        target = self.root / path
        make_folder(target.parent)
        draft = target.with_name(f".{target.name}.tmp-{uuid4().hex}")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            yield draft, target
        finally:
            draft.unlink(missing_ok=True)
        sync(target.parent)


def link_or_move(draft: Path, target: Path) -> None:
    """Give a draft its final name.

    Raises:
        FileExistsError: there is a file of that name.
    """
    try:
        os.link(draft, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # exFAT and some mounted folders have no hard links. Then the lease alone keeps two drivers apart.
        if target.exists():
            raise FileExistsError(target) from error
        draft.replace(target)


def make_folder(folder: Path) -> None:
    """Make a folder with its parents, each of them durable."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Make what happened in a folder durable: names that came and went."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


Notice = Callable[[str], None]
"""Told what the user should know while a run goes on."""
