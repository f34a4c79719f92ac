"""How fast a run is, and when it will be done."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dsgen.pipeline.engine.status import Status

TOKENS_S = 15.0
"""Seconds over which tokens a second are counted."""
UNITS_S = 60.0
"""Seconds over which finished rows are counted; longer while there were fewer commits than :data:`COMMITS`."""
COMMITS = 8
SURVEYING = "surveying"
"""The stage whose units are counted by ``done_units``; in all others ``fresh_units`` counts."""


class Rate:
    """How fast a count grows, over the last ``span_s`` seconds and no fewer than ``least`` steps of it.

    A count that comes in lumps, such as rows by the bucket, needs the steps; otherwise it would be 0 between them.
    """

    def __init__(self, span_s: float, least: int = 0) -> None:
        self.span_s = span_s
        self.least = least
        self._points: deque[tuple[float, float]] = deque()
        self._grew = False

    def feed(self, now: float, value: float) -> None:
        """What the count is now."""
        if not self._points or self._points[-1][1] != value:
            self._grew = bool(self._points)
            self._points.append((now, value))

    def a_second(self, now: float) -> float | None:
        """The growth a second; ``None`` while it has never grown."""
        if not self._grew:
            return None
        points, start = self._points, now - self.span_s
        if self.least:
            start = min(start, points[max(0, len(points) - 1 - self.least)][0])
        while len(points) > 1 and points[1][0] <= start:
            points.popleft()
        (before, value), last = points[0], points[-1][1]
        start = max(start, before)
        if len(points) > 1 and start > before:
            after, grown = points[1]
            value += (grown - value) * (start - before) / (after - before)
        return (last - value) / (now - start) if now > start else None


@dataclass(frozen=True, slots=True)
class Pace:
    """Figures that follow from where a run stood at several times; ``None``: not known yet."""

    elapsed_s: float = 0.0
    rows: float | None = None
    """Samples that were decided, a second."""
    tokens: float | None = None
    """Tokens that engines generated, a second."""
    left_s: float | None = None
    """Seconds until the stage is done."""


class PaceMaker:
    """Turns statuses into paces. What was done before this start's first unit says nothing about its speed."""

    def __init__(self, began: float) -> None:
        self.began = began
        self._stage = ""
        self._units, self._rows, self._tokens = Rate(UNITS_S, COMMITS), Rate(UNITS_S, COMMITS), Rate(TOKENS_S)

    def pace(self, now: float, status: Status) -> Pace:
        """The pace now."""
        if status.stage != self._stage and not status.fresh_units:
            self._stage = status.stage
            self._units, self._rows = Rate(UNITS_S, COMMITS), Rate(UNITS_S, COMMITS)
        self._units.feed(now, status.done_units if status.stage == SURVEYING else status.fresh_units)
        self._rows.feed(now, status.counts.total())
        self._tokens.feed(now, status.tokens)
        units, left = self._units.a_second(now), status.units - status.done_units
        return Pace(
            now - self.began,
            self._rows.a_second(now),
            self._tokens.a_second(now),
            left / units if units and left > 0 else None,
        )
