"""Where a run stands: what listeners are told, whatever they make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class EngineStatus:
    """One engine of a teacher or judge."""

    name: str
    slots: int
    in_flight: int = 0
    occupancy: float = 0.0
    """The share of its slots that were busy since it was ready, 0 to 1."""
    deaths: int = 0
    gone: str = ""
    """Why it gets no more rows; empty while it does."""


@dataclass(slots=True)
class Status:
    """Where a run stands; handed to the listener whenever it changes."""

    stage: str = "starting"
    units: int = 0
    done_units: int = 0
    fresh_units: int = 0
    """Units finished since this start, for the rate; those of earlier starts are only in ``done_units``."""
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    """Tokens that teachers and judges generated since this start."""
    asked: int = 0
    waiting: int = 0
    requeued: int = 0
    engines: list[EngineStatus] = field(default_factory=list)
    cache: dict[str, int] = field(default_factory=dict)
    """Replies by where they came from: ``memory``, ``journal``, ``redis``; ``misses`` were asked."""
    resumed_buckets: int = 0
    open_rows: int = 0
    open_bytes: int = 0
    note: str = ""

    @property
    def in_flight(self) -> int:
        """Rows that engines hold."""
        return sum(e.in_flight for e in self.engines)

    @property
    def slots(self) -> int:
        """Rows that all engines can work on at the same time."""
        return sum(e.slots for e in self.engines)

    def to_data(self) -> dict[str, Any]:
        """The status as JSON data."""
        return {
            "stage": self.stage,
            "units": self.units,
            "done_units": self.done_units,
            "fresh_units": self.fresh_units,
            "counts": dict(self.counts),
            "reasons": dict(self.reasons),
            "tokens": self.tokens,
            "asked": self.asked,
            "waiting": self.waiting,
            "in_flight": self.in_flight,
            "requeued": self.requeued,
            "engines": [
                {
                    "name": e.name,
                    "slots": e.slots,
                    "in_flight": e.in_flight,
                    "occupancy": round(e.occupancy, 4),
                    "deaths": e.deaths,
                    "gone": e.gone,
                }
                for e in self.engines
            ],
            "cache": dict(self.cache),
            "resumed_buckets": self.resumed_buckets,
            "open_rows": self.open_rows,
            "open_bytes": self.open_bytes,
            "note": self.note,
        }


Listener = Callable[[Status], None]
