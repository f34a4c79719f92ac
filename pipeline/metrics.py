"""Prometheus counters and gauges through Ray's metrics: every node's agent shows them under ``/metrics``.

Ray puts ``ray_`` before the names. Its agents export metrics only where ``ray[default]`` is installed, and are told
them every ``metrics_report_interval_ms``, 10 s unless it is set.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from dsgen.pipeline.engine.status import Status

EVERY_S = 1.0

COUNTERS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dsgen_samples_total": ("Samples that were decided since this start, by status", ("status",)),
    "dsgen_tokens_total": ("Tokens that teachers and judges generated", ()),
    "dsgen_requests_total": ("Rows that engines were asked for", ()),
    "dsgen_requeued_total": ("Rows that were asked again, as an engine died with them", ()),
    "dsgen_cache_total": ("Replies by the tier of the cache that had them; misses were asked", ("tier",)),
    "dsgen_engine_deaths_total": ("Deaths of an engine", ("engine",)),
}
GAUGES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "dsgen_engine_occupancy": ("Share of an engine's slots that were busy since it was ready, 0 to 1", ("engine",)),
    "dsgen_engine_in_flight": ("Rows that an engine holds", ("engine",)),
    "dsgen_open_rows": ("Rows in open buckets", ()),
    "dsgen_open_bytes": ("Bytes of prompts and replies in open buckets", ()),
}

Make = Callable[[str, str, tuple[str, ...]], Any]
"""Makes an instrument from its name, what it says, and the names of its tags."""


class Metrics:
    """Tells Ray where a run stands, at most once a second. Without a Ray that runs in this process it does nothing."""

    def __init__(
        self,
        counter: Make | None = None,
        gauge: Make | None = None,
        *,
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ray is not imported here.

        Args:
            counter: makes counters; Ray's where absent.
            gauge: makes gauges; Ray's where absent.
            every_s: seconds between two updates, at least.
            clock: seconds, for tests.
        """
        self._make = None if counter is None or gauge is None else (counter, gauge)
        self._every_s = every_s
        self._clock = clock
        self._told = float("-inf")
        self._counters: dict[str, Any] = {}
        self._gauges: dict[str, Any] = {}
        self._values: defaultdict[tuple[str, str], float] = defaultdict(float)

    def update(self, status: Status) -> None:
        """Tell where the run stands, if it is time again."""
        if not status.fresh_units:
            # What earlier starts did; as a jump of a counter it would look like a very fast start.
            self._values.update({("dsgen_samples_total", s): count for s, count in status.counts.items()})
        now = self._clock()
        if now - self._told < self._every_s or not self._ready():
            return
        self._told = now
        for state, count in status.counts.items():
            self._count("dsgen_samples_total", count, "status", state)
        self._count("dsgen_tokens_total", status.tokens)
        self._count("dsgen_requests_total", status.asked)
        self._count("dsgen_requeued_total", status.requeued)
        for tier, replies in status.cache.items():
            self._count("dsgen_cache_total", replies, "tier", tier)
        for engine in status.engines:
            self._count("dsgen_engine_deaths_total", engine.deaths, "engine", engine.name)
            tags = {"engine": engine.name}
            self._gauges["dsgen_engine_occupancy"].set(engine.occupancy, tags=tags)
            self._gauges["dsgen_engine_in_flight"].set(engine.in_flight, tags=tags)
        self._gauges["dsgen_open_rows"].set(status.open_rows)
        self._gauges["dsgen_open_bytes"].set(status.open_bytes)

    def _count(self, name: str, value: float, tag: str = "", of: str = "") -> None:
        """Counters are told what they grew by."""
        grown = value - self._values[name, of]
        if grown > 0:
            self._values[name, of] = value
            self._counters[name].inc(grown, tags={tag: of} if tag else None)

    def _ready(self) -> bool:
        if self._counters:
            return True
        if self._make is None:
            ray = sys.modules.get("ray")
            if ray is None or not ray.is_initialized():
                return False
            from ray.util.metrics import Counter, Gauge  # noqa: PLC0415 - only where a Ray runs

            self._make = (Counter, Gauge)
        counter, gauge = self._make
        self._counters = {name: counter(name, text, tags) for name, (text, tags) in COUNTERS.items()}
        self._gauges = {name: gauge(name, text, tags) for name, (text, tags) in GAUGES.items()}
        return True
