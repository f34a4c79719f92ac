"""The guards of a lift as a flat program over whole numbers, for one assignment or for thousands at once.

:meth:`Lift.admissible <dsgen.seeds.text.lift_model.Lift.admissible>` says what the guards mean; this says the same,
quickly. A value is a whole number of parts of a fixed size: a price is counted in cents, a percentage in hundredths.
Where the record's own value is whole, a guard wants a whole value, and so its parts are ones from there on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from dsgen.pipeline.core.exact import Exact
from dsgen.seeds.text.lift_expr import Binary, Const, Expr, Param, evaluate
from dsgen.seeds.text.lift_grid import Grid
from dsgen.seeds.text.lift_numerals import decimal_places

if TYPE_CHECKING:
    from dsgen.seeds.text.lift_model import Lift

LINEAR, PRODUCT, QUOTIENT = range(3)
_FITS_64_BITS = 1 << 62


class Instruction(NamedTuple):
    """Compute ``a × x + b × y``, ``a × b`` or ``(a × x) / (b × y)`` from two registers, and look at the result."""

    op: int
    to: int
    a: int
    x: int
    b: int
    y: int
    divide: int
    """The result must be a multiple of this, and is divided by it."""
    low: int | None
    high: int | None
    """The bounds that the result keeps."""
    needs: int
    """The parameters that it depends on, as bits."""


class _Value(NamedTuple):
    register: int
    parts: int
    """The value is the register divided by this."""
    was: Fraction
    """The value in the record itself."""
    needs: int
    bound: int
    """The register's absolute value stays at or below this, if the parameters keep to their domains."""


