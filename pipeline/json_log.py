"""A run's progress as JSON lines: ``--log-json PATH``, or ``-`` for standard output."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

import dsgen
from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.engine.status import Status
from dsgen.pipeline.pace import Pace

STDOUT = "-"
PROGRESS_EVERY_S = 5.0
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|(^|_)KEY($|_)", re.IGNORECASE)
_SHORTEST_SECRET = 8
_USERINFO = re.compile(r"(?<=://)[^/\s@]+@")
_LONGEST = 2000
"""Characters of a text; a traceback or an endpoint's page says enough in as many."""
_OF_MANIFEST = ("name", "dsgen_version", "settings", "counts", "reasons", "not_applicable", "pass_rates", "session")


class JsonLog:
    """One JSON object a line, each with ``event`` and ``time``.

    ``start``: dsgen's version and what the log was opened with. ``stage``, ``progress``: the status, and in
    ``progress`` the pace. ``note``: a text. ``end``: counts, reasons, pass rates and what engines counted. ``error``:
    the error's kind, and its text when it is one for the user.

    A log that cannot be written any more says so once; no run ends for it. Texts are kept short, and values of
    environment variables whose names say that they are secret are taken out of them.
    """

    def __init__(
        self,
        descriptor: int,
        facts: Mapping[str, Any],
        *,
        warn: Callable[[str], None],
        every_s: float = PROGRESS_EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """A log that writes to a file descriptor, which stays open; see :meth:`opened`.

        Args:
            descriptor: where to write.
            facts: JSON data for the event ``start``, such as the output folder.
            warn: told once when nothing can be written any more.
            every_s: seconds between two ``progress`` events, at least.
            clock: seconds, for tests.
        """
        self.descriptor = descriptor
        self.facts = facts
        self.every_s = every_s
        self._warn = warn
        self._clock = clock
        self._told = float("-inf")
        self._lock = threading.Lock()
        self._broken = False
        self._secrets = _secrets()

    @classmethod
    @contextmanager
    def opened(
        cls,
        where: str,
        facts: Mapping[str, Any] | None = None,
        *,
        warn: Callable[[str], None],
        every_s: float = PROGRESS_EVERY_S,
    ) -> Iterator[JsonLog]:
        """A log at a path, behind what is there already, or on standard output.

        Standard output is the log's alone: what anything else in this process or its children writes there goes to
        standard error until the log is closed.

        Raises:
            UserError: the file cannot be opened for writing.
        """
        taken = _take_stdout() if where == STDOUT else _open(where)
        try:
            yield cls(taken, facts or {}, warn=warn, every_s=every_s)
        finally:
            if where == STDOUT:
                sys.stdout.flush()
                os.dup2(taken, sys.stdout.fileno())
            os.close(taken)

    def start(self) -> None:
        """The run begins."""
        self._write("start", {"dsgen_version": dsgen.__version__, **self.facts})

    def stage(self, data: Mapping[str, Any]) -> None:
        """The run is at another stage; ``data`` is its status."""
        self._write("stage", _without_note(data))

    def note(self, text: str) -> None:
        """The run has something to say."""
        self._write("note", {"note": text})

    def progress(self, status: Status, pace: Pace) -> None:
        """Where the run stands; written when it is time again."""
        now = self._clock()
        if now - self._told < self.every_s:
            return
        self._told = now
        figures = {
            "elapsed_s": round(pace.elapsed_s, 3),
            "rows_per_s": _rounded(pace.rows),
            "tokens_per_s": _rounded(pace.tokens),
            "eta_s": _rounded(pace.left_s),
        }
        self._write("progress", {**_without_note(status.to_data()), **figures})

    def end(self, manifest: Mapping[str, Any]) -> None:
        """The run is done."""
        files = manifest.get("files") or []
        told = {key: manifest[key] for key in _OF_MANIFEST if key in manifest}
        told |= {"files": len(files), "bytes": sum(f["bytes"] for f in files)}
        self._write("end", _without_counts(told))

    def error(self, error: BaseException) -> None:
        """The run ends with an error. The text of one that is not for the user may quote anything: it is left out."""
        kind = "interrupted" if isinstance(error, KeyboardInterrupt) else type(error).__name__
        self._write("error", {"error": kind, "text": str(error) if isinstance(error, UserError) else ""})

    def _write(self, event: str, data: Mapping[str, Any]) -> None:
        if self._broken:
            return
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        try:
            line = orjson.dumps(
                {"event": event, "time": now, **self._hidden(data)}, option=orjson.OPT_APPEND_NEWLINE, default=str
            )
            with self._lock:
                _write_all(self.descriptor, line)
        except (OSError, TypeError) as error:
            self._broken = True
            self._warn(f"--log-json: {error}; nothing more is logged, the run goes on")

    def _hidden(self, value: Any) -> Any:
        """JSON data with short texts and without secrets."""
        if isinstance(value, Mapping):
            return {self._hidden(str(key)): self._hidden(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self._hidden(item) for item in value]
        if not isinstance(value, str):
            return value
        for secret in self._secrets:
            value = value.replace(secret, "***")
        return _USERINFO.sub("***@", value)[:_LONGEST].encode("utf-8", "replace").decode()


def _take_stdout() -> int:
    """Standard output's file for the log alone; whatever else is written to it goes to standard error."""
    if sys.stdout is None:
        raise UserError("--log-json -: standard output is closed; name a file instead")
    sys.stdout.flush()
    taken = os.dup(sys.stdout.fileno())
    os.set_inheritable(taken, False)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return taken


def _open(where: str) -> int:
    try:
        descriptor = os.open(Path(where), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(f"--log-json {where}: {error.strerror}; name a file in a folder that exists, or -") from None
    # A run that was killed, or a full disk, may have left half a line.
    try:
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            os.write(descriptor, b"\n")
    except OSError:
        pass  # a pipe or a device, which has no end to look at
    return descriptor


def _write_all(descriptor: int, line: bytes) -> None:
    while line:
        try:
            line = line[os.write(descriptor, line) :]
        except BlockingIOError:  # the reader made it non-blocking, and is slow
            select.select([], [descriptor], [])


def _secrets() -> list[str]:
    found = [v for k, v in os.environ.items() if _SECRET_NAME.search(k) and len(v) >= _SHORTEST_SECRET]
    return sorted(found, key=len, reverse=True)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _without_note(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "note"}


def _without_counts(value: Any) -> Any:
    """Without tokens by expert, of which there may be tens of thousands; the figures from them stay."""
    if isinstance(value, Mapping):
        return {k: _without_counts(v) for k, v in value.items() if not (k == "counts" and isinstance(v, (list, tuple)))}
    return [_without_counts(item) for item in value] if isinstance(value, (list, tuple)) else value
