"""Which teacher a problem goes to: by family, by number of steps, and by the pass rates that were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.teachers.config import DerivationConfig, ModelConfig

PassRates = Mapping[str, Mapping[str, Sequence[int]]]
"""Family → teacher's name → (accepted, judged) samples."""
_FEW = 20
"""Samples below which a pass rate says nothing."""


class Routing(BaseModel):
    """How rows find their teacher when there are several."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    by_pass_rate: bool = False
    """Measure first which teacher solves what."""
    pilot_buckets: int = Field(default=4, ge=1)
    """Buckets whose rows are dealt out evenly, to be measured; they are part of the dataset."""
    tolerance: float = Field(default=0.05, ge=0, le=1)
    """A teacher earlier in the list, taken to be the cheaper one, is preferred up to this loss of pass rate."""


def name_of(config: ModelConfig | DerivationConfig) -> str:
    """A teacher's name in routing, summary and card."""
    return "derivation" if isinstance(config, DerivationConfig) else config.name or f"{config.kind}:{config.model}"


class Router:
    """Chooses among teachers; a pure function of the problem, its unit and the frozen pass rates."""

    def __init__(self, teachers: Sequence[ModelConfig], routing: Routing) -> None:
        self.teachers = teachers
        self.routing = routing
        self.names = [name_of(t) for t in teachers]

    def takes(self, problem: Problem) -> list[int]:
        """The teachers that take such a problem; without any, those that set no bounds."""
        steps = len(problem.derivation.nodes) if problem.derivation else 0
        found = [
            i
            for i, t in enumerate(self.teachers)
            if (not t.families or problem.family in t.families)
            and (t.steps is None or t.steps[0] <= steps <= t.steps[1])
        ]
        return found or [i for i, t in enumerate(self.teachers) if not t.families and t.steps is None]

    def choose(self, problem: Problem, unit_id: str, rates: PassRates | None) -> int:
        """The index of the teacher that a unit goes to."""
        able = self.takes(problem)
        if len(able) == 1 or not self.routing.by_pass_rate:
            return able[0]
        if rates is None:
            return able[int(digest("route", unit_id, size=8).hex(), 16) % len(able)]
        worth = {i: _lower(*_measured(rates, problem.family or "unknown", self.names[i])) for i in able}
        best = max(worth.values())
        return next(i for i in able if worth[i] >= best - self.routing.tolerance)


def _measured(rates: PassRates, family: str, name: str) -> Sequence[int]:
    """A teacher's samples of a family, or of all families where there are too few."""
    own = rates.get(family, {}).get(name, (0, 0))
    if own[1] >= _FEW:
        return own
    every = [r[name] for r in rates.values() if name in r]
    return sum(r[0] for r in every), sum(r[1] for r in every)


def _lower(accepted: int, judged: int) -> float:
    """The lower end of Wilson's 90 % interval of a pass rate; 0 for too few samples (Wilson, 1927)."""
    if judged < _FEW:
        return 0.0
    z = 1.645
    share = accepted / judged
    middle = share + z * z / (2 * judged)
    spread = z * math.sqrt(share * (1 - share) / judged + z * z / (4 * judged * judged))
    return (middle - spread) / (1 + z * z / judged)
