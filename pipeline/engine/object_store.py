"""Stores behind fsspec: S3 and what speaks its protocol, Google Cloud Storage, memory.

S3 creates with ``If-None-Match: *`` and swaps with ``If-Match``. Whether a server heeds them is tried once, for an old
one ignores them without a word. Where it does not, or for another kind of store, creation and swap look first and write
then, and it is the lease that keeps two drivers apart. Credentials come from the environment and the usual files.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from hashlib import sha256
from typing import Any
from uuid import uuid4

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.store import KEPT, Missing

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
_REFUSED = {"PreconditionFailed", "412"}
_BUSY = {"ConditionalRequestConflict", "OperationAborted", "409"}
_BUSY_TRIES = 5
_PROBE = ".dsgen-probe-"
# For stores that cannot compare: threads of one process at least do not come between, which is all of memory.
_GUARD = threading.Lock()


def connect(scheme: str, rest: str) -> ObjectStore:
    """The store of ``scheme://rest``; nothing is asked of it yet.

    Raises:
        DatasetError: no such kind of store, a package that is not installed, or credentials in the URL.
    """
    bucket, _, prefix = rest.partition("/")
    if "@" in bucket:
        raise DatasetError(
            f"{scheme}://…@{bucket.rpartition('@')[2]}: credentials do not belong into a URL, which messages and "
            "manifests show; set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    root = f"{bucket}/{prefix}".rstrip("/")
    url = f"{scheme}://{root}"
    if not bucket:
        raise DatasetError(f"{url}: name a bucket, such as {scheme}://bucket/prefix")
    package = _PACKAGES.get(scheme)
    try:
        fsspec = importlib.import_module("fsspec")
        # With more than one connection for an object s3fs asks for its size first.
        options = {"max_concurrency": 1} if package == "s3fs" else {}
        fs = fsspec.filesystem(scheme, use_listings_cache=False, **options)
    except ValueError as error:
        raise DatasetError(f"{url}: {error}; give a folder, or a URL such as s3://bucket/prefix") from error
    except ImportError as error:
        wanted = "'dsgen[s3]'" if package == "s3fs" else package or "fsspec"
        raise DatasetError(f"{url}: {error}; pip install {wanted}") from error
    return S3Store(fs, root, url) if package == "s3fs" else ObjectStore(fs, root, url, conditional=scheme == "memory")


class ObjectStore:
    """Any file system of fsspec. One that cannot create exclusively is looked at first and written then."""

    def __init__(self, fs: Any, root: str, url: str, *, conditional: bool = False) -> None:
        self.fs = fs
        self.root = root
        self.url = url
        self._conditional = conditional

    @property
    def conditional(self) -> bool:
        return self._conditional

    def read(self, path: str) -> bytes:
        with self._telling(path):
            return bytes(self.fs.cat_file(self._at(path)))

    def read_range(self, path: str, start: int, length: int) -> bytes:
        with self._telling(path):
            return bytes(self.fs.cat_file(self._at(path), start=start, end=start + length))

    def read_versioned(self, path: str) -> tuple[bytes, str]:
        content = self.read(path)
        return content, sha256(content).hexdigest()

    def create(self, path: str, content: bytes) -> bool:
        try:
            with _GUARD, self._telling(path):
                self.fs.pipe_file(self._at(path), content, mode="create")
        except FileExistsError:
            return False
        return True

    def replace(self, path: str, content: bytes) -> None:
        with self._telling(path):
            self.fs.pipe_file(self._at(path), content)

    def swap(self, path: str, content: bytes, version: str) -> bool:
        with _GUARD:
            try:
                if self.read_versioned(path)[1] != version:
                    return False
            except Missing:
                return False
            self.replace(path, content)
        return True

    def delete(self, path: str) -> None:
        try:
            with self._telling(path):
                self.fs.rm_file(self._at(path))
        except Missing:
            pass

    def list(self, prefix: str) -> list[tuple[str, int]]:
        folder, _, name = prefix.rpartition("/")
        with self._telling(prefix):
            found = self._find(self._at(folder) if folder else self.root, name)
        start = len(self.fs._strip_protocol(self.root)) + 1
        paths = [(str(name)[start:], int(info["size"] or 0)) for name, info in found.items()]
        return sorted((path, size) for path, size in paths if path.startswith(prefix))

    def _find(self, folder: str, name: str) -> dict[str, Any]:
        """What is below a folder, or of that only what begins with the name."""
        found: dict[str, Any] = self.fs.find(folder, detail=True)
        return found

    def size(self, path: str) -> int | None:
        try:
            with self._telling(path):
                return int(self.fs.info(self._at(path))["size"])
        except Missing:
            return None

    def clean(self) -> None:
        """Nothing to do: an upload that was broken off is no object."""

    def _at(self, path: str) -> str:
        return f"{self.root}/{path}"

    @contextmanager
    def _telling(self, path: str) -> Iterator[None]:
        """Tell what the store refuses as one clear message."""
        try:
            yield
        except FileNotFoundError as error:
            if _code(error) == "NoSuchBucket":
                raise DatasetError(f"{self.url}: there is no such bucket; create it, or correct --out") from error
            raise Missing(path) from error
        except (FileExistsError, DatasetError, Missing):
            raise
        except PermissionError as error:
            raise DatasetError(
                f"{self.url}: access denied ({error}); check the credentials (AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE) and that they may list, read, write and delete there"
            ) from error
        except Exception as error:  # the libraries below raise what they like
            name = type(error).__name__
            if "Credential" in name:
                hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            elif "Connect" in name or "Timeout" in name:
                hint = f"check the network and AWS_ENDPOINT_URL; {KEPT}"
            else:
                hint = KEPT
            raise DatasetError(f"{self.url}: {str(error) or name}; {hint}") from error


class S3Store(ObjectStore):
    """S3, or a server that speaks its protocol (``AWS_ENDPOINT_URL``)."""

    @property
    def conditional(self) -> bool:
        return all(self._heeds)

    @cached_property
    def _heeds(self) -> tuple[bool, bool]:
        """Whether the server heeds If-None-Match and If-Match when it is written to: tried with a small object."""
        probe = f"{_PROBE}{uuid4().hex}"
        self._put(probe, b"1")

        def refuses(**condition: str) -> bool:
            try:
                return not self._put(probe, b"2", **condition)
            except NotImplementedError:
                return False

        try:
            return refuses(IfNoneMatch="*"), refuses(IfMatch='"00000000000000000000000000000000"')
        finally:
            self.delete(probe)

    def clean(self) -> None:
        for path, _ in self.list(_PROBE):
            self.delete(path)

    def read_versioned(self, path: str) -> tuple[bytes, str]:
        with self._telling(path):
            bucket, key, _ = self.fs.split_path(self._at(path))
            # First the version: a content that is newer than it fails to be swapped, which is the safe side.
            version = str(self.fs.call_s3("head_object", Bucket=bucket, Key=key)["ETag"])
        return self.read(path), version

    def _find(self, folder: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.fs.find(folder, detail=True, prefix=name)
        return found

    def create(self, path: str, content: bytes) -> bool:
        if self._heeds[0]:
            return self._put(path, content, IfNoneMatch="*")
        with _GUARD:
            if self.size(path) is not None:
                return False
            return self._put(path, content)

    def replace(self, path: str, content: bytes) -> None:
        self._put(path, content)

    def swap(self, path: str, content: bytes, version: str) -> bool:
        if self._heeds[1]:
            return self._put(path, content, IfMatch=version)
        with _GUARD:
            try:
                if self.read_versioned(path)[1] != version:
                    return False
            except Missing:
                return False
            return self._put(path, content)

    def _put(self, path: str, content: bytes, **condition: str) -> bool:
        """Write; ``False``: the condition does not hold."""
        bucket, key, _ = self.fs.split_path(self._at(path))
        for attempt in range(_BUSY_TRIES):
            try:
                with self._telling(path):
                    self.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=content, **condition)
            except (FileExistsError, Missing):
                return False
            except DatasetError as error:
                code = _code(error.__cause__)
                if condition and code in _REFUSED:
                    return False
                if condition and code == "NotImplemented":
                    raise NotImplementedError from error
                # Two conditional writes at the same time: S3 wants the second one to be tried again.
                if not (condition and code in _BUSY) or attempt == _BUSY_TRIES - 1:
                    raise
            else:
                return True
        raise AssertionError("the last attempt returns or raises")


def _code(error: BaseException | None) -> str:
    """S3's own word for what went wrong, such as ``NoSuchBucket``; s3fs hides it behind an OSError."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
        error = error.__cause__
    return ""
