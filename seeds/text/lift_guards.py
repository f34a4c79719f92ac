"""What binds the numbers of a question to each other beyond the calculation: sums stated twice, orders, shares."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

from dsgen.seeds.text.lift_expr import Binary, Const, Expr, Param, Result, leaves
from dsgen.seeds.text.lift_model import Guards, Order
from dsgen.seeds.text.lift_read import Equation, Unreadable
from dsgen.seeds.text.lift_resolve import name_of
from dsgen.seeds.text.lift_risk import has_superlative, names_weekday, relations, tells_ages, tells_scores
from dsgen.seeds.text.numbers import Mention

_WHOLES = {"day": (7, 30, 31, 365), "hour": (24, 12), "month": (12,), "minute": (60,), "week": (52, 4)}
_FACTORS = frozenset(Fraction(n) for n in (7, 12, 24, 30, 52, 60, 100, 365, 1000, 16, 3))
_SMALL = 12
"""Up to this, a number is a count of things or a rate more often than a limit."""
_LIMITED = re.compile(r"\bcan\b[^.?!]*\?\s*$", re.IGNORECASE)
_SILENT_KINDS = ("ordinal", "clock", "glued")
_TELLING = re.compile(
    r"^(?:twice|double[sd]?|doubling|thrice|tripl\w*|quadrupl\w*|quintuple|half|halves|halved|thirds?|quarters?|fourths?)$",
    re.I,
)


def fixed_by_relations(
    question: str,
    mentions: Sequence[Mention],
    used: frozenset[int],
    equations: Sequence[Equation],
    exprs: Sequence[Expr],
) -> frozenset[int]:
    """Mentions that must keep their value because other words of the question depend on it.

    Raises:
        Unreadable: the question states a relation that the calculation does not use.
    """
    if _part_exceeds_whole(question, mentions):
        raise Unreadable("lifted", "part-exceeds-whole")
    constants = [leaf.value for e in exprs for leaf in leaves(e) if isinstance(leaf, Const)]
    fixed: set[int] = set()
    for index, mention in enumerate(mentions):
        if index in used or mention.value in (0, 1) or mention.kind in _SILENT_KINDS:
            continue
        if any(v in constants for v in mention.implied()):
            continue
        if mention.percent or mention.kind in ("fraction", "mixed") or _TELLING.match(mention.text.lower()):
            raise Unreadable("lifted", "unused-relation")
        if mention.plain and _LIMITED.search(question):
            # the scarcest of several supplies decides, and another one may become the scarcest
            raise Unreadable("lifted", "unused-limit")
        fixed |= _related(mention.value, mentions, equations, exprs)
    fixed |= _stated_twice(question, mentions)
    fixed |= _counts_of_terms(mentions, exprs)
    fixed |= _hidden_in_constants(mentions, exprs)
    fixed |= _used_by_coincidence(mentions, equations, exprs)
    return frozenset(fixed)


def _part_exceeds_whole(question: str, mentions: Sequence[Mention]) -> bool:
    """Whether a part is larger than what stands before it, as in "each van carries 28 people, 60 of whom are boys"."""
    for whole, part in itertools.pairwise(mentions):
        among = part.plain and not part.percent and not part.money
        if not (whole.plain and among and re.match(r"\s+of (?:which|whom)\b", question[part.end :])):
            continue
        if part.value > whole.value and not re.search(r"[.?!]\s", question[whole.end : part.start]):
            return True
    return False


def _related(
    target: Fraction, mentions: Sequence[Mention], equations: Sequence[Equation], exprs: Sequence[Expr]
) -> set[int]:
    """The mentions from which an unused number of the question may follow."""
    values = [m.value for m in mentions] + [e.value for e in equations]
    fixed: set[int] = set()
    for i, j in relations(values, target):
        for place in (i, j):
            if place < len(mentions):
                fixed.add(place)
            else:
                fixed |= _ancestors(place - len(mentions), exprs)
    for place, value in enumerate(values):
        if value and target and (value == target or {value / target, target / value} & _FACTORS):
            fixed |= {place} if place < len(mentions) else _ancestors(place - len(mentions), exprs)
    return fixed


def _ancestors(index: int, exprs: Sequence[Expr]) -> set[int]:
    found: set[int] = set()
    for leaf in leaves(exprs[index]):
        if isinstance(leaf, Param):
            found.add(int(leaf.name[1:]) - 1)
        elif isinstance(leaf, Result):
            found |= _ancestors(leaf.index, exprs)
    return found


def _stated_twice(question: str, mentions: Sequence[Mention]) -> set[int]:
    """Numbers near each other of which one is the sum or the product of two others."""
    sentence = [len(re.findall(r"[.?!](?=\s)", question[: m.start])) for m in mentions]
    fixed: set[int] = set()
    plain = [i for i, m in enumerate(mentions) if m.plain and m.value > 1]
    for i, j in itertools.combinations(plain, 2):
        a, b = mentions[i].value, mentions[j].value
        made = (a + b, a * b)
        for k in plain:
            if k in (i, j) or mentions[k].value not in made:
                continue
            places = [sentence[x] for x in (i, j, k)]
            same_kind = len({(mentions[x].percent, mentions[x].money) for x in (i, j, k)}) == 1
            if max(places) - min(places) <= 1 and (same_kind or mentions[k].value == a * b):
                fixed |= {i, j, k}
    multiples = [(k, factors) for k, m in enumerate(mentions) if (factors := _multiples(m))]
    for i, j in itertools.combinations(plain, 2):
        if abs(sentence[i] - sentence[j]) > 1:
            continue
        if _adds_to_a_whole(mentions[i], mentions[j]):
            fixed |= {i, j}
        ratio = mentions[j].value / mentions[i].value
        for k, factors in multiples:
            if k not in (i, j) and ratio in factors:
                fixed |= {i, j, k} & set(plain)
    percents = [i for i, m in enumerate(mentions) if m.percent]
    if len(percents) > 1 and sum(mentions[i].value for i in percents) == 100:
        fixed |= set(percents)
    return fixed


def _adds_to_a_whole(a: Mention, b: Mention) -> bool:
    """Whether two stretches of time make up a week, a day, a year or an hour."""
    unit = a.unit.removesuffix("s")
    return unit == b.unit.removesuffix("s") and a.value + b.value in _WHOLES.get(unit, ())


def _multiples(m: Mention) -> frozenset[Fraction]:
    """The factors between two other numbers that a mention may state: twice, half, 20% more."""
    if m.percent:
        share = m.value / 100
        found = {share, 1 + share, 1 - share}
    elif m.kind in ("part", "multiple", "fraction") and m.value > 0:
        found = {m.value, 1 - m.value}
    else:
        return frozenset()
    return frozenset(f for v in found if v > 0 for f in (v, 1 / v))


def _terms(expr: Expr) -> int:
    return _terms(expr.left) + _terms(expr.right) if isinstance(expr, Binary) and expr.op == "+" else 1


def _deep_terms(index: int, exprs: Sequence[Expr]) -> int:
    """The terms of a sum, with those of sums that it adds up further."""

    def count(expr: Expr) -> int:
        if isinstance(expr, Binary) and expr.op == "+":
            return count(expr.left) + count(expr.right)
        if isinstance(expr, Result) and _terms(exprs[expr.index]) > 1:
            return _deep_terms(expr.index, exprs)
        return 1

    return count(exprs[index])


def _counts_of_terms(mentions: Sequence[Mention], exprs: Sequence[Expr]) -> set[int]:
    """Counts that equal the number of terms of a sum: a sum over three days has three terms."""
    counts = {n for i, e in enumerate(exprs) for n in (_terms(e), _deep_terms(i, exprs)) if n > 1}
    return {i for i, m in enumerate(mentions) if m.value in counts and not m.money and not m.percent}


def _hidden_in_constants(mentions: Sequence[Mention], exprs: Sequence[Expr]) -> set[int]:
    """Numbers that may have been combined in the annotator's head into a number taken for a constant."""
    fixed: set[int] = set()
    known = {v for m in mentions for v in m.implied()}
    values = [m.value for m in mentions]
    for expr in exprs:
        for leaf in leaves(expr):
            if not isinstance(leaf, Const) or leaf.value in known or leaf.value in (1, 100):
                continue
            for pair in relations(values, leaf.value):
                if all(mentions[i].value > 1 for i in pair):
                    fixed |= set(pair)
            # three friends and John are four people; the other two of three
            fixed |= {i for i, v in enumerate(values) if abs(v - leaf.value) == 1 or v == 2 * leaf.value == 4}
    return fixed


