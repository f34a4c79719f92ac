"""Metrics: what counters and gauges are told, and what a real Ray exports of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.metrics import COUNTERS, GAUGES, Metrics

SCRAPE = Path(__file__).parents[1] / "support" / "scrape_ray.py"


class Instruments:
    """Stands for Ray's: sums for counters, last values for gauges, by name and tags."""

    def __init__(self) -> None:
        self.values: dict[tuple[str, ...], float] = defaultdict(float)
        self.calls = 0

    def counter(self, name: str, _: str, tags: tuple[str, ...]) -> Any:
        return _Instrument(self, name, tags)

    gauge = counter


class _Instrument:
    def __init__(self, all_of_them: Instruments, name: str, tags: tuple[str, ...]) -> None:
        self.all, self.name, self.tags = all_of_them, name, tags

    def inc(self, value: float, tags: dict[str, str] | None = None) -> None:
        assert value > 0  # Ray refuses anything else
        self.all.values[self._key(tags)] += value

    def set(self, value: float, tags: dict[str, str] | None = None) -> None:
        self.all.values[self._key(tags)] = value

    def _key(self, tags: dict[str, str] | None) -> tuple[str, ...]:
        assert tuple(tags or ()) == self.tags
        self.all.calls += 1
        return (self.name, *(tags or {}).values())


def status(fresh: int, accepted: int, **changes: Any) -> Status:
    made = Status(
        fresh_units=fresh,
        counts=Counter(accepted=accepted, rejected=1),
        cache={"memory": 2, "misses": 5},
        engines=[EngineStatus("a 0", 4, 3, 0.5, deaths=1), EngineStatus("a 1", 4, 1, 0.25)],
        tokens=100,
        asked=7,
        requeued=2,
        open_rows=10,
        open_bytes=1000,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_counters_are_told_what_they_grew_by() -> None:
    seen = Instruments()
    metrics = Metrics(seen.counter, seen.gauge, every_s=0)
    metrics.update(status(0, 1000))  # a resumed run: 1000 are of an earlier start
    metrics.update(status(1, 1010))
    metrics.update(status(2, 1025, tokens=150, open_rows=5))
    assert seen.values == {
        ("dsgen_samples_total", "accepted"): 25,
        ("dsgen_tokens_total",): 150,
        ("dsgen_requests_total",): 7,
        ("dsgen_requeued_total",): 2,
        ("dsgen_cache_total", "memory"): 2,
        ("dsgen_cache_total", "misses"): 5,
        ("dsgen_engine_deaths_total", "a 0"): 1,
        ("dsgen_engine_occupancy", "a 0"): 0.5,
        ("dsgen_engine_occupancy", "a 1"): 0.25,
        ("dsgen_engine_in_flight", "a 0"): 3,
        ("dsgen_engine_in_flight", "a 1"): 1,
        ("dsgen_open_rows",): 5,
        ("dsgen_open_bytes",): 1000,
    }


def test_updates_are_rare() -> None:
    seen, now = Instruments(), [0.0]
    metrics = Metrics(seen.counter, seen.gauge, every_s=1, clock=lambda: now[0])
    metrics.update(status(1, 1))
    calls = seen.calls
    now[0] = 0.9
    metrics.update(status(2, 2))
    assert seen.calls == calls
    now[0] = 1.0
    metrics.update(status(2, 2))
    assert seen.calls > calls


def test_without_ray_nothing_happens_and_nothing_is_imported() -> None:
    code = (
        "import sys; from dsgen.pipeline.engine.status import Status; from dsgen.pipeline.metrics import Metrics;"
        "Metrics().update(Status()); print('ray' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.slow
def test_a_real_ray_exports_them() -> None:
    pytest.importorskip("ray")
    pytest.importorskip("opentelemetry.exporter.prometheus", reason="Ray exports nothing without ray[default]")
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_metrics_report_interval_ms": "1000"}
    done = subprocess.run(
        [sys.executable, "-P", str(SCRAPE)], env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert {name.removeprefix("ray_") for name in found} == {*COUNTERS, *GAUGES}
    assert found["ray_dsgen_samples_total"] == {"accepted": 12.0, "rejected": 3.0}
    assert found["ray_dsgen_cache_total"] == {"journal": 2.0, "misses": 5.0}
    assert found["ray_dsgen_engine_occupancy"] == {"a 0": 0.5, "a 1": 0.25}
    assert found["ray_dsgen_engine_deaths_total"] == {"a 0": 1.0}
    assert found["ray_dsgen_tokens_total"] == {"": 100.0}
    assert found["ray_dsgen_open_bytes"] == {"": 1000.0}
