"""The state of one displayed equation: whether its text claims something true, something false or nothing certain.

An equation that is cut off by prose, or that stands under a condition, is ``unread`` when its numbers do not agree:
only what plainly claims something false ``fails``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Literal, NamedTuple

from dsgen.pipeline.core.reading.mathlex import RELATIONS, TRUTHS, Unreadable, tokens
from dsgen.pipeline.core.reading.mathtext import FAULTS, Reader, Symbols, compare

State = Literal["holds", "fails", "unread", "defines"]


class Equation(NamedTuple):
    """A displayed equation, inequality or chain of them.

    ``defines`` is a bare name set equal to one value, which claims nothing that could be checked.
    """

    text: str
    start: int
    end: int
    state: State
    value: Any = None
    """The value of the last side that could be read."""
    reason: str = ""
    truth: bool = False
    """It states a truth (``7 > 5``) rather than a value."""


SIGN = re.compile(r"[=<>≤≥≠≈≡≅]|\\(?:leq?|geq?|neq?|lt|gt|approx|equiv)(?![A-Za-z])")
_FALSE = re.compile(r"[ ,]*(?:which )?(?:is|are) (?:false|not true|untrue|wrong|incorrect)\b|[ ,]*does not hold\b")
_MODULUS = re.compile(r"\\pmod\s*\{?\s*(\d{1,300})\s*\}?\s*$|\(\s*(?:\\?b?mod)\s*(\d{1,300})\s*\)\s*$")
_UNIT = re.compile(r"(?<=[\d)}\]])( ?)(?:[mgshLlWVJN])(?:\^?[23²³])?(?: ?/ ?[mgshLl](?:\^?[23²³])?)?\s*$")
_IF = re.compile(
    r"\b(?:if|suppose|assum\w+|unless|whether|try\w*|let|guess|were|not|isn't|incorrectly)\b", re.IGNORECASE
)
_BUT = re.compile(
    r"contradict|impossible|not |n't |false|wrong|incorrect|cannot|fails|too (?:big|small|large|much|many|few|low|high)"
)
_LEFT_WORD = re.compile(r"([A-Za-z]+)[ \t]*$")
_CONNECTIVES = frozenset(
    [
        *("so", "thus", "hence", "then", "therefore", "gives", "get", "that", "is", "and", "but", "means", "have"),
        *("yields", "implies", "equals", "since", "because"),
    ]
)
_CUTTING = frozenset(
    [
        *("half", "twice", "double", "triple", "thrice", "third", "thirds", "quarter", "quarters", "fourth", "fourths"),
        *(
            "fifth",
            "times",
            "plus",
            "minus",
            "by",
            "per",
            "percent",
            "squared",
            "cubed",
            "dozen",
            "hundred",
            "thousand",
        ),
        *("million", "sin", "cos", "tan", "log", "ln", "exp", "root", "sqrt", "cube", "square", "sum", "product"),
        *("difference", "average", "mean", "ratio", "remainder", "base", "from"),
    ]
)
_TAIL = re.compile(
    r"[ \t]*(?:times|plus|minus|divided|multiplied|percent|cents?\b|remainder|with (?:a )?remainder|hundred|thousand"
    r"|million|billion|dozen|squared|cubed|and (?:a half|\d+/\d)|(?:st|nd|rd|th|k)\b|\([^()]{0,40}remain)|\(\w|…|\.\.\."
)
_OPERATORS = ("+", "-", "*", "/", "×", "÷", "^", "−")
_PART = re.compile(r"(?:half|third|quarter|fourth|fifth|tenth|percent|%|[a-z]ths?|\d) of$")
_MIXED = re.compile(r"\d\s+and$")
_SENTENCE = re.compile(r"[.;!?]\s|\n")
_WORD_GAP = re.compile(r"(?<=[\d)]) ?(?:[A-Za-z]{2,}(?:\s?/\s?[A-Za-z]+)?(?: [a-z]{2,}){0,2})")


def _sides(found: list[str]) -> tuple[list[list[str]], list[str]]:
    """Tokens between top-level relations, and these relations."""
    sides: list[list[str]] = [[]]
    relations = []
    depth = 0
    for token in found:
        if token in "([{" or token == "\\{":
            depth += 1
        elif token in ")]}" or token == "\\}":
            depth -= 1
        elif depth == 0 and token in RELATIONS:
            relations.append(token)
            sides.append([])
            continue
        sides[-1].append(token)
    return sides, relations


def _value(side: list[str], symbols: Symbols) -> Any:
    """The value of a side, or ``None`` if it cannot be read."""
    try:
        reader = Reader(side.copy(), symbols)
        value = reader.expression()
        return value if reader.at == len(reader.tokens) - 1 else None
    except FAULTS:
        return None


def _is_name(side: list[str], symbols: Symbols) -> bool:
    return len(side) == 1 and side[0] not in symbols and (side[0].isalpha() or side[0][:1] == "\\")


def _is_word(token: str, symbols: Symbols) -> bool:
    return token.isalpha() and token not in symbols and token not in TRUTHS


def _ulp(side: list[str]) -> Fraction | None:
    """The place value of the last digit shown, of a side that is one number."""
    digits = side[-1].replace(",", "") if side else ""
    if len(side) > 2 or (len(side) == 2 and side[0] != "-") or not digits.replace(".", "", 1).isdigit():
        return None
    if "." in digits:
        return Fraction(1, 10 ** len(digits.split(".")[1]))
    return Fraction(10 ** (len(digits) - len(digits.rstrip("0")))) if digits.strip("0") else Fraction(1)


def _link(relation: str, left: Any, right: Any, sides: tuple[list[str], list[str]], modulus: int | None) -> bool:
    if relation == "≡":
        if not modulus or type(left) is not int or type(right) is not int:
            raise Unreadable("congruence")
        return (left - right) % modulus == 0
    if relation == "≈":
        units = [u for u in map(_ulp, sides) if u is not None]
        if not units:
            raise Unreadable("approximation")
        return bool(abs(left - right) * 2 <= max(units))
    return compare(relation, left, right)


def segment(piece: str, start: int, before: str, after: str, symbols: Symbols, depth: int = 0) -> list[Equation]:
    """The equations of a piece of a run: one chain, or those inside its brackets."""
    text = piece.strip(" \t\n,$")
    while text[:1] == "(" and text[-1:] == ")" and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    offset = piece.find(text)
    begin = start + max(offset, 0)
    end = begin + len(text)
    body, modulus = text, None
    if "mod" in body:
        tail = _MODULUS.search(body)
        if tail is not None and ("≡" in body or "equiv" in body):
            body, modulus = body[: tail.start()], int(tail[1] or tail[2])
    unit = _UNIT.search(body)
    if unit is not None and body[unit.start() : unit.end()].strip()[0] not in symbols:
        body = body[: unit.start()]
    try:
        sides, relations = _sides(tokens(body))
    except FAULTS:
        return [Equation(text[:200], begin, end, "unread", None, "too_long")]
    if not relations:
        return list(_bracketed(text, begin, symbols, depth))
    claim = _FALSE.match(after)
    negated = claim is not None
    if claim is not None:
        after = after[claim.end() :]
    head = sides[0]
    line_start = not before.strip(" \t") or before.rstrip(" \t").endswith("\n")
    context = before + piece[: max(offset, 0)]
    if not head or head[0] in ("+", "*", "/", "^", "=") or (head[0] == "-" and text[1:2] == " "):
        if line_start and head and head[0] in "-*":
            bullet = _judge([head[1:], *sides[1:]], relations, symbols, modulus, negated)
            if bullet.state == "holds" or head[0] == "*":
                return [bullet._replace(text=text, start=begin, end=end)]
        elif head:
            return [Equation(text, begin, end, "unread", None, "cut")]
        elif len(sides) > 2 or not context.strip():
            sides, relations = sides[1:], relations[1:]
            if not relations:
                return []
        else:
            return _named(text, begin, end, sides, relations, context, symbols)
    if before[-1:].isalnum() and piece[:1].strip() and not (line_start or head == []):
        return [Equation(text, begin, end, "unread", None, "cut")]
    made = _judge(sides, relations, symbols, modulus, negated)
    if made.state == "fails":
        why = _doubt(sides, relations, context, after, unit is not None, symbols)
        if why:
            made = made._replace(state="unread", reason=why)
    return [made._replace(text=text, start=begin, end=end)]


def _closes(text: str) -> int:
    """Where the bracket that opens a text closes."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return at
    return -1


