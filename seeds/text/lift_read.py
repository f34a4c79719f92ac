"""Reading a GSM8K solution: its equations, annotated (``<<48/2=24>>``) or written out, and where they stand."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from fractions import Fraction

from dsgen.seeds.text.lift_expr import Const, Expr, ExpressionError, evaluate, leaves, parse

_ANNOTATION = re.compile(r"<<(.*?)>>")
_NUMBER = re.compile(r"\$?\s?((?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?:\.\d+)?)")
_LEFT_SIDE = re.compile(r"[-+*/()\d.,$%xX×÷ ]+$")
_GOLD = re.compile(r"^-?\$?[\d,]*\.?\d+$")


class Unreadable(ValueError):
    """The record is not what a lift needs; ``stage`` is the one that it does not reach, ``reason`` says why."""

    def __init__(self, stage: str, reason: str) -> None:
        super().__init__(f"{stage}: {reason}")
        self.stage = stage
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Equation:
    """A calculation of the solution."""

    line: int
    expr: Expr
    value: Fraction
    annotated: bool
    span: tuple[int, int] | None
    """Where the whole equation stands in the line without annotations; ``None`` when words are mixed into it."""


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution text: lines without their annotations, all equations in order, the final answer."""

    lines: tuple[str, ...]
    equations: tuple[Equation, ...]
    gold: Fraction


def read_solution(answer: str) -> Solution:
    """The solution with every equation checked.

    Raises:
        Unreadable: there is no annotation, or a calculation does not give what the record says.
    """
    body, separator, gold_text = answer.rpartition("####")
    gold_text = gold_text.strip()
    if not separator or len(gold_text) > 30 or not _GOLD.match(gold_text):
        raise Unreadable("annotated", "no-final-answer")
    gold = Fraction(gold_text.replace(",", "").replace("$", ""))
    if not _ANNOTATION.search(body):
        raise Unreadable("annotated", "no-annotation")
    lines: list[str] = []
    equations: list[Equation] = []
    for number, raw in enumerate(body.strip().split("\n")):
        plain, found = _read_line(number, raw)
        lines.append(plain)
        equations += found
    while equations and not equations[-1].annotated and equations[-1].value != gold:
        equations.pop()
    if not equations or equations[-1].value != gold:
        raise Unreadable("reproduced", "final-answer-differs")
    return Solution(tuple(lines), tuple(equations), gold)


def _read_line(number: int, raw: str) -> tuple[str, list[Equation]]:
    plain = ""
    position = 0
    marks: list[tuple[int, str]] = []
    for match in _ANNOTATION.finditer(raw):
        plain += raw[position : match.start()]
        marks.append((len(plain), match.group(1)))
        position = match.end()
    plain += raw[position:]
    found: list[tuple[int, Equation]] = []
    taken: set[int] = set()
    for at, annotation in marks:
        expr, value = _check(annotation)
        if expr is not None:
            found.append((at, Equation(number, expr, value, True, _span_before(plain, at, value))))
            taken.add(plain.rfind("=", 0, at + 1))
        elif (written := _written(number, plain, plain.rfind("=", 0, at + 1))) is not None and written.value == value:
            # <<8=8>> states a number; the calculation stands before it
            found.append((at, replace(written, annotated=True)))
            taken.add(plain.rfind("=", 0, at + 1))
    for match in re.finditer("=", plain):
        if match.start() not in taken:
            written = _written(number, plain, match.start())
            if written is not None:
                found.append((match.end(), written))
    return plain, [equation for _, equation in sorted(found, key=lambda pair: pair[0])]


def _check(annotation: str) -> tuple[Expr | None, Fraction]:
    left, _, right = annotation.partition("=")
    try:
        expr = parse(left)
        value = evaluate(expr, {}, [])
        stated = evaluate(parse(right), {}, [])
    except ExpressionError:
        raise Unreadable("reproduced", "not-arithmetic") from None
    if value != stated:
        raise Unreadable("reproduced", "inexact")
    return (None if isinstance(expr, Const) else expr), value


def _span_before(plain: str, at: int, value: Fraction) -> tuple[int, int] | None:
    before = re.search(r"=\s*\$?\s*$", plain[:at])
    after = _NUMBER.match(plain, at)
    if before is None or after is None or not after.group(1):
        return None
    try:
        stated = Fraction(after.group(1).replace(",", ""))
    except ValueError:
        return None
    left = _left_side(plain, before.start())
    if stated != value or left is None or evaluate(left[1], {}, []) != value:
        return None
    if len(list(leaves(left[1]))) < 2:
        return None
    return left[0], after.end()


def _written(number: int, plain: str, sign: int) -> Equation | None:
    if sign < 0:
        return None
    left = _left_side(plain, sign)
    after = _NUMBER.match(plain, sign + 1 + len(plain[sign + 1 :]) - len(plain[sign + 1 :].lstrip()))
    if left is None or after is None or not after.group(1):
        return None
    if re.match(r"\s*(?:[-+*/×÷(%]|[xX]\s*\d|\d)", plain[after.end() :]):
        return None
    try:
        value = evaluate(left[1], {}, [])
        stated = Fraction(after.group(1).replace(",", ""))
    except (ExpressionError, ValueError):
        return None
    if value != stated or isinstance(left[1], Const):
        return None
    return Equation(number, left[1], value, False, (left[0], after.end()))


def _left_side(plain: str, sign: int) -> tuple[int, Expr] | None:
    """The arithmetic that stands before an equals sign, and where it starts."""
    match = _LEFT_SIDE.search(plain[:sign])
    if match is None:
        return None
    start = match.start() + re.match(r"[\s,.+xX×÷*/)-]*", match.group()).end()  # type: ignore[union-attr]
    # A point that ends a sentence and a decimal point look alike; ".5 * 3" keeps its point.
    if re.search(r"(?:^|[^\w.])\.$", plain[:start]) and plain[start : start + 1].isdigit():
        start -= 1
    text = re.sub(r"(?<=\d),(?=\d{3})", "", plain[start:sign]).replace("$", "")
    text = re.sub(r"[xX×]", "*", text).replace("÷", "/")
    text = re.sub(r"(\d+(?:\.\d+)?)\s*%", r"(\1/100)", text)
    try:
        expr = parse(text)
        evaluate(expr, {}, [])
    except ExpressionError:
        return None
    return start, expr