class Check:
    """A lift's guards, compiled."""

    def __init__(self, lift: Lift) -> None:
        self.lift = lift
        self.names = [p.name for p in lift.parameters]
        self.grids = [Grid(p) for p in lift.parameters]
        self.original = [g.original for g in self.grids]
        self.program: list[Instruction] = []
        self.complete = True
        """Whether the instructions say all that the guards say."""
        self._constants: dict[Fraction, _Value] = {}
        self._made: dict[tuple[str, int, int], _Value | None] = {}
        self._widest = max((g.bound for g in self.grids), default=0)
        self._parameters = {
            p.name: _Value(i, g.parts, p.value, 1 << i, g.bound)
            for i, (p, g) in enumerate(zip(lift.parameters, self.grids, strict=True))
        }
        self._next = len(self.names)
        self._results: list[_Value | None] = []
        self._compile(lift)
        # What is known first is looked at first; registers are numbered so that sources come before results.
        self.program.sort(key=lambda i: max(i.a, i.b))
        self.constants = {c.register: c.was.numerator for c in self._constants.values()}
        self.wide = self._widest >= _FITS_64_BITS
        """Whether machine integers may be too short for a value."""
        start = [0] * self._next
        for register, number in self.constants.items():
            start[register] = number
        self._start = start[len(self.names) :]

    def admits(self, values: Mapping[str, Exact]) -> bool:
        """Whether the lift says that the values are admissible."""
        parts = []
        for name, grid in zip(self.names, self.grids, strict=True):
            count = grid.count(values[name])
            if count is None:
                return False
            parts.append(count)
        return self.holds(parts)

    def holds(self, parts: Sequence[int]) -> bool:
        """The same for values of the domains, in parts and in the order of the parameters."""
        r = [*parts, *self._start]
        for op, to, a, x, b, y, divide, low, high, _ in self.program:
            if op == LINEAR:
                n = r[a] * x + r[b] * y
            elif op == PRODUCT:
                n = r[a] * r[b]
            else:
                below = r[b] * y
                if not below:
                    return False
                n, rest = divmod(r[a] * x, below)
                if rest:
                    return False
            if divide != 1:
                n, rest = divmod(n, divide)
                if rest:
                    return False
            if (low is not None and n < low) or (high is not None and n > high):
                return False
            r[to] = n
        return self.complete or self.lift.admissible(self.fractions(parts)) is None

    def fractions(self, parts: Sequence[int]) -> dict[str, Fraction]:
        """The values that are so many parts."""
        return {n: Fraction(p, g.parts) for n, p, g in zip(self.names, parts, self.grids, strict=True)}

    def values(self, parts: Sequence[int]) -> dict[str, Exact]:
        """The values that are so many parts, in their plain types."""
        return {n: g.value(p) for n, p, g in zip(self.names, parts, self.grids, strict=True)}

    def _compile(self, lift: Lift) -> None:
        ceiling = lift.guards.ceiling
        for step in lift.steps:
            value = self._value(step.expr, is_step=True)
            self._results.append(value)
            if value is not None and ceiling is not None and value.was <= ceiling:
                self._bound(value, None, ceiling)
        for left, right in dict.fromkeys(lift.guards.orders):
            self._order(self._value(left), self._value(right))
        if lift.guards.shares:
            total: _Value | None = self._constant(lift.guards.shares_fixed)
            for name in lift.guards.shares:
                total = self._sum(total, self._parameters[name])
            if total is not None:
                self._bound(total, None, Fraction(100) - Fraction(1, total.parts))

    def _constant(self, number: Fraction) -> _Value:
        value = self._constants.get(number)
        if value is None:
            value = _Value(self._next, number.denominator, number, 0, abs(number.numerator))
            self._constants[number] = value
            self._next += 1
        return value

    def _value(self, expr: Expr, *, is_step: bool = False) -> _Value | None:
        if isinstance(expr, Const):
            return self._constant(expr.value)
        if isinstance(expr, Param):
            return self._parameters[expr.name]
        if not isinstance(expr, Binary):
            return self._results[expr.index]
        left, right = self._value(expr.left), self._value(expr.right)
        if left is None or right is None:
            self.complete = False
            return None
        was = evaluate(Binary(expr.op, Const(left.was), Const(right.was)), {}, [])
        if not left.needs and not right.needs:
            return self._constant(was)
        known = (expr.op, left.register, right.register)
        wanted = _parts_wanted(was, is_step=is_step)
        value = self._made.get(known)
        if value is None:
            value = self._operation(expr.op, left, right, was, wanted)
        elif wanted and wanted % value.parts:
            value = self._look(LINEAR, (value.register, 1, value.register, 0), value, wanted)
        self._made[known] = value
        return value

    def _operation(self, op: str, left: _Value, right: _Value, was: Fraction, wanted: int) -> _Value | None:
        needs = left.needs | right.needs
        if op in "+-":
            parts = math.lcm(left.parts, right.parts)
            x, y = parts // left.parts, parts // right.parts * (1 if op == "+" else -1)
            bound = left.bound * x + right.bound * abs(y)
            found = _Value(0, parts, was, needs, bound)
            return self._look(LINEAR, (left.register, x, right.register, y), found, wanted)
        if op == "*":
            found = _Value(0, left.parts * right.parts, was, needs, left.bound * right.bound)
            return self._look(PRODUCT, (left.register, 1, right.register, 1), found, wanted)
        if not right.needs:
            share = 1 / right.was
            found = _Value(0, left.parts * share.denominator, was, needs, left.bound * abs(share.numerator))
            return self._look(LINEAR, (left.register, share.numerator, left.register, 0), found, wanted)
        if not wanted:
            # Not a whole number of parts of any fixed size.
            self.complete = False
            return None
        common = math.gcd(right.parts * wanted, left.parts)
        x, y = right.parts * wanted // common, left.parts // common
        found = _Value(0, wanted, was, needs, max(left.bound * x, right.bound * y))
        return self._look(QUOTIENT, (left.register, x, right.register, y), found, wanted)

    def _look(self, op: int, sources: tuple[int, int, int, int], found: _Value, wanted: int) -> _Value:
        """The instruction with the guards of a calculation's value: its sign, its side of one and its parts."""
        self._widest = max(self._widest, found.bound, found.parts)
        parts = math.gcd(found.parts, wanted) if wanted else found.parts
        low, high = _side_of_one(found.was, parts)
        divide = found.parts // parts
        to, self._next = self._next, self._next + 1
        self.program.append(Instruction(op, to, *sources, divide, low, high, found.needs))
        return _Value(to, parts, found.was, found.needs, found.bound // divide)

    def _sum(self, left: _Value | None, right: _Value) -> _Value | None:
        """A sum that has no guards of its own."""
        if left is None:
            return None
        parts = math.lcm(left.parts, right.parts)
        x, y = parts // left.parts, parts // right.parts
        needs, bound = left.needs | right.needs, left.bound * x + right.bound * y
        self._widest = max(self._widest, bound)
        to, self._next = self._next, self._next + 1
        self.program.append(Instruction(LINEAR, to, left.register, x, right.register, y, 1, None, None, needs))
        return _Value(to, parts, left.was + right.was, needs, bound)

    def _order(self, left: _Value | None, right: _Value | None) -> None:
        if left is None or right is None:
            self.complete = False
            return
        if left.was == right.was:
            return
        more, less = (left, right) if left.was > right.was else (right, left)
        if not less.needs:
            self._bound(more, less.was + Fraction(1, math.lcm(more.parts, less.parts)), None)
        elif not more.needs:
            self._bound(less, None, more.was - Fraction(1, math.lcm(more.parts, less.parts)))
        else:
            parts = math.lcm(more.parts, less.parts)
            x, y = parts // more.parts, parts // less.parts
            self._widest = max(self._widest, more.bound * x + less.bound * y)
            needs = more.needs | less.needs
            self._append(Instruction(LINEAR, -1, more.register, x, less.register, -y, 1, 1, None, needs))

    def _bound(self, value: _Value, least: Fraction | None, most: Fraction | None) -> None:
        """A value stays at or above ``least`` and at or below ``most``."""
        if not value.needs:
            return
        low = None if least is None else math.ceil(least * value.parts)
        high = None if most is None else math.floor(most * value.parts)
        self._widest = max(self._widest, abs(low or 0), abs(high or 0))
        self._append(Instruction(LINEAR, -1, value.register, 1, value.register, 0, 1, low, high, value.needs))

    def _append(self, guard: Instruction) -> None:
        """A guard that computes nothing, merged into the instruction that made its value, where there is one."""
        for place, made in enumerate(self.program):
            if guard.y == 0 and made.to == guard.a >= 0:
                low = made.low if guard.low is None else guard.low if made.low is None else max(made.low, guard.low)
                high = (
                    made.high if guard.high is None else guard.high if made.high is None else min(made.high, guard.high)
                )
                self.program[place] = made._replace(low=low, high=high)
                return
        self.program.append(guard._replace(to=self._next))
        self._next += 1


def _parts_wanted(was: Fraction, *, is_step: bool) -> int:
    """Of how many parts a one the value must be a multiple, by what it was: 1 for whole, 100 for cents, 0 for any."""
    if was.denominator == 1:
        return 1
    places = decimal_places(was) if is_step else None
    return 100 if places is not None and places <= 2 else 0


def _side_of_one(was: Fraction, parts: int) -> tuple[int | None, int | None]:
    """The bounds between which a value keeps its sign and its side of one, in parts."""
    if was < 0:
        return None, -1
    if was == 0:
        return 0, 0
    if was < 1:
        return 1, parts - 1
    return (parts, parts) if was == 1 else (parts + 1, None)