def _bracketed(text: str, begin: int, symbols: Symbols, depth: int) -> Iterator[Equation]:
    """Equations inside the brackets of a text that has none outside, as in ``12 (3 × 4 = 12)``."""
    at = text.find("(")
    while at >= 0 and depth < 3:
        close = _closes(text[at:])
        inner = text[at + 1 : at + close] if close > 0 else ""
        if not inner:
            break
        if SIGN.search(inner):
            yield from segment(inner, begin + at + 1, "(", "", symbols, depth + 1)
        at = text.find("(", at + close + 1)


def _judge(
    sides: list[list[str]], relations: list[str], symbols: Symbols, modulus: int | None, negated: bool
) -> Equation:
    """The state of a chain by the values of its sides."""
    values = [_value(side, symbols) for side in sides]
    first, last = 0, len(sides)
    while last - first > 2 and values[first] is None and relations[first] == "=" and _is_name(sides[first], symbols):
        first += 1  # a name for what follows
    known = [v for v in values if v is not None]
    truth = negated or any(r != "=" for r in relations)
    if symbols and not truth:  # what is said of an unknown need not have a value of its own
        truth = any(token in symbols for side in sides for token in side)
    shown = known[-1] if known else None
    if last - first == 2 and relations[first] == "=":
        named = [_is_name(sides[i], symbols) and values[i] is None for i in (first, first + 1)]
        if any(named) and known:
            return Equation("", 0, 0, "defines", shown)
    unread = False
    failed = False
    for i in range(first, last - 1):
        left, right = values[i], values[i + 1]
        if left is None or right is None:
            unread = True
            continue
        try:
            failed |= not _link(relations[i], left, right, (sides[i], sides[i + 1]), modulus)
        except FAULTS:
            unread = True
    if negated:
        state: State = "unread" if unread else "holds" if failed else "fails"
    else:
        state = "fails" if failed else "unread" if unread else "holds"
    return Equation("", 0, 0, state, shown, "unreadable" if state == "unread" else "", truth)


