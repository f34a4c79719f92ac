"""The plan: every unit of work of a run by number, and its identity. Pure, and small whatever the run's size.

Units of a seed are numbered in a row; seeds come in a keyed random order, so that every bucket is a fair sample of the
whole run: pass rates, lengths and error rates that the first buckets show hold for the last.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.operator import Mutator, NotApplicable
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.core.source import Seed, SeedSet

SEED = "seed"
"""The mutator name of a seed itself."""


class Unit(NamedTuple):
    """One planned problem: a seed itself, or one child of it."""

    number: int
    source: int
    seed: int
    mutator: int
    """Index into the plan's mutators; -1 for the seed itself."""
    child: int


class Plan:
    """Sources and mutators as a numbered list of units, seed by seed, cut into buckets."""

    version = 2
    """Of the numbering; part of a run's identity."""

    def __init__(
        self,
        run_seed: int,
        sources: Sequence[SeedSet],
        mutators: Sequence[Mutator],
        bucket_units: int,
        *,
        keep_seeds: bool = True,
    ) -> None:
        self.run_seed = run_seed
        self.sources = sources
        self.mutators = mutators
        self.bucket_units = bucket_units
        self.key = Key.of("run", run_seed)
        self._slots = [(-1, 0)] * keep_seeds + [(m, c) for m, op in enumerate(mutators) for c in range(op.count)]
        self._starts = [0, *accumulate(len(s) for s in sources)]
        self._order = self.key.child("order").permutation(max(1, self._starts[-1]))
        self._stamps = [m.stamp for m in mutators]

    def __len__(self) -> int:
        return self._starts[-1] * len(self._slots)

    @property
    def buckets(self) -> int:
        """The number of buckets; the last may be smaller."""
        return -(-len(self) // self.bucket_units)

    def bucket(self, number: int) -> range:
        """The unit numbers of a bucket."""
        return range(number * self.bucket_units, min((number + 1) * self.bucket_units, len(self)))

    def unit(self, number: int) -> Unit:
        """The unit with a number."""
        place, slot = divmod(number, len(self._slots))
        index = self._order[place]
        source = bisect_right(self._starts, index) - 1
        mutator, child = self._slots[slot]
        return Unit(number, source, index - self._starts[source], mutator, child)

    def unit_id(self, unit: Unit) -> str:
        """The unit's place in the run, a hash: the same whatever else the plan holds."""
        generation = int(unit.mutator >= 0)
        mutator = self._stamps[unit.mutator] if generation else SEED
        return digest(self.run_seed, self.seed_id(unit), generation, mutator, unit.child).hex()

    def seed_id(self, unit: Unit) -> str:
        """The name of a unit's seed."""
        return self.sources[unit.source].seed_id(unit.seed)

    def seed(self, unit: Unit) -> Seed:
        """A unit's seed."""
        return self.sources[unit.source].seed(unit.seed, self.key)

    def problem(self, unit: Unit, seed: Seed) -> Problem | NotApplicable:
        """A unit's problem, of its seed."""
        if isinstance(seed.problem, NotApplicable) or unit.mutator < 0:
            return seed.problem
        return self.mutators[unit.mutator].mutate(seed.problem, unit.child, self.key)

    def problems(self, numbers: Iterable[int]) -> Iterator[tuple[Unit, Problem | NotApplicable, str]]:
        """The problems of units with their seeds' funnel stages; a seed is made once for units in a row."""
        made: tuple[int, int] | None = None
        seed = Seed(NotApplicable(""))
        for number in numbers:
            unit = self.unit(number)
            if made != (unit.source, unit.seed):
                seed = self.seed(unit)
                made = (unit.source, unit.seed)
            yield unit, self.problem(unit, seed), seed.stage
