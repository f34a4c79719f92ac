"""Progress of a run: a live view on a terminal, plain lines in a pipe, and whoever else wants to know."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dsgen.pipeline.engine.status import Status
from dsgen.pipeline.json_log import JsonLog
from dsgen.pipeline.metrics import Metrics
from dsgen.pipeline.pace import Pace, PaceMaker
from dsgen.pipeline.terminal import clean
from dsgen.pipeline.view import View, plain

PLAIN_EVERY_S = 5.0
UNCHANGED_EVERY_S = 60.0
"""Seconds between plain lines that would say the same again."""
_LIVE_PERIOD_S, _PLAIN_PERIOD_S = 0.25, 1.0


class Reporter:
    """A listener of a run, and a context manager around it.

    The run calls it for every reply, thousands of times a second, so the call only remembers the status. A thread looks
    at it now and then and draws: a terminal that stands still or a pipe that nobody reads holds up no run.
    """

    def __init__(
        self,
        console: Console,
        *,
        log: JsonLog | None = None,
        metrics: Metrics | None = None,
        live: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Nothing is written before the context is entered.

        Args:
            console: where to draw.
            log: is told all that is drawn, as JSON.
            metrics: is told the status.
            live: whether to draw over and over; where absent, on a terminal that can do it.
            clock: seconds, for tests.
        """
        self.console = console
        self.log = log
        self.metrics = metrics
        self._clock = clock
        # FORCE_COLOR makes Rich take a pipe for a terminal; colours are right there, drawing over is not.
        self._is_live = console.is_interactive and console.file.isatty() if live is None else live
        self._live: Live | None = None
        self._makes_pace = PaceMaker(clock())
        self._status: Status | None = None
        self._seen: Status | None = None
        self._stage = self._note = ""
        self._news: deque[tuple[str, str, dict[str, Any]]] = deque()
        self._noted: set[str] = set()
        self._pace = Pace()
        self._place: tuple[str, int, int, int] | None = None
        self._drawn = float("-inf")
        self._awake = threading.Event()
        self._lock = threading.Lock()
        self._ending = False
        self._blind = False
        self._thread = threading.Thread(target=self._watch, name="progress", daemon=True)

    def __enter__(self) -> Reporter:
        if self._is_live:
            self._live = Live(
                console=self.console,
                get_renderable=self._view,
                auto_refresh=False,
                transient=True,
                redirect_stdout=sys.stdout.isatty(),
            )
            self._live.start()
        if self.log:
            self.log.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        self._awake.set()
        self._thread.join()
        self.look(last=True)
        if self._live:
            with contextlib.suppress(OSError, ValueError):
                self._live.stop()
        if self.log and error is not None:
            self.log.error(error)

    def __call__(self, status: Status) -> None:
        """Remember where the run stands; cheap."""
        self._status = status
        if status.stage != self._stage or status.note != self._note:
            self._turn(status)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """The run is done; to be called inside the context."""
        self.look()
        if self.log:
            with self._lock:
                self.log.end(manifest)

    def look(self, *, last: bool = False) -> None:
        """Draw and tell what is due; the thread does so by itself."""
        with self._lock:  # news that one thread has taken must be told before what another one finds
            self._look(last=last)

    def _look(self, *, last: bool) -> None:
        now, status = self._clock(), self._status
        while self._news:
            self._tell(*self._news.popleft())
        if status is None:
            return
        self._seen = status = _copied(status)
        self._pace = self._makes_pace.pace(now, status)
        if self._live:
            self._write(self._live.refresh)
        else:
            self._line(now, status, last=last)
        if self.log:
            self.log.progress(status, self._pace)
        if self.metrics:
            self.metrics.update(status)

    def _watch(self) -> None:
        period = _LIVE_PERIOD_S if self._is_live else _PLAIN_PERIOD_S
        while not self._ending:
            self._awake.wait(period)
            self._awake.clear()
            self.look()

    def _turn(self, status: Status) -> None:
        if status.note != self._note:
            self._note = status.note
            # What is warned of time and again is said once.
            if status.note and status.note not in self._noted:
                self._noted.add(status.note)
                self._news.append(("note", status.note, {}))
        if status.stage != self._stage:
            self._stage = status.stage
            self._drawn = float("-inf")
            self._news.append(("stage", status.stage, status.to_data()))
        self._awake.set()

    def _tell(self, event: str, text: str, data: dict[str, Any]) -> None:
        if event == "note":
            self._write(lambda: self.console.print(Text(clean(text)), soft_wrap=True))
        if self.log:
            self.log.note(text) if event == "note" else self.log.stage(data)

    def _line(self, now: float, status: Status, *, last: bool) -> None:
        since = now - self._drawn
        if since < PLAIN_EVERY_S and not last:
            return
        place = (status.stage, status.done_units, status.tokens, status.asked)
        if place == self._place and (last or since < UNCHANGED_EVERY_S):
            return
        self._drawn, self._place = now, place
        told = Text(f"{self._pace.elapsed_s:6.1f} s  {plain(status, self._pace)}")
        self._write(lambda: self.console.print(told, soft_wrap=True))

    def _view(self) -> View | Text:
        return Text() if self._seen is None else View(self._seen, self._pace)

    def _write(self, write: Callable[[], Any]) -> None:
        """Write to the console as long as there is one: a run outlives its terminal."""
        if self._blind:
            return
        try:
            write()
        except (OSError, ValueError):  # gone, or closed
            self._blind = True


def _copied(status: Status) -> Status:
    """The status as it is now. The run goes on writing into it from another thread, while this one goes through it."""
    # dict() of a Counter is one step for other threads; going through it in Python is not.
    return replace(status, counts=Counter(dict(status.counts)), reasons=Counter(dict(status.reasons)))
