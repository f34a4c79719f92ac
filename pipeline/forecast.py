"""What a whole run will cost and bring, estimated from a small pilot: tokens, hours and rows, with intervals."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
import pyarrow.parquet as pq
from numpy.typing import NDArray

from dsgen.pipeline.engine.records import read
from dsgen.pipeline.engine.run import run
from dsgen.pipeline.engine.status import Listener, Status
from dsgen.pipeline.engine.store import open_store
from dsgen.pipeline.workflow import Workflow

_Z = 1.959964
_RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with the ends of its 95 % interval."""

    low: float
    mid: float
    high: float

    def times(self, factor: float) -> Interval:
        """The interval of a multiple."""
        return Interval(self.low * factor, self.mid * factor, self.high * factor)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of a whole run; all counts are of the run, not of its pilot."""

    planned_units: int
    pilot_units: int
    problems: Interval
    accepted: Interval
    rejected: Interval
    row_tokens: Interval
    """Tokens of statement and solution of accepted rows."""
    teacher_tokens: Interval
    """Tokens that teachers and judges generate; 0 without a model."""
    hours: Interval
    """From the pilot's own speed to that of full slots; what lies between depends on how an engine slows when full."""
    gpus: int
    size: Interval
    """Bytes of Parquet."""
    buckets: Mapping[str, int]
    """Accepted rows of the pilot by length bucket."""
    pilot_seconds: float
    pilot_counts: Mapping[str, int]
    reasons: Mapping[str, int]


def forecast(workflow: Workflow, units: int, listener: Listener = lambda _: None) -> Forecast:
    """Carry out so many random units of a workflow in a folder that is then thrown away, and extrapolate.

    Raises:
        UserError: what stops a run stops its pilot.
    """
    watch = _Watch(listener)
    with tempfile.TemporaryDirectory(prefix="dsgen-pilot-") as folder:
        began = time.monotonic()
        manifest = run(workflow, folder, watch, pilot=units)
        seconds = time.monotonic() - began
        return _extrapolated(workflow, manifest, Path(folder), watch, seconds)