def _used_by_coincidence(mentions: Sequence[Mention], equations: Sequence[Equation], exprs: Sequence[Expr]) -> set[int]:
    """Numbers used more than once of which one use may be another number of the same value.

    In "three potatoes in 20 minutes" the 3 of 1/3 of an hour is not the potatoes' 3.
    """
    fixed: set[int] = set()
    uses_of = [[int(x.name[1:]) - 1 for x in leaves(e) if isinstance(x, Param)] for e in exprs]
    for found in uses_of:
        fixed |= {i for i in found if found.count(i) > 1}
    for expr in exprs:
        fixed |= {int(name[1:]) - 1 for name in _reciprocals(expr)}
    everywhere = [i for found in uses_of for i in found]
    for i, m in enumerate(mentions):
        if everywhere.count(i) > 1 and m.value <= _SMALL and not m.money and not m.percent:
            others = [o.value for j, o in enumerate(mentions) if j != i and o.value > 1]
            others += [e.value for e in equations if e.value > 1] + [Fraction(n) for n in (60, 24, 7, 52)]
            if any(True for _ in relations(others, m.value)):
                fixed.add(i)
    return fixed


def _reciprocals(expr: Expr) -> set[str]:
    """The parameters below a 1, as in ``12 × 1 / n``."""
    if not isinstance(expr, Binary):
        return set()
    one = Const(Fraction(1))
    above = expr.left.right if isinstance(expr.left, Binary) and expr.left.op == "*" else expr.left
    found = {expr.right.name} if expr.op == "/" and above == one and isinstance(expr.right, Param) else set()
    return found | _reciprocals(expr.left) | _reciprocals(expr.right)


