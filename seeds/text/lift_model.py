"""A lifted record: a question with slots, parameters with domains, and steps that compute the answer from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from functools import cached_property
from typing import Any, NamedTuple

from dsgen.seeds.text.lift_check import Check
from dsgen.seeds.text.lift_expr import (
    Binary,
    Const,
    Expr,
    ExpressionError,
    Param,
    Result,
    evaluate,
)
from dsgen.seeds.text.lift_numerals import Number, Style, decimal_places
from dsgen.seeds.text.lift_space import LiftSpace
from dsgen.seeds.text.lift_text import QuestionText, SolutionText

Values = Mapping[str, Fraction]
PROFILES = ("easier", "same", "harder")


class Span(NamedTuple):
    """The values from ``low`` to ``high``, both included, ``step`` apart."""

    low: Fraction
    high: Fraction
    step: Fraction

    @property
    def size(self) -> int:
        """How many values there are."""
        return max(0, int((self.high - self.low) // self.step) + 1)

    def at(self, position: int) -> Fraction:
        """The value at a position, from 0."""
        return self.low + position * self.step


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the question that may take other values."""

    name: str
    value: Fraction
    style: Style
    domains: tuple[Span, Span, Span]
    """By profile, in the order of :data:`PROFILES`."""
    unit: str = ""
    percent: bool = False

    def domain(self, profile: str) -> Span:
        """The domain of a profile."""
        return self.domains[PROFILES.index(profile)]


