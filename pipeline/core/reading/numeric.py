"""Equality of expressions with roots, powers and functions, by evaluation to fifty digits.

This decides what exact arithmetic cannot hold. It compares relative differences, so tiny values are told apart too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from dsgen.pipeline.core.reading.mathlex import FUNCTIONS, Unreadable
from dsgen.pipeline.core.reading.mathtext import Reader

DIGITS = 50
NEAR = mpmath.mpf(10) ** -35
FAR = mpmath.mpf(10) ** -15
MAX_EXPONENT = 2000
_CONTEXT = mpmath.mp.clone()
_CONTEXT.dps = DIGITS
_INVERSE = {"sin": "asin", "cos": "acos", "tan": "atan", "cot": "acot", "sec": "asec", "csc": "acsc", "sinh": "asinh",
            "cosh": "acosh", "tanh": "atanh"}  # fmt: skip
_NAMED = {"arcsin": "asin", "arccos": "acos", "arctan": "atan", "ln": "log", "cosec": "csc"}


class Real(Reader):
    """A pass over the tokens in approximate arithmetic; numbers without a root or function stay exact."""

    __slots__ = ()

    def number(self, value: Any) -> Any:
        """The value as a number of the approximate arithmetic."""
        if type(value) is Fraction:
            return _CONTEXT.mpf(value.numerator) / value.denominator
        if type(value) is int:
            return _CONTEXT.mpf(value)
        if isinstance(value, (_CONTEXT.mpf, _CONTEXT.mpc, _CONTEXT.constant)):
            return value
        raise Unreadable("not_a_number")

    def whole(self) -> Any:
        return self.number(super().whole())

    def apply(self, op: str, *values: Any) -> Any:
        numbers = [self.number(v) for v in values]
        if op == "div" and numbers[1] == 0:
            raise ZeroDivisionError
        if op == "pow":
            base, exponent = numbers
            if base == 0:
                raise ZeroDivisionError
            if abs(exponent) > MAX_EXPONENT or abs(_CONTEXT.log(base) * exponent) > 10**5:
                raise Unreadable("too_large")
            return base**exponent
        if op == "factorial" and type(values[0]) is not int:
            raise Unreadable("factorial")
        if op not in _OPERATIONS:
            return super().apply(op, *values)
        return _OPERATIONS[op](*numbers)

    def call(self, name: str, values: list[Any]) -> Any:
        return self.apply(name, *values) if name in ("sqrt", "abs") else super().call(name, values)

    def other(self, token: str) -> Any:
        name = token.lstrip("\\")
        if name == "e":
            return _CONTEXT.e
        if name == "pi":
            return _CONTEXT.pi
        if name == "°":
            return _CONTEXT.pi / 180
        if name not in FUNCTIONS:
            return super().other(token)
        found = self.tokens
        power: Any = None
        base: Any = None
        while found[self.at] in ("^", "_"):
            sign = found[self.at]
            self.at += 1
            value = self.group() if found[self.at] == "{" else self.operand()
            power, base = (value, base) if sign == "^" else (power, value)
        if found[self.at] == "(" or found[self.at] == "{":
            inside = self.group() if found[self.at] == "{" else self.operand()
        else:
            inside = self.expression(2)
        if name == "log" and type(inside) is tuple and len(inside) == 2:
            inside, base = inside
        value = self.number(inside)
        name = _NAMED.get(name, name)
        if power == -1:
            name, power = _INVERSE.get(name, ""), None
        function = getattr(_CONTEXT, name, None)
        if function is None or abs(value) > 10**6 or (name == "log" and value == 0):
            raise Unreadable("function")
        result = function(value)
        if base is not None:
            result /= _CONTEXT.log(self.number(base))
        return result if power is None else self.apply("pow", result, power)


_OPERATIONS: dict[str, Any] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "abs": abs,
    "sqrt": _CONTEXT.sqrt,
}
CONSTANTS = frozenset({"e", "\\pi"})


def points(symbols: list[str], turn: int) -> dict[str, Any]:
    """Positive values for the symbols, below one in even turns."""
    assignment = {}
    for place, name in enumerate(symbols):
        seed = (place + 1) * 7_919 + turn * 104_729
        part = _CONTEXT.mpf(100 + seed % 801) / 1009 + _CONTEXT.mpf(seed % 97) / 10**7
        assignment[name] = part if turn % 2 == 0 else 1 + 3 * part
    return assignment


def near(left: Any, right: Any) -> bool | None:
    """Whether two values agree to many digits; ``None`` when they agree to some only."""
    size = max(abs(left), abs(right))
    if size == 0:
        return True
    gap = abs(left - right) / size
    return True if gap < NEAR else False if gap > FAR else None