def _named(
    text: str, begin: int, end: int, sides: list[list[str]], relations: list[str], context: str, symbols: Symbols
) -> list[Equation]:
    """One value after prose: ``Total = 15`` defines; ``5 apples + 3 apples = 8`` is read if it holds."""
    value = _value(sides[1], symbols)
    if value is None:
        return [Equation(text, begin, end, "unread", None, "cut")]
    clause = _SENTENCE.split(context)[-1]
    if not any(c.isdigit() for c in clause) and relations == ["="]:
        return [Equation(text, begin, end, "defines", value)]
    words = _WORD_GAP.sub("", clause).strip()
    if any(sign in words for sign in "+*×/·÷-−"):
        try:
            held = compare(relations[0], _value(tokens(words), symbols), value)
        except FAULTS:
            held = False
        if held:
            return [Equation(text, begin, end, "holds", value)]
    return [Equation(text, begin, end, "unread", value, "cut")]


def _doubt(sides: list[list[str]], relations: list[str], before: str, after: str, unit: bool, symbols: Symbols) -> str:
    """Why a chain that does not hold may not be claimed as it was read; empty when it plainly is."""
    if any("%" in side for side in sides):
        bare = [[t for t in side if t != "%"] for side in sides]
        if _judge(bare, relations, symbols, None, False).state == "holds":
            return "percent"
    lead = before[-40:].rstrip(" \t$(")
    if lead[-1:] in _OPERATORS or any("of" in side for side in sides):
        return "cut"
    word = _LEFT_WORD.search(lead)
    name = word[1].lower() if word else ""
    plain_sides = all(len(side) == 1 or (len(side) == 2 and side[0] == "-") for side in sides)
    if name in _CUTTING or (plain_sides and name and name not in _CONNECTIVES and set(relations) <= {"=", "≈"}):
        return "cut"
    if (
        (name == "of" and _PART.search(lead))
        or (plain_sides and unit)
        or (name == "and" and _MIXED.search(lead) and sides[0][1:2] == ["/"])
    ):
        return "cut"
    if _TAIL.match(after) or (any(side and _is_word(side[-1], symbols) for side in sides)):
        return "cut"
    sentence = _SENTENCE.split(before)[-1]
    if _IF.search(sentence):
        return "conditional"
    if _BUT.search(_SENTENCE.split(after, maxsplit=1)[0]):
        return "denied"
    return ""
