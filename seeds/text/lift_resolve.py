"""Where the numbers of a solution come from: parameters of the question, earlier results, or constants.

A number may have several possible origins. Each choice of origins is an *interpretation*; parameters are frozen until
all interpretations compute the same values, so that it no longer matters which one the annotator meant.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from dsgen.seeds.text.lift_expr import (
    Binary,
    Const,
    Expr,
    ExpressionError,
    Param,
    Result,
    evaluate,
    leaves,
    replace_leaves,
)
from dsgen.seeds.text.lift_model import uses
from dsgen.seeds.text.lift_read import Equation, Unreadable
from dsgen.seeds.text.numbers import Mention

MAX_INTERPRETATIONS = 256
_HUNDRED = Const(Fraction(100))

_FACTORS: dict[str, tuple[int, ...]] = {
    "week": (7,), "year": (12, 52, 365), "hour": (60,), "hr": (60,), "minute": (60,), "min": (60,), "day": (24,),
    "foot": (12,), "feet": (12,), "yard": (3, 36), "pound": (16,), "lb": (16,), "month": (4, 30), "gallon": (4, 16),
    "kilogram": (1000,), "kg": (1000,), "km": (1000,), "kilometer": (1000,), "liter": (1000,), "meter": (100,),
    "quart": (4, 2), "pint": (2,), "ton": (2000, 1000), "second": (60,), "inch": (12,), "inche": (12,),
    "ounce": (16,), "decade": (10,), "pair": (2,), "dime": (10,), "nickel": (5,), "quarter": (25,),
}  # fmt: skip
_DIVISORS: dict[str, tuple[int, ...]] = {
    "minute": (60,), "min": (60,), "second": (60,), "inch": (12,), "inche": (12,), "ounce": (16,), "month": (12,),
    "day": (7,), "cent": (100,), "gram": (1000,), "meter": (1000,), "cm": (100,), "centimeter": (100,), "ml": (1000,),
    "week": (52,), "feet": (3,), "hour": (24,), "mm": (10,),
}  # fmt: skip

_WORLD: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"week|days", ("7",)),
    (r"weekday|work ?week|workday|school|business day|work", ("5",)),
    (r"weekend", ("2",)),
    (r"year|annual|month|dozen|inch|feet|foot|noon|clock", ("12",)),
    (r"year|annual", ("52", "365", "366", "10")),
    (r"month", ("4", "30", "31", "28")),
    (r"day|hour|daily", ("24",)),
    (r"minute|hour|second|\bhr", ("60", "3600")),
    (r"percent|%|cent\b|cents|meter|\bcm\b|centi|\$|dollar|discount|\bhundred", ("100", "0.01")),
    (r"kilo|\bkm\b|\bkg\b|lit(?:er|re)|\bml\b|thousand|gram|\bton|meter", ("1000",)),
    (r"ounce|pound|cup|gallon|\boz\b", ("16", "8", "128", "4", "2")),
    (r"\bpint|quart", ("2", "4", "8")),
    (r"yard|feet", ("3", "36")),
    (r"mile", ("5280",)),
    (r"\btons?\b", ("2000",)),
    (r"dime|nickel|penn|quarter|coin", ("10", "5", "25", "0.1", "0.05", "0.25", "0.01", "4", "20")),
    (r"square|rectang|perimeter|chair|table|dog|cat|cow|horse|legs|wheel|car\b|cars\b", ("4", "2")),
    (r"triang|tricycle", ("3",)),
    (r"bicycle|bike|motorcycle|chicken|duck|bird|shoe|sock|feet|hands|eye|ear|parent|couple", ("2",)),
    (r"round.?trip|back|both", ("2",)),
    (r"degree|angle", ("180", "360", "90")),
    (r"spider|octop", ("8",)),
    (r"insect|\bant\b", ("6",)),
    (r"finger|toe|decade", ("10", "5")),
    (r"twin|pair|half|twice|double|other|another|each|half-|and (?:his|her|their|a|my|the)\b|\band\b", ("2", "0.5")),
)  # fmt: skip


def _words_and_rest(pattern: str) -> tuple[tuple[str, ...], re.Pattern[str] | None]:
    """The alternatives of a pattern that are plain words, which are found faster, and a pattern of the others."""
    options = re.split(r"\|(?![^(]*\))", pattern)
    words = tuple(o for o in options if re.fullmatch(r"[a-z %]+", o))
    rest = "|".join(o for o in options if o not in words)
    return words, re.compile(rest) if rest else None


_WORLD_WORDS = tuple((*_words_and_rest(p), frozenset(Fraction(n) for n in numbers)) for p, numbers in _WORLD)


def world_constants(text: str) -> frozenset[Fraction]:
    """The constants that a calculation about this text may use without the text stating them."""
    lowered = text.lower()
    found = {Fraction(1)}
    for words, pattern, numbers in _WORLD_WORDS:
        if any(word in lowered for word in words) or (pattern is not None and pattern.search(lowered)):
            found |= numbers
    return frozenset(found)


@dataclass(frozen=True, slots=True)
class Origins:
    """What a question offers: mentions, those that may change by index, and constants."""

    mentions: tuple[Mention, ...]
    free: frozenset[int]
    constants: frozenset[Fraction]
    _known: dict[Fraction, tuple[list[Expr], bool]] = field(default_factory=dict, init=False, compare=False)

    def of(self, value: Fraction, earlier: Sequence[Fraction]) -> list[Expr]:
        """Every way to get a number of a solution."""
        known = self._known.get(value)
        if known is None:
            known = self._known[value] = self._in_question(value)
        ways, fixed = known
        found = ways + [Result(i) for i, result in enumerate(earlier) if result == value]
        if fixed:
            found.append(Const(value))
        return found

    def _in_question(self, value: Fraction) -> tuple[list[Expr], bool]:
        """The ways to get a number from mentions that may change, and whether it may be a constant."""
        found: list[Expr] = []
        fixed = value in self.constants
        for index, mention in enumerate(self.mentions):
            for expr in _ways(mention, Param(name_of(index)), value):
                if index in self.free:
                    found.append(expr)
                else:
                    fixed = True
            if index not in self.free and value in mention.implied():
                fixed = True
        return found, fixed


def name_of(index: int) -> str:
    """The name of the parameter at a mention."""
    return f"n{index + 1}"


def _ways(mention: Mention, p: Param, value: Fraction) -> Iterator[Expr]:
    v = mention.value
    if not mention.plain or not v:
        return
    if value == v:
        yield p
    if mention.percent:
        share = Binary("/", p, _HUNDRED)
        one = Const(Fraction(1))
        options: list[tuple[Fraction, Expr]] = [
            (v / 100, share),
            (100 - v, Binary("-", _HUNDRED, p)),
            (100 + v, Binary("+", _HUNDRED, p)),
            (1 - v / 100, Binary("-", one, share)),
            (1 + v / 100, Binary("+", one, share)),
            (100 / v, Binary("/", _HUNDRED, p)),
        ]
        yield from (expr for worth, expr in options if worth == value and worth > 0)
        return
    if mention.cents and v / 100 == value:
        yield Binary("/", p, _HUNDRED)
    if mention.dozen and v * 12 == value:
        yield Binary("*", p, Const(Fraction(12)))
    unit = mention.unit.rstrip("s").removesuffix("'")
    for factor in _FACTORS.get(unit, ()):
        if v * factor == value:
            yield Binary("*", p, Const(Fraction(factor)))
    for divisor in _DIVISORS.get(unit, ()):
        if v / divisor == value and not mention.cents:
            yield Binary("/", p, Const(Fraction(divisor)))


@dataclass(frozen=True, slots=True)
class Resolution:
    """The chosen origins: an expression per equation, and the mentions that may still change."""

    exprs: tuple[Expr, ...]
    free: frozenset[int]
    needed: frozenset[int]
    """The equations that the answer depends on."""


def resolve(equations: Sequence[Equation], origins: Origins) -> Resolution:
    """Freeze mentions until every interpretation of the solution computes the same values.

    Raises:
        Unreadable: a number has no origin, a result is not used, or too many interpretations remain.
    """
    try:
        choices = _choices(equations, origins)
    except Unreadable as stop:
        if stop.reason != "too-many-interpretations":
            raise
        origins = replace(origins, free=origins.free - _contested(equations, origins))
        choices = _choices(equations, origins)
    filled = ((c, _filled(equations, c)) for c in itertools.product(*choices))
    possible = [(c, exprs) for c, exprs in filled if _all_used(equations, _needed(exprs))]
    if not possible:
        raise Unreadable("unambiguous", "unused-result")
    kept = [c for c, _ in possible]
    interpretations = [exprs for _, exprs in possible]
    values = {name_of(i): m.value for i, m in enumerate(origins.mentions)}
    free = set(origins.free)
    for index in sorted(origins.free):
        if len(kept) > 1 and _disagree(interpretations, values, [index], equations):
            free.discard(index)
    if len(kept) > 1 and free and _disagree(interpretations, values, sorted(free), equations):
        raise Unreadable("unambiguous", "several-interpretations")
    names = {name_of(i) for i in free}
    originals = [leaf.value for e in equations for leaf in leaves(e.expr) if isinstance(leaf, Const)]
    settled = [_settle(choice, originals, names) for choice in kept]
    exprs = _filled(equations, min(settled, key=_preference))
    return Resolution(tuple(exprs), frozenset(free), frozenset(_needed(exprs)))


def _settle(choice: Sequence[Expr], originals: Sequence[Fraction], free: set[str]) -> list[Expr]:
    """The origins with everything that cannot change as plain constants."""
    return [
        Const(value) if any(isinstance(u, str) and u not in free for u in uses(way)) else way
        for way, value in zip(choice, originals, strict=True)
    ]


def traceable(equations: Sequence[Equation], origins: Origins) -> list[Equation]:
    """The equations without those that are only written out and hold numbers of unknown origin."""
    kept: list[Equation] = []
    for equation in equations:
        earlier = [e.value for e in kept]
        known = all(isinstance(x, Const) and origins.of(x.value, earlier) for x in leaves(equation.expr))
        if known or equation.annotated:
            kept.append(equation)
    return kept


def _choices(equations: Sequence[Equation], origins: Origins) -> list[list[Expr]]:
    """The possible origins of each number, in order."""
    earlier: list[Fraction] = []
    choices: list[list[Expr]] = []
    for equation in equations:
        for leaf in leaves(equation.expr):
            value = leaf.value if isinstance(leaf, Const) else Fraction(0)
            ways = origins.of(value, earlier)
            if not ways:
                raise Unreadable("unambiguous", "number-without-origin")
            choices.append(ways)
        earlier.append(equation.value)
    if math.prod(len(c) for c in choices) > MAX_INTERPRETATIONS:
        raise Unreadable("unambiguous", "too-many-interpretations")
    return choices


def _filled(equations: Sequence[Equation], choice: Sequence[Expr]) -> list[Expr]:
    supply = iter(choice)
    return [replace_leaves(e.expr, supply) for e in equations]


def _contested(equations: Sequence[Equation], origins: Origins) -> set[int]:
    """The mentions that are one of several origins of some number."""
    contested: set[int] = set()
    earlier: list[Fraction] = []
    for equation in equations:
        for leaf in leaves(equation.expr):
            ways = origins.of(leaf.value, earlier) if isinstance(leaf, Const) else []
            if len(ways) > 1:
                contested |= {int(u[1:]) - 1 for way in ways for u in uses(way) if isinstance(u, str)}
        earlier.append(equation.value)
    return contested


def _needed(exprs: Sequence[Expr]) -> set[int]:
    needed = {len(exprs) - 1}
    for index in range(len(exprs) - 1, -1, -1):
        if index in needed:
            needed |= {u for u in uses(exprs[index]) if isinstance(u, int)}
    return needed


def _all_used(equations: Sequence[Equation], needed: set[int]) -> bool:
    return all(i in needed or not e.annotated for i, e in enumerate(equations))


def _disagree(
    interpretations: Sequence[Sequence[Expr]],
    originals: Mapping[str, Fraction],
    varied: Sequence[int],
    equations: Sequence[Equation],
) -> bool:
    for round_number in (1, 2):
        values = dict(originals)
        for place, index in enumerate(varied):
            name = name_of(index)
            values[name] = originals[name] * (1 + Fraction(round_number, 7 + 2 * place)) + Fraction(
                3 * round_number, 101
            )
        outcomes = set()
        for exprs in interpretations:
            results: list[Fraction] = []
            try:
                for expr in exprs:
                    results.append(evaluate(expr, values, results))
            except ExpressionError:
                return True
            outcomes.add(tuple(r for r, e in zip(results, equations, strict=True) if e.annotated))
        if len(outcomes) > 1:
            return True
    return False


def _preference(choice: Sequence[Expr]) -> tuple[int, int, int]:
    """More parameters first, then fewer constants, then later results: what keeps most of the program alive."""
    found = [u for way in choice for u in uses(way)]
    constants = sum(isinstance(way, Const) for way in choice)
    return (-len({u for u in found if isinstance(u, str)}), constants, -sum(u for u in found if isinstance(u, int)))
