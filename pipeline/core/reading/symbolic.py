"""Equality of expressions, equations and inequalities with symbols, by evaluation at fixed points.

Two different rational expressions of low degree agree at a random rational point with negligible probability, so exact
agreement at several points is as good as a proof and one disagreement is one. What has no exact value there (roots,
functions) is evaluated to fifty digits. The points are fixed: the same question always has the same answer.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from hashlib import blake2b
from typing import Any, NamedTuple

from dsgen.pipeline.core.reading.mathlex import RELATIONS, Unreadable, names, tokens
from dsgen.pipeline.core.reading.mathtext import FAULTS, Reader

POINTS = 4
TRIES = 12
MAX_NAMES = 12
_TURNED = {">": "<", "≥": "≤", "=": "="}


class Chain(NamedTuple):
    """The token lists of a text between its relations; one side when there is none."""

    sides: list[list[str]]
    relations: list[str]


class Identity(NamedTuple):
    """Whether two texts are identically equal, and the arithmetic that showed it."""

    equal: bool
    decided_by: str


def split(text: str) -> Chain:
    """A text at its top-level relations, ascending: ``a > b`` becomes ``b < a``."""
    sides: list[list[str]] = [[]]
    relations = []
    depth = 0
    for token in tokens(text):
        depth += (token in ("(", "[", "{", "\\{")) - (token in (")", "]", "}", "\\}"))
        if depth == 0 and token in RELATIONS:
            relations.append(token)
            sides.append([])
        else:
            sides[-1].append(token)
    if relations and set(relations) <= _TURNED.keys() and set(relations) != {"="}:
        return Chain(sides[::-1], [_TURNED[r] for r in relations[::-1]])
    return Chain(sides, relations)


def _evaluate(reader: type[Reader], side: list[str], at: dict[str, Any]) -> Any:
    return reader(side.copy(), at).whole()


def _rational(symbols: list[str], turn: int) -> dict[str, Any]:
    assignment = {}
    for name in symbols:
        raw = int.from_bytes(blake2b(f"{turn} {name}".encode(), digest_size=8).digest(), "big")
        above, below = 2 + raw % 9_999_991, 2 + (raw >> 32) % 9_973
        assignment[name] = Fraction(-above if raw >> 63 and turn % 2 else above, below if turn % 3 else 1)
    return assignment


def _same(left: Any, right: Any) -> bool | None:
    return bool(left == right) and (type(left) is bool) == (type(right) is bool)


def _compare(
    gold: Chain,
    text: Chain,
    symbols: list[str],
    reader: type[Reader],
    points: Callable[[list[str], int], dict[str, Any]],
    same: Callable[[Any, Any], bool | None],
) -> bool:
    """Agreement of all values, or of all differences up to one factor each, positive for an inequality."""
    factors: list[Any] = [None] * len(gold.relations)
    agreed = 0
    for turn in range(TRIES):
        at = points(symbols, turn)
        try:
            own = [_evaluate(reader, side, at) for side in gold.sides]
            other = [_evaluate(reader, side, at) for side in text.sides]
        except ArithmeticError:
            if not symbols:
                raise Unreadable("undefined") from None
            continue
        if not gold.relations:
            verdict = same(own[0], other[0])
            if verdict is None:
                raise Unreadable("not enough digits")
            if not verdict:
                return False
        for i, relation in enumerate(gold.relations):
            this, that = own[i] - own[i + 1], other[i] - other[i + 1]
            if (same(own[i], own[i + 1]) is True) != (same(other[i], other[i + 1]) is True):
                return False
            if not that or not this:
                continue
            if factors[i] is None:
                factors[i] = Fraction(this) / that if _exact(this) and _exact(that) else this / that
            factor = factors[i]
            if not same(this, factor * that) or (relation != "=" and not factor > 0):
                return False
        agreed += 1
        if agreed == POINTS or not symbols:
            # What holds or fails everywhere, such as 4 = 4, says nothing that another such equation says too.
            return not any(f is None for f in factors)
    raise Unreadable("undefined at too many points")


def _exact(value: Any) -> bool:
    return isinstance(value, (int, Fraction))


def equal(gold: str, text: str) -> Identity:
    """Whether two expressions, or two equations or inequalities up to a factor, are identically equal.

    ``y = f(x)`` and ``f(x)`` are taken to be the same.

    Raises:
        Unreadable: one of them cannot be evaluated.
    """
    own, other = split(gold), split(text)
    if own == other:
        return Identity(True, "text")
    if not own.relations or not other.relations:
        own, other = _without_name(own), _without_name(other)
    if own.relations != other.relations:
        return Identity(False, "points")
    if not set(own.relations) <= {"=", "<", "≤"}:
        raise Unreadable("relation")
    symbols = sorted(names(gold) | names(text))
    if len(symbols) > MAX_NAMES:
        raise Unreadable("symbols")
    if "i" not in symbols and "e" not in symbols:
        try:
            return Identity(_compare(own, other, symbols, Reader, _rational, _same), "points")
        except FAULTS:
            pass
    if "i" in symbols:
        raise Unreadable("imaginary")
    from dsgen.pipeline.core.reading import numeric  # noqa: PLC0415 - half of all runs never need it

    symbols = [s for s in symbols if s not in numeric.CONSTANTS]
    return Identity(_compare(own, other, symbols, numeric.Real, numeric.points, numeric.near), "digits")


def _without_name(chain: Chain) -> Chain:
    sides, relations = chain
    return Chain(sides[1:], []) if relations == ["="] and len(sides[0]) == 1 and sides[0][0].isalpha() else chain


def identical(gold: str, text: str) -> Identity | None:
    """:func:`equal`, or ``None`` where that cannot be told."""
    try:
        return equal(gold, text)
    except FAULTS:
        return None