@dataclass(frozen=True, slots=True)
class Slot:
    """A place of the question where a parameter's value stands."""

    name: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A place of a solution sentence where a computed number stands."""

    expr: Expr
    style: Style


@dataclass(frozen=True, slots=True)
class LiftStep:
    """One calculation; ``before`` and ``after`` are the sentence around its equation, empty for a bare equation."""

    expr: Expr
    before: tuple[str | Shown, ...] = ()
    after: tuple[str | Shown, ...] = ()
    line: int = 0
    """Steps of one line stand in one sentence."""


class Order(NamedTuple):
    """Two expressions whose order must stay what it is."""

    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Guards:
    """Conditions beyond those that every record has."""

    orders: tuple[Order, ...] = ()
    shares: tuple[str, ...] = ()
    """Percent parameters that together stay at or below 100."""
    shares_fixed: Fraction = Fraction(0)
    """What the unchangeable percentages add to them."""
    ceiling: Fraction | None = None
    """No step that was at or below this may rise above it."""


@dataclass(frozen=True, slots=True)
class NotLifted:
    """Why a record is not lifted: the last stage of the funnel that it reached, and the reason."""

    stage: str
    reason: str


@dataclass(frozen=True)
class Lift:
    """A record as a program over its parameters. All methods are pure."""

    segments: tuple[str | Slot, ...]
    parameters: tuple[Parameter, ...]
    steps: tuple[LiftStep, ...]
    guards: Guards

    @cached_property
    def check(self) -> Check:
        """The guards, compiled: as :meth:`admissible` judges, without a reason."""
        return Check(self)

    @cached_property
    def _spaces(self) -> dict[str, LiftSpace]:
        return {}

    def space(self, profile: str) -> LiftSpace:
        """The admissible values of a profile but the record's own, made once."""
        space = self._spaces.get(profile)
        if space is None:
            space = self._spaces[profile] = LiftSpace(self.check, PROFILES.index(profile))
        return space

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @property
    def originals(self) -> dict[str, Fraction]:
        """The values of the record itself."""
        return {p.name: p.value for p in self.parameters}

    def evaluate(self, values: Values) -> list[Fraction]:
        """The values of the steps; the last one is the answer.

        Raises:
            ExpressionError: a division by zero.
        """
        results: list[Fraction] = []
        for step in self.steps:
            results.append(evaluate(step.expr, values, results))
        return results

    def render_question(self, values: Mapping[str, Number], hidden: Mapping[str, str] | None = None) -> str:
        """The question with these values; ``hidden`` parameters are shown as the given symbols."""
        return self._question.render(values, hidden or {})

    def render_solution(self, values: Values) -> str:
        """The worked solution, one sentence or equation a line.

        Raises:
            ExpressionError: a division by zero.
        """
        return "\n".join(text for text, _ in self.sentences(values, self.evaluate(values)))

    def sentences(self, values: Mapping[str, Number], results: Sequence[Number]) -> list[tuple[str, int]]:
        """The sentences of the worked solution, each with the last step that it states; ``results`` are the steps'."""
        return self._solution.render(values, results)

    @cached_property
    def _question(self) -> QuestionText:
        return QuestionText(self.segments, self.parameters)

    @cached_property
    def _solution(self) -> SolutionText:
        return SolutionText(self.steps)

    def admissible(self, values: Values) -> str | None:
        """The slug of the guard that forbids these values; ``None`` when they are admissible."""
        for parameter in self.parameters:
            if not _fits(parameter, values[parameter.name]):
                return "outside-domain"
        originals = self.originals
        results: list[Fraction] = []
        base: list[Fraction] = []
        for step in self.steps:
            was: list[Fraction] = []
            now: list[Fraction] = []
            base.append(evaluate(step.expr, originals, base, was))
            try:
                results.append(evaluate(step.expr, values, results, now))
            except ExpressionError:
                return "division-by-zero"
            for place, (before, after) in enumerate(zip(was, now, strict=True)):
                slug = _node_fault(before, after, place == len(was) - 1)
                if slug:
                    return slug
        return self._guard_fault(values, results, base)

    def _guard_fault(self, values: Values, results: list[Fraction], base: list[Fraction]) -> str | None:
        originals = self.originals
        for left, right in self.guards.orders:
            was = evaluate(left, originals, base) - evaluate(right, originals, base)
            now = evaluate(left, values, results) - evaluate(right, values, results)
            if was and _sign(was) != _sign(now):
                return "order-changes"
        if self.guards.shares:
            total = sum((values[name] for name in self.guards.shares), self.guards.shares_fixed)
            if total >= 100:
                return "shares-exceed-100"
        ceiling = self.guards.ceiling
        if ceiling is not None and any(b <= ceiling < r for b, r in zip(base, results, strict=True)):
            return "above-ceiling"
        return None

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data that shows question, parameters and calculation."""
        return {
            "segments": [s if isinstance(s, str) else {"slot": s.name} for s in self.segments],
            "parameters": [
                {
                    "name": p.name,
                    "value": str(p.value),
                    "domains": {name: [str(v) for v in p.domain(name)] for name in PROFILES},
                    "style": p.style._asdict(),
                    "unit": p.unit,
                    "percent": p.percent,
                }
                for p in self.parameters
            ],
            "steps": [expr_data(step.expr) for step in self.steps],
        }


def expr_data(expr: Expr) -> Any:
    """An expression as plain JSON data."""
    if isinstance(expr, Const):
        return str(expr.value)
    if isinstance(expr, Param):
        return {"parameter": expr.name}
    if isinstance(expr, Result):
        return {"step": expr.index}
    return [expr.op, expr_data(expr.left), expr_data(expr.right)]


def uses(expr: Expr) -> set[str | int]:
    """The parameter names and step indexes in an expression."""
    if isinstance(expr, Binary):
        return uses(expr.left) | uses(expr.right)
    if isinstance(expr, Param):
        return {expr.name}
    return {expr.index} if isinstance(expr, Result) else set()


def _fits(parameter: Parameter, value: Fraction) -> bool:
    style = parameter.style
    if style.decimals and (style.decimals == 1 or not style.prefix) and value.denominator == 1:
        # nobody writes "12.0 pounds" or "$3.0"
        return value == parameter.value
    return value == parameter.value or any(
        s.size > 0 and s.low <= value <= s.high and (value - s.low) % s.step == 0 for s in parameter.domains
    )


def _node_fault(was: Fraction, now: Fraction, is_step: bool) -> str | None:
    if _sign(was) != _sign(now):
        return "sign-changes"
    if was.denominator == 1 and now.denominator != 1:
        return "not-whole"
    if (was < 1) != (now < 1) or (was == 1) != (now == 1):
        return "crosses-one"
    if not is_step:
        return None
    before, after = decimal_places(was), decimal_places(now)
    if before is not None and before <= 2 and (after is None or after > 2):
        return "too-many-decimals"
    return None


def _sign(value: Fraction) -> int:
    return (value > 0) - (value < 0)
