"""The same problem with other numbers: of the same magnitude, smaller ones or larger ones."""

from __future__ import annotations

from typing import Literal

from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.exact import show
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Mutator, NotApplicable
from dsgen.pipeline.core.problem import Mutation, Problem
from dsgen.pipeline.core.program import Origin


class Perturb(Mutator):
    """New parameter values from the program's own space; the answer is executed again, never edited.

    Cousins share one space: child ``i`` of the ``s``-th of ``S`` seeds takes slot ``S × (i + 1) + s`` under the profile
    ``same`` (the seeds themselves have the first ``S`` slots) and slot ``S × i + s`` under the others.
    """

    kind: Literal["perturb"] = "perturb"
    profile: Literal["same", "easier", "harder"] = "same"

    def draws_from(self) -> str:
        return self.profile

    def capacity(self, problem: Problem) -> int:
        if problem.program is None or problem.form != "forward":
            return 0
        own = problem.program.capacity(self.profile) // problem.draw.population
        return max(0, own - 1) if self.profile == "same" else own

    def mutate(self, problem: Problem, index: int, key: Key) -> Problem | NotApplicable:
        program = problem.program
        if program is None:
            return NotApplicable("no_derivation")
        if problem.form != "forward":
            return NotApplicable("not_forward")
        if index >= self.capacity(problem):
            return NotApplicable("no_such_profile" if program.capacity(self.profile) == 0 else "space_exhausted")
        ordinal, population = problem.draw
        slot = population * (index + (self.profile == "same")) + ordinal
        values = program.draw(self.profile, slot, key)
        if values is None:
            return NotApplicable("no_admissible_values")
        if values == problem.values:
            return NotApplicable("same_as_parent")
        before = problem.values
        note = ", ".join([f"{n}: {show(before[n])} → {show(v)}" for n, v in values.items() if before[n] != v])
        lineage = problem.lineage.then(Mutation(self.stamp, index, note))
        try:
            return program.pose(values, Origin(lineage, problem.draw))
        except Degenerate:
            return NotApplicable("degenerate")
