"""Equality of expressions with symbols by exact evaluation at rational points.

Two different rational expressions of low degree agree at a random point with negligible probability, so agreement at
several points is as good as a proof and one disagreement is one. The points are fixed: the same question always has the
same answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from hashlib import blake2b
from typing import Any

from dsgen.pipeline.core.mathtext import FAULTS, RELATIONS, Reader, Symbols, Unreadable, names, tokens

POINTS = 4
TRIES = 12
MAX_NAMES = 8
IMAGINARY = frozenset("i")


def points(symbols: list[str]) -> Iterator[dict[str, Fraction]]:
    """Assignments of rational numbers, some negative, some small, some large."""
    for turn in range(TRIES):
        assignment = {}
        for name in symbols:
            raw = int.from_bytes(blake2b(f"{turn} {name}".encode(), digest_size=8).digest(), "big")
            above, below = 2 + raw % 9_999_991, 2 + (raw >> 32) % 9_973
            assignment[name] = Fraction(-above if raw >> 63 and turn % 2 else above, below if turn % 3 else 1)
        yield assignment


def _sides(text: str) -> tuple[list[list[str]], str]:
    """The token lists on both sides of a top-level equation, or the only one."""
    found = tokens(text)
    depth = 0
    for at, token in enumerate(found):
        depth += (token in ("(", "[", "{", "\\{")) - (token in (")", "]", "}", "\\}"))
        if depth == 0 and token in RELATIONS:
            return [found[:at], found[at + 1 :]], token
    return [found], ""


def _evaluate(side: list[str], at: Symbols) -> Any:
    reader = Reader(side.copy(), at)
    value = reader.expression(-1)
    if reader.at != len(reader.tokens) - 1:
        raise Unreadable("left over")
    return value


def equal(gold: str, text: str) -> bool:
    """Whether two expressions, or two equations up to a factor, are identically equal.

    ``y = f(x)`` and ``f(x)`` are taken to be the same.

    Raises:
        Unreadable: one of them cannot be evaluated exactly.
    """
    left, left_relation = _sides(gold)
    right, right_relation = _sides(text)
    if any(r not in ("", "=") for r in (left_relation, right_relation)):
        raise Unreadable("inequality")
    if left_relation and right_relation:
        if left == right or left == right[::-1]:
            return True
    else:
        left, right = _without_name(left), _without_name(right)
    if len(left) != len(right):
        return False
    symbols = sorted(names(gold) | names(text))
    if len(symbols) > MAX_NAMES or IMAGINARY & set(symbols):
        raise Unreadable("symbols")
    agreed = 0
    ratio: Fraction | None = None
    for assignment in points(symbols):
        try:
            a = [_evaluate(side, assignment) for side in left]
            b = [_evaluate(side, assignment) for side in right]
        except ArithmeticError:
            if not symbols:
                raise Unreadable("undefined") from None
            continue
        if len(a) == 1:
            if a[0] != b[0] or type(a[0]) is not type(b[0]) and bool in (type(a[0]), type(b[0])):
                return False
        else:
            this, that = a[0] - a[1], b[0] - b[1]
            if (this == 0) != (that == 0):
                return False
            if that:
                if ratio is not None and this != ratio * that:
                    return False
                ratio = Fraction(this) / that
        agreed += 1
        if agreed == POINTS or not symbols:
            return True
    raise Unreadable("undefined at too many points")


def _without_name(sides: list[list[str]]) -> list[list[str]]:
    return sides[1:] if len(sides) == 2 and len(sides[0]) == 1 and sides[0][0].isalpha() else sides


def identical(gold: str, text: str) -> bool | None:
    """:func:`equal`, or ``None`` where that cannot be told exactly."""
    try:
        return equal(gold, text)
    except FAULTS:
        return None