class _Watch:
    """Passes statuses on and notes when rows were made."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.began = self.ended = 0.0
        self.slots = 0
        self.occupancy = 0.0
        self.tokens = 0

    def __call__(self, status: Status) -> None:
        self.listener(status)
        if status.stage == "making rows":
            self.ended = time.monotonic()
            self.began = self.began or self.ended
            self.tokens, self.slots = status.tokens, status.slots
            if status.slots:
                self.occupancy = sum(e.occupancy * e.slots for e in status.engines) / status.slots


def _extrapolated(
    workflow: Workflow, manifest: Mapping[str, Any], folder: Path, watch: _Watch, seconds: float
) -> Forecast:
    plan = workflow.plan(check=False)
    counts, samples = manifest["counts"], workflow.samples
    looked_at = manifest["surveyed"]
    problems = wilson(counts["planned"] // samples, looked_at).times(len(plan))
    judged = counts["planned"] - counts["duplicate"]
    made = problems.times(samples)
    accepted, rejected = (_product(made, wilson(counts[k], judged)) for k in ("accepted", "rejected"))
    tokens = _tokens(folder, manifest)
    generated = _generated(folder)
    total = _product(problems, bootstrap(generated).times(len(generated) / max(1, judged // samples)))
    active = max(watch.ended - watch.began, 1e-9)
    per_row = active / max(1, judged)
    if workflow.models and watch.tokens:
        slow = watch.tokens / active
        fast = max(slow, slow / max(watch.occupancy, 1e-9))
        hours = Interval(total.low / fast / 3600, total.mid / math.sqrt(slow * fast) / 3600, total.high / slow / 3600)
    else:
        hours = made.times(per_row / 3600)
    size = sum(f["bytes"] for f in manifest["files"]) / max(1, judged)
    return Forecast(
        planned_units=len(plan),
        pilot_units=looked_at,
        problems=problems,
        accepted=accepted,
        rejected=rejected,
        row_tokens=_product(accepted, bootstrap(tokens)),
        teacher_tokens=total,
        hours=hours,
        gpus=sum(getattr(m, "gpus", 0) * getattr(m, "engines", 1) for m in workflow.models),
        size=made.times(size),
        buckets=manifest["tables"].get("length_bucket", {}),
        pilot_seconds=seconds,
        pilot_counts=counts,
        reasons=manifest["reasons"],
    )


def wilson(hits: int, trials: int) -> Interval:
    """The share of hits with its 95 % interval (Wilson, 1927); all of 0 to 1 without a trial."""
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    share = hits / trials
    middle = (share + _Z * _Z / (2 * trials)) / (1 + _Z * _Z / trials)
    spread = _Z * math.sqrt(share * (1 - share) / trials + (_Z / (2 * trials)) ** 2) / (1 + _Z * _Z / trials)
    return Interval(max(0.0, middle - spread), share, min(1.0, middle + spread))


def bootstrap(values: NDArray[Any]) -> Interval:
    """The mean with its 95 % percentile interval over resamples; no spread is known of fewer than two values."""
    if len(values) == 0:
        return Interval(0.0, 0.0, 0.0)
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(low), float(values.mean()), float(high))


def _product(a: Interval, b: Interval) -> Interval:
    """Of two independent positive estimates: relative errors add as squares."""
    mid = a.mid * b.mid

    def end(x: float, y: float) -> float:
        relative = [(e - i.mid) / i.mid if i.mid else 0.0 for e, i in ((x, a), (y, b))]
        return math.hypot(*relative)

    if mid == 0:
        return Interval(0.0, 0.0, a.high * b.high)
    return Interval(mid * max(0.0, 1 - end(a.low, b.low)), mid, mid * (1 + end(a.high, b.high)))


def _columns(folder: Path, manifest: Mapping[str, Any], kinds: tuple[str, ...], columns: list[str]) -> Iterator[Any]:
    for file in manifest["files"]:
        if file["kind"] in kinds:
            yield pq.read_table(folder / file["path"], columns=columns)


def _tokens(folder: Path, manifest: Mapping[str, Any]) -> NDArray[Any]:
    columns = ["statement_tokens", "solution_tokens"]
    found = [t.column(0).to_numpy() + t.column(1).to_numpy() for t in _columns(folder, manifest, ("data",), columns)]
    return np.concatenate(found) if found else np.array([])


def _generated(folder: Path) -> NDArray[Any]:
    """Tokens of each reply of teachers and judges, as the journal has them."""
    store = open_store(folder)
    bodies = (body for path, size in store.list("journal/") for _, body in read(store, path, size))
    replies = (orjson.loads(body)["completions"] for body in bodies)
    return np.array([sum(c["completion_tokens"] for c in reply) for reply in replies], float)


def lines(f: Forecast) -> Iterator[str]:
    """The forecast for people."""
    yield (
        f"pilot: {f.pilot_units:,} of {f.planned_units:,} planned units in {f.pilot_seconds:.1f} s: "
        + ", ".join(f"{count:,} {name}" for name, count in f.pilot_counts.items() if count)
    )
    for reason, count in list(f.reasons.items())[:3]:
        yield f"  {count:,} × {reason}"
    yield "the whole run, with 95 % intervals:"
    yield f"  accepted rows     {_count(f.accepted)}"
    yield f"  rejected rows     {_count(f.rejected)}"
    yield f"  tokens in rows    {_count(f.row_tokens)}"
    if f.teacher_tokens.mid:
        yield f"  tokens generated  {_count(f.teacher_tokens)}"
    hours = f.hours
    yield f"  hours             {hours.mid:,.2f} ({hours.low:,.2f} to {hours.high:,.2f})"
    if f.gpus:
        gpu = hours.times(f.gpus)
        yield f"  GPU hours         {gpu.mid:,.1f} ({gpu.low:,.1f} to {gpu.high:,.1f}) on {f.gpus} GPUs"
    yield f"  Parquet           {f.size.mid / 1e6:,.1f} MB ({f.size.low / 1e6:,.1f} to {f.size.high / 1e6:,.1f})"
    if f.buckets:
        shares = ", ".join(f"{name} {count / sum(f.buckets.values()):.0%}" for name, count in f.buckets.items())
        yield f"  length buckets    {shares}"
    if f.pilot_units < 100:
        yield "  (a small pilot: rare long rows may be missing from it; --pilot N makes a larger one)"


def _count(i: Interval) -> str:
    return f"{i.mid:,.0f} ({i.low:,.0f} to {i.high:,.0f})"