def guards_of(question: str, mentions: Sequence[Mention], free: frozenset[int], exprs: Sequence[Expr]) -> Guards:
    """The guards that the wording asks for."""
    orders = _ranks(question, mentions, free, len(exprs)) + _balances(exprs)
    percents = [i for i, m in enumerate(mentions) if m.percent]
    total = sum((mentions[i].value for i in percents), Fraction(0))
    shares = tuple(name_of(i) for i in percents if i in free) if len(percents) > 1 and total < 100 else ()
    fixed = sum((mentions[i].value for i in percents if i not in free), Fraction(0)) if shares else Fraction(0)
    return Guards(tuple(orders), shares, fixed, _ceiling(question))


def _ceiling(question: str) -> Fraction | None:
    """A bound that results keep to: the hours of a day, the days of a week, a long life, full marks."""
    asked = re.split(r"[.?!]\s+", question.strip())[-1].lower()
    if "hour" in asked and re.search(r"\b(?:a|each|every|per|one) (?:day|night)\b|daily", asked):
        return Fraction(24)
    if "how many hours" in asked and names_weekday(question):
        return Fraction(24)
    daily = re.search(r"\bhours? (?:a|each|every|per) (?:day|night)\b", question, re.IGNORECASE)
    if daily and re.search(r"\bhow long (?:do|does|did)\b", asked):
        return Fraction(24)
    if re.search(r"\bhow many years ha(?:s|ve|d)\b", asked):
        return Fraction(60)
    if re.search(r"\b(?:times|days) (?:a|per|each|every) week\b", question, re.IGNORECASE):
        return Fraction(7)
    if tells_ages(question):
        return Fraction(110)
    return Fraction(100) if tells_scores(question) else None


def _ranks(question: str, mentions: Sequence[Mention], free: frozenset[int], steps: int) -> list[Order]:
    """Numbers that the text sets side by side keep their order; results stay on their side of a fixed number.

    A fixed number may be a limit that no calculation shows, such as 50 cans for the guests who drink one.
    """
    orders: list[Order] = []
    numbers = [i for i, m in enumerate(mentions) if m.plain and m.value > 1]
    superlative = has_superlative(question)
    for i, j in itertools.combinations(numbers, 2):
        a, b = mentions[i], mentions[j]
        if not ({i, j} & free) or a.value == b.value or (a.percent, a.money) != (b.percent, b.money):
            continue
        near = not re.search(r"[.?!](?=\s)", question[a.end : b.start])
        alike = a.money or a.percent or a.unit.rstrip("s") == b.unit.rstrip("s")
        if near or alike or superlative or min(a.value, b.value) > _SMALL:
            orders.append(Order(_term(i, mentions, free), _term(j, mentions, free)))
    results = [Result(i) for i in range(steps)]
    for i in numbers:
        m = mentions[i]
        if (not m.percent and not m.money and m.value > _SMALL) or (i not in free and m.money):
            orders += [Order(_term(i, mentions, free), result) for result in results]
        elif not m.percent and not m.money:
            orders.append(Order(_term(i, mentions, free), results[-1]))
    if superlative or tells_ages(question):
        orders += [Order(a, b) for a, b in itertools.combinations(results, 2)]
    return orders


def _balances(exprs: Sequence[Expr]) -> list[Order]:
    """What is taken away, and what is left, against each part of what was there.

    A part that was smaller than another stays smaller: nobody can lose more than was there at that time.
    """
    orders: list[Order] = []
    for index, expr in enumerate(exprs):
        gains, losses = _signed_terms(expr, exprs)
        if len(gains) < 2 or not losses:
            continue
        sums = [Result(i) for i in sorted(_sums_below(expr, exprs))]
        orders += [Order(gain, loss) for gain in gains for loss in losses]
        orders += [Order(part, Result(index)) for part in (*gains, *sums)]
    return orders


def _sums_below(expr: Expr, exprs: Sequence[Expr]) -> set[int]:
    """The earlier sums and differences that a sum adds up further."""
    if isinstance(expr, Binary) and expr.op in "+-":
        return _sums_below(expr.left, exprs) | _sums_below(expr.right, exprs)
    if isinstance(expr, Result) and isinstance(below := exprs[expr.index], Binary) and below.op in "+-":
        return {expr.index} | _sums_below(below, exprs)
    return set()


def _signed_terms(expr: Expr, exprs: Sequence[Expr]) -> tuple[list[Expr], list[Expr]]:
    if isinstance(expr, Result):
        below = exprs[expr.index]
        return _signed_terms(below, exprs) if isinstance(below, Binary) and below.op in "+-" else ([expr], [])
    if isinstance(expr, Binary) and expr.op in "+-":
        gains, losses = _signed_terms(expr.left, exprs)
        more, less = _signed_terms(expr.right, exprs)
        return (gains + more, losses + less) if expr.op == "+" else (gains + less, losses + more)
    return [expr], []


def _term(index: int, mentions: Sequence[Mention], free: frozenset[int]) -> Expr:
    return Param(name_of(index)) if index in free else Const(mentions[index].value)
