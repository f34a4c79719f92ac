"""The survey: every problem is made once before any teacher is asked, and only hashes come back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsgen.pipeline.engine.executors import Executor
from dsgen.pipeline.engine.plan import Plan
from dsgen.pipeline.engine.schedule import Window, each
from dsgen.pipeline.engine.work import SURVEYED, Surveyed, Task


async def survey(
    plan: Plan, executor: Executor, done: Callable[[int], None], *, sample: int | None = None
) -> tuple[NDArray[Any], dict[str, Any]]:
    """The units whose problem no unit with a smaller (generation, id) has, in order, and a report of what was found.

    ``done`` is told of units as they are surveyed. With ``sample`` only so many random units are looked at.
    """
    units: list[tuple[int, ...] | range]
    units = [plan.bucket(b) for b in range(plan.buckets)] if sample is None else _sampled(plan, sample)
    found: dict[int, Surveyed] = {}
    window = Window((executor.workers + 1) * plan.bucket_units)

    async def look(bucket: int) -> None:
        found[bucket], _ = await executor.run(Task("survey", bucket, units[bucket]))
        window.leave(bucket)
        done(len(units[bucket]))

    await each(range(len(units)), look, admit=lambda b: window.admit(b, len(units[b])))
    lines = np.concatenate([found[b].lines for b in sorted(found)]) if found else np.array([], SURVEYED)
    kept = without_duplicates(lines)
    missing: Counter[str] = Counter()
    furthest: dict[str, Counter[str]] = defaultdict(Counter)
    for surveyed in found.values():
        missing.update(surveyed.not_applicable)
        for source, stages in surveyed.stages.items():
            furthest[source].update(stages)
    report = {
        "units": sum(map(len, units)),
        "problems": len(lines),
        "duplicates": len(lines) - len(kept),
        "not_applicable": dict(sorted(missing.items())),
        "furthest": {source: dict(stages) for source, stages in furthest.items()},
    }
    return kept, report


def _sampled(plan: Plan, sample: int) -> list[tuple[int, ...] | range]:
    order = plan.key.child("pilot").permutation(len(plan))
    chosen = sorted(order[i] for i in range(min(sample, len(plan))))
    return [tuple(chosen[i : i + plan.bucket_units]) for i in range(0, len(chosen), plan.bucket_units)]


def without_duplicates(lines: NDArray[Any]) -> NDArray[Any]:
    """The numbers of the units that keep their statement, sorted; the winner never depends on who came first."""
    order = np.lexsort((lines["id"], lines["generation"], lines["statement"]))
    statements = lines["statement"][order]
    first = np.ones(len(order), bool)
    first[1:] = statements[1:] != statements[:-1]
    return np.sort(lines["unit"][order[first]])


def funnels(kinds: list[str], plan: Plan, furthest: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, int]]:
    """Seeds that came at least as far as each stage, by source."""
    made = {}
    for kind, opened in zip(kinds, plan.sources, strict=True):
        stages = opened.stages()
        if stages:
            reached = furthest.get(kind, {})
            made[kind] = {s: sum(reached.get(t, 0) for t in stages[i:]) for i, s in enumerate(stages)}
    return made
