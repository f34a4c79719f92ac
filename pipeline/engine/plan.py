"""The plan: every unit of work of a run by number, and its identity. Pure, and small whatever the run's size."""

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
        self._starts = [0, *accumulate(len(s) * len(self._slots) for s in sources)]
        self._stamps = [m.stamp for m in mutators]

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def buckets(self) -> int:
        """The number of buckets; the last may be smaller."""
        return -(-len(self) // self.bucket_units)

    def bucket(self, number: int) -> range:
        """The unit numbers of a bucket."""
        return range(number * self.bucket_units, min((number + 1) * self.bucket_units, len(self)))

    def unit(self, number: int) -> Unit:
        """The unit with a number."""
        source = bisect_right(self._starts, number) - 1
        seed, slot = divmod(number - self._starts[source], len(self._slots))
        mutator, child = self._slots[slot]
        return Unit(number, source, seed, mutator, child)

    def unit_id(self, unit: Unit) -> str:
        """The unit's place in the run, a hash: the same whatever else the plan holds."""
        generation = int(unit.mutator >= 0)
        mutator = self._stamps[unit.mutator] if generation else SEED
        return digest(self.run_seed, self.seed_id(unit), generation, mutator, unit.child).hex()

    def seed_id(self, unit: Unit) -> str:
        """The name of a unit's seed."""
        return self.sources[unit.source].seed_id(unit.seed)

    def problems(self, numbers: Iterable[int]) -> Iterator[tuple[Unit, Problem | NotApplicable, str]]:
        """The problems of units with their seeds' funnel stages; a seed is made once for units in a row."""
        made: tuple[int, int] | None = None
        seed = Seed(NotApplicable(""))
        for number in numbers:
            unit = self.unit(number)
            if made != (unit.source, unit.seed):
                seed = self.sources[unit.source].seed(unit.seed, self.key)
                made = (unit.source, unit.seed)
            if isinstance(seed.problem, NotApplicable) or unit.mutator < 0:
                yield unit, seed.problem, seed.stage
            else:
                yield unit, self.mutators[unit.mutator].mutate(seed.problem, unit.child, self.key), seed.stage
