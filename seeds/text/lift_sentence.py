"""The annotator's own sentences with their numbers computed; a sentence with any other number is given up."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction

from dsgen.seeds.text.lift_expr import Const, Expr, ExpressionError, Result, evaluate, leaves
from dsgen.seeds.text.lift_model import LiftStep, Shown
from dsgen.seeds.text.lift_numerals import Style
from dsgen.seeds.text.lift_read import Equation
from dsgen.seeds.text.lift_resolve import name_of
from dsgen.seeds.text.numbers import Mention, read_numbers

_UNKNOWN = re.compile(r"\b[b-zB-HJ-Z]\b(?!')|\d[a-zA-Z]\b|=|[{}<>]|\blet\b", re.IGNORECASE)
_COMPARES = re.compile(
    r"\b(?:greater than|less than|fewer than|exceeds?|enough|round(?:s|ed|ing)?|equation)\b|[+*×÷]|\d\s*[-/]\s*\d", re.I
)
_PERCENT = re.compile(r"\s*(?:%|percent\b|per cent\b)", re.IGNORECASE)
"""After an equation it would make a false one: 100 - 50 is not 50%."""
_HARMLESS = frozenset(
    [
        "pair",
        "pairs",
        "both",
        "couple",
        "couples",
        "either",
        "single",
        "once",
        "dozen",
        "dozens",
        "bicycle",
        "bicycles",
        "first",
        "second",
    ]
)

Part = str | Shown


class Sources:
    """What the numbers of a sentence may be: parameters, results, and numbers of the question that do not change."""

    def __init__(
        self,
        mentions: Sequence[Mention],
        free: frozenset[int],
        exprs: Sequence[Expr],
    ) -> None:
        self.mentions = mentions
        self.free = free
        self.exprs = exprs
        self.values = {name_of(i): mentions[i].value for i in sorted(free)}
        self.base = self.results(self.values)
        self.probes = [self._shifted(k) for k in (1, 2)]
        self.probed = [self.results(p) for p in self.probes]

    def _shifted(self, k: int) -> dict[str, Fraction]:
        return {n: v * (1 + Fraction(k, 5 + 3 * i)) for i, (n, v) in enumerate(self.values.items())}

    def results(self, values: Mapping[str, Fraction]) -> list[Fraction]:
        """The values of all steps."""
        results: list[Fraction] = []
        for expr in self.exprs:
            results.append(evaluate(expr, values, results))
        return results

    def of(self, mention: Mention, indexes: Sequence[int]) -> Expr | None:
        """The one thing that a number of a sentence is, among the operands and results of its equations.

        ``None`` when that is not certain.
        """
        value = mention.value
        near: list[Expr] = [leaf for i in indexes for leaf in leaves(self.exprs[i])]
        near += [Result(i) for i in indexes]
        options = [x for x in dict.fromkeys(near) if evaluate(x, self.values, self.base) == value]
        if not options:
            return None
        for probe, results in zip(self.probes, self.probed, strict=True):
            try:
                if len({evaluate(o, probe, results) for o in options}) > 1:
                    return None
            except ExpressionError:
                return None
        return options[-1]


def sentences(lines: Sequence[str], equations: Sequence[Equation], sources: Sources) -> list[LiftStep]:
    """A step per equation, each with the sentence around it where every number of it is accounted for."""
    steps = [LiftStep(expr, line=e.line) for expr, e in zip(sources.exprs, equations, strict=True)]
    for number, line in enumerate(lines):
        indexes = [i for i, e in enumerate(equations) if e.line == number]
        spans = [equations[i].span for i in indexes]
        if not indexes or any(s is None for s in spans):
            continue
        known = [s for s in spans if s is not None]
        if any(a[1] > b[0] for a, b in itertools.pairwise(known)):
            continue
        edges = [0, *(x for s in known for x in s), len(line)]
        pieces = [_going_on(line[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True)]
        if any(_PERCENT.match(piece) for piece in pieces[1:]):
            continue
        filled = [_fill(piece, indexes, sources) for piece in pieces]
        if any(f is None for f in filled):
            continue
        complete = [f for f in filled if f is not None]
        for place, index in enumerate(indexes):
            last = place == len(indexes) - 1
            steps[index] = LiftStep(
                sources.exprs[index], tuple(complete[place]), tuple(complete[-1]) if last else (), number
            )
    return [_spoken(step) for step in steps]


def _going_on(piece: str) -> str:
    """Without a full stop before the rest of a sentence: 504. including the tax."""
    return re.sub(r"^\.\s+(?=[a-z])", " ", piece)


def _spoken(step: LiftStep) -> LiftStep:
    """Without the currency sign that stood before an equation; a lone equation keeps no empty sentence."""
    before = list(step.before)
    if before and isinstance(before[-1], str):
        before[-1] = re.sub(r"\$\s*$", "", before[-1])
    if all(isinstance(p, str) and not p.strip(" .:") for p in (*before, *step.after)):
        return LiftStep(step.expr, line=step.line)
    return LiftStep(step.expr, tuple(before), step.after, step.line)


def _fill(piece: str, indexes: Sequence[int], sources: Sources) -> list[Part] | None:
    if _UNKNOWN.search(piece) or _COMPARES.search(piece):
        return None
    parts: list[Part] = []
    position = 0
    for mention in read_numbers(piece):
        part = _part(mention, indexes, sources)
        if part is None:
            return None
        parts += [piece[position : mention.start], part]
        position = mention.end
    parts.append(piece[position:])
    return [p for p in parts if p != ""]


def _part(mention: Mention, indexes: Sequence[int], sources: Sources) -> Part | None:
    if mention.text.lower() in _HARMLESS or (mention.style.words and mention.value == 1):
        return mention.text
    if not mention.plain or (mention.value.denominator != 1 and mention.style.words):
        same = any(
            mention.kind == m.kind and mention.value == m.value
            for i, m in enumerate(sources.mentions)
            if i not in sources.free
        )
        return mention.text if same else None
    expr = sources.of(mention, indexes)
    if expr is None:
        return None
    if isinstance(expr, Const):
        return mention.text
    style = mention.style
    # 27.00 becomes 27: a computed value shows the digits that it has
    return Shown(expr, Style(style.words, style.capital, style.grouped, 0, False, style.prefix))
