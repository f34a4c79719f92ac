"""A lifted record as a program: what mutators need to make the same story with other numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.derivation import Derivation, Step
from dsgen.pipeline.core.exact import Exact, plain
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Part, Problem, Tier
from dsgen.pipeline.core.program import Origin, Values
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.text.lift_expr import Const, Expr, Param, Result
from dsgen.seeds.text.lift_model import PROFILES, Lift

_OPS = {"+": "add", "-": "sub", "*": "mul", "/": "div"}


class LiftedProgram:
    """A :class:`~dsgen.pipeline.core.program.Program` over a :class:`~dsgen.seeds.text.lift_model.Lift`.

    Slot 0 of the profile ``same`` holds the record's own values; no other slot does.
    """

    family = "arithmetic"
    tier = Tier.LIFTED

    def __init__(self, name: str, lifted: Lift) -> None:
        self.id = name
        self.lift = lifted

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.id, self.lift)

    def original(self) -> dict[str, Exact]:
        """The values of the record itself."""
        return {name: plain(value) for name, value in self.lift.originals.items()}

    def capacity(self, profile: str) -> int:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return self.lift.space(profile).capacity + (profile == "same")

    def draw(self, profile: str, slot: int, key: Key) -> Values | None:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        if profile == "same":
            if slot == 0:
                return self.original()
            slot -= 1
        return self.lift.space(profile).draw(slot, key.child("space", self.id, profile))

    def pose(self, values: Values, origin: Origin) -> Problem:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        derivation = self.derive(values)
        return Problem(
            parts=tuple(self.facts_parts(values, {})),
            answer=answers.of(derivation.value),
            lineage=origin.lineage,
            tier=self.tier,
            family=self.family,
            form="forward",
            derivation=derivation,
            values=values,
            program=self,
            draw=origin.draw,
        )

    def derive(self, values: Values) -> Derivation:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        t = Trace()
        given = {p.name: t.given(p.name, plain(values[p.name])) for p in self.lift.parameters}
        results: list[Quantity] = []
        for step in self.lift.steps:
            results.append(_record(step.expr, t, given, results))
        try:
            texts = self.lift.sentences({n: g.value for n, g in given.items()}, [r.value for r in results])
        except ValueError as error:
            raise Degenerate(str(error)) from error
        steps = tuple(Step(text, results[last].index) for text, last in texts)
        return Derivation(tuple(t.nodes), steps, results[-1].index)

    def second(self, values: Values) -> None:
        """There is no second solver: the source's own derivation is all there is."""
        return None

    def maskable(self) -> list[str]:
        """The whole-number parameters."""
        return [p.name for p in self.lift.parameters if not p.style.decimals]

    def domain(self, name: str, values: Values) -> Sequence[Exact]:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        check = self.lift.check
        grid = check.grids[check.names.index(name)]
        parts = grid.count(values[name])
        holding = [span for place in range(len(PROFILES)) if parts in (span := grid.choices(place))]
        if not holding:
            return (values[name],)
        found = min(holding, key=len)
        return found if grid.parts == 1 else tuple(grid.value(p) for p in found)

    def admissible(self, values: Values) -> bool:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return self.lift.check.admits(values)

    def facts_parts(self, values: Values, hidden: Mapping[str, str]) -> list[Part]:
        """The whole text with its question: the numbers of a story often stand in the question itself."""
        return [Part("text", self.lift.render_question(values, hidden).strip())]  # type: ignore[arg-type]

    def result(self, answer: str, values: Values) -> str:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return f"The answer to this question is {answer}."

    def meaning(self, name: str) -> str:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return ""


def _record(expr: Expr, t: Trace, given: Mapping[str, Quantity], results: Sequence[Quantity]) -> Quantity:
    if isinstance(expr, Const):
        return t.const(plain(expr.value))
    if isinstance(expr, Param):
        return given[expr.name]
    if isinstance(expr, Result):
        return results[expr.index]
    left, right = _record(expr.left, t, given, results), _record(expr.right, t, given, results)
    return t.binary(_OPS[expr.op], left, right)
