"""Comparing the text of a final answer with a typed reference answer.

Each answer type has its own comparator. Exact reading decides first; Math-Verify is asked only about expressions that
the exact reader cannot read, and the result says so. Nothing here measures time: callers run it where it can be killed.
"""

from __future__ import annotations

import re
from enum import StrEnum
from fractions import Fraction
from functools import singledispatch
from typing import Any, NamedTuple

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.answers import Answer
from dsgen.pipeline.core.exact import plain
from dsgen.pipeline.core.reading import rescue as math_verify
from dsgen.pipeline.core.reading import symbolic
from dsgen.pipeline.core.reading.final import MAX_ANSWER, Final, boxes, final_answer
from dsgen.pipeline.core.reading.mathlex import FUNCTIONS, GREEK, WORDS, Unreadable
from dsgen.pipeline.core.reading.mathtext import read
from dsgen.pipeline.core.reading.quantity import Amount, amount, factors, same_amount


class Outcome(StrEnum):
    """What a comparison can find."""

    CORRECT = "correct"
    WRONG = "wrong"
    CANNOT_PARSE = "cannot_parse"
    TIMEOUT = "timeout"
    BAD_REFERENCE = "bad_reference"


class Comparison(NamedTuple):
    """The outcome, the tier that decided it (``exact``, ``text``, ``points``, ``math_verify``), and what was seen."""

    status: Outcome
    decided_by: str = "exact"
    detail: str = ""


CORRECT = Comparison(Outcome.CORRECT)
WRONG = Comparison(Outcome.WRONG)
_PLAIN = re.compile(r"\$?(-?(?:\d{1,18}|\d{1,3}(?:,\d{3}){1,6}))\$?")
_WRAP = re.compile(r"\\(?:text|textbf|mathbf|mathrm|mbox|boxed|fbox|textit|emph|bf|rm)\s?\{([^{}]*)\}")
_NAME = re.compile(r"^\$?(?:[A-Za-z]|\\[a-z]+|[A-Za-z]_\{?\w\}?)\s*=(?!=)\s*")


def compare(answer: Answer, text: str, *, rescue: bool = True) -> Comparison:
    """Whether a text states the typed answer.

    ``rescue`` lets Math-Verify read what the exact reader cannot.
    """
    if len(text) > MAX_ANSWER:
        return Comparison(Outcome.CANNOT_PARSE, "exact", "too_long")
    text = text.strip()
    if not text:
        return Comparison(Outcome.CANNOT_PARSE, "exact", "empty")
    try:
        return _compare(answer, text, rescue)
    except (Unreadable, ArithmeticError, RecursionError, ValueError, TypeError) as error:
        return Comparison(Outcome.CANNOT_PARSE, "exact", str(error)[:200])


def _plain_text(text: str) -> str:
    """A short answer as words: without dollar signs, text commands, emphasis and a final stop."""
    for _ in range(3):
        text, changed = _WRAP.subn(r"\1", text)
        if not changed:
            break
    return " ".join(text.replace("\\(", "").replace("\\)", "").strip(" $*`\"'.,!\t\n").split())


@singledispatch
def _compare(answer: Answer, text: str, rescue: bool) -> Comparison:
    return Comparison(Outcome.BAD_REFERENCE, "exact", f"no comparator for {answer.kind}")


@_compare.register
def _(answer: answers.Integer, text: str, rescue: bool) -> Comparison:
    simple = _PLAIN.fullmatch(text)
    if simple is not None and "$" not in text:
        return CORRECT if int(simple[1].replace(",", "")) == answer.value else WRONG
    return _number(answer, text, rescue)


@_compare.register
def _(answer: answers.Rational, text: str, rescue: bool) -> Comparison:
    return _number(answer, text, rescue)


def _number(answer: answers.Integer | answers.Rational, text: str, rescue: bool) -> Comparison:
    value, unit = answer.value, answer.unit
    try:
        seen = amount(_NAME.sub("", text))
    except (Unreadable, ArithmeticError):
        if _is_prose(_plain_text(_without_unit(text)[0])):
            raise
        return _expression(f"{answer.show()} \\text{{ {unit}}}" if unit else answer.show(), text, rescue)
    if type(seen.value) is not int and type(seen.value) is not Fraction:
        return Comparison(Outcome.WRONG, "exact", "not a number")
    if not unit and len(seen.unit) == 1 and seen.unit.isalpha():
        return Comparison(Outcome.WRONG, "exact", "a symbol or a unit too many")
    if same_amount(Amount(value, unit), seen):
        return CORRECT
    return Comparison(Outcome.WRONG, "unit", seen.unit) if seen.value == value else WRONG


_YES = frozenset(["yes", "true", "y", "t", "correct"])
_NO = frozenset(["no", "false", "n", "f", "incorrect"])


@_compare.register
def _(answer: answers.Boolean, text: str, rescue: bool) -> Comparison:
    word = _plain_text(text).casefold()
    if word not in _YES and word not in _NO:
        return Comparison(Outcome.CANNOT_PARSE, "text", "neither yes nor no")
    return Comparison(Outcome.CORRECT if (word in _YES) == answer.value else Outcome.WRONG, "text")


@_compare.register
def _(answer: answers.Text, text: str, rescue: bool) -> Comparison:
    if text.strip().casefold() == answer.value.strip().casefold():
        return Comparison(Outcome.CORRECT, "text")
    same = _plain_text(text).casefold() == _plain_text(answer.value).casefold()
    return Comparison(Outcome.CORRECT if same else Outcome.WRONG, "text")


_THOUSANDS = re.compile(r"\d,\d{3}(?!\d)")


def _members(text: str) -> tuple[str, list[str]]:
    """The opening bracket of a list (empty: none) and the texts of its members."""
    body = text.strip().strip("$").strip().replace("\\left", "").replace("\\right", "")
    body = _plain_text(body.replace("\\{", "{").replace("\\}", "}").replace("{,}", ",").replace("\\,", " "))
    body = _NAME.sub("", body)
    opened = body[:1] if body[:1] in "([{" and body[-1:] == {"(": ")", "[": "]", "{": "}"}[body[0]] else ""
    if opened:
        body = body[1:-1]
    members: list[str] = []
    depth = begin = 0
    for at, sign in enumerate(body):
        if sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign in ",;\n" and depth == 0 and (opened or not _THOUSANDS.match(body, max(0, at - 1))):
            members.append(body[begin:at].strip())
            begin = at + 1
    members.append(body[begin:].strip())
    last = members[-1]
    if last.startswith("and "):
        members[-1] = last[4:]
    elif " and " in last and not opened:
        members[-1:] = last.split(" and ", 1)
    return opened, [m.strip() for m in members if m.strip()]


def _member(kind: Any, text: str) -> Any:
    """A member's text as the kind of value that the reference has in its place."""
    if type(kind) is str:
        return _plain_text(text).casefold()
    if type(kind) is tuple:
        _, members = _members(text)
        if len(members) != len(kind):
            raise Unreadable("length")
        return tuple(_member(k, m) for k, m in zip(kind, members, strict=True))
    if isinstance(kind, tuple):  # a named tuple stands for its text
        return _plain_text(text).casefold()
    if type(kind) is frozenset:
        members = _members(text)[1]
        sample = next(iter(kind), 0)
        return frozenset(_member(sample, m) for m in members)
    if type(kind) is bool:
        word = _plain_text(text).casefold()
        if word not in _YES and word not in _NO:
            raise Unreadable("neither yes nor no")
        return word in _YES
    return plain(read(text))


def _folded(value: Any) -> Any:
    """The reference in the form that :func:`_member` gives: words without regard to case."""
    if type(value) is str:
        return _plain_text(value).casefold()
    if type(value) is tuple:
        return tuple(map(_folded, value))
    if isinstance(value, tuple):
        return _plain_text(str(value)).casefold()
    if type(value) is frozenset:
        return frozenset(map(_folded, value))
    return value


@_compare.register
def _(answer: answers.Sequence, text: str, rescue: bool) -> Comparison:
    opened, members = _members(text)
    if opened == "{":
        return Comparison(Outcome.WRONG, "exact", "a set where the order matters")
    if len(members) != len(answer.value):
        return Comparison(Outcome.WRONG, "exact", f"{len(members)} members")
    seen = tuple(_member(kind, m) for kind, m in zip(answer.value, members, strict=True))
    return CORRECT if seen == tuple(map(_folded, answer.value)) else WRONG


@_compare.register
def _(answer: answers.Collection, text: str, rescue: bool) -> Comparison:
    if not answer.value:
        empty = text.strip(" $") in ("{}", r"\{\}", r"\emptyset", r"\varnothing", "∅", "()", "[]")
        return CORRECT if empty or _plain_text(text).casefold() in ("none", "empty set") else WRONG
    _, members = _members(text)
    folded = frozenset(map(_folded, answer.value))
    seen = set()
    for member in members:
        for kind in {type(v): v for v in answer.value}.values():
            try:
                seen.add(_member(kind, member))
                break
            except Unreadable:
                continue
        else:
            raise Unreadable(f"member {member[:40]}")
    return CORRECT if seen == folded else WRONG


@_compare.register
def _(answer: answers.Expression, text: str, rescue: bool) -> Comparison:
    gold = answer.value
    if not gold.strip():
        return Comparison(Outcome.BAD_REFERENCE, "exact", "empty")
    return _expression(gold, text, rescue)


def _expression(gold: str, text: str, rescue: bool) -> Comparison:
    (gold_math, gold_unit), (math, unit) = _without_unit(gold), _without_unit(text)
    if gold_unit and unit and factors(gold_unit) != factors(unit):
        return Comparison(Outcome.WRONG, "unit", unit)
    own, words = _plain_text(gold_math), _plain_text(math)
    if "".join(words.split()) == "".join(own.split()):
        return Comparison(Outcome.CORRECT, "text")
    typed = _typed(own, words)
    if typed is not None:
        return Comparison(Outcome.CORRECT if typed.equal else Outcome.WRONG, typed.decided_by)
    if _is_prose(own):
        same = _word(own) == _word(words)
        return Comparison(Outcome.CORRECT if same else Outcome.WRONG, "text")
    if not rescue:
        return Comparison(Outcome.CANNOT_PARSE, "exact", "needs a rescue")
    found = math_verify.ask(gold, text)
    if not found.gold_read:
        return Comparison(Outcome.BAD_REFERENCE, "math_verify", found.detail)
    if found.equal is None:
        return Comparison(Outcome.CANNOT_PARSE, "math_verify", found.detail)
    return Comparison(Outcome.CORRECT if found.equal else Outcome.WRONG, "math_verify")


_UNIT_TAIL = re.compile(
    r"(.*[\w)}\]])((?:\s|\\[ ,;])*+(?:\\(?:text|mbox|mathrm)\s?\{[^{}]{1,40}\}(?:\s|\\[ ,;])*+)++\.?)", re.DOTALL
)
_WORD = re.compile(r"(?<![\\A-Za-z_])[A-Za-z]{3,}")
_MANY_VALUED = ("\\pm", "±", "\\cup", "\\mp", "\\begin")
_MATH_WORDS = WORDS | FUNCTIONS | {name[1:] for name in GREEK}


def _without_unit(text: str) -> tuple[str, str]:
    """A text without the words behind its mathematics, and these words."""
    match = _UNIT_TAIL.fullmatch(text.strip().strip("$"))
    if match is None:
        return text, ""
    return match[1], " ".join(_plain_text(match[2].replace("\\ ", " ").replace("\\,", " ")).split())


def _is_prose(text: str) -> bool:
    return any(word not in _MATH_WORDS for word in _WORD.findall(text))


def _word(text: str) -> str:
    return " ".join(re.sub(r"[^\w]+", " ", text).casefold().split())


def _typed(gold: str, text: str) -> symbolic.Identity | None:
    """Equality of two expressions or lists of them, as far as it can be told."""
    if _is_prose(gold) or _is_prose(text) or any(sign in gold + text for sign in _MANY_VALUED):
        return None
    own_bracket, own = _members(gold)
    bracket, seen = _members(text)
    if len(own) < 2 and len(seen) < 2:
        return symbolic.identical(gold, text)
    if "[" in own_bracket + bracket and own_bracket != bracket:
        return None
    if len(own) != len(seen) or {own_bracket, bracket} == {"(", "{"}:
        return symbolic.Identity(False, "points")
    tiers = {"points"}
    rest = list(seen)
    ordered = "(" in own_bracket + bracket or "[" in own_bracket
    for member in own:
        for place, other in enumerate(rest[:1] if ordered else rest):
            found = _typed(member, other)
            if found is None:
                return None
            tiers.add(found.decided_by)
            if found.equal:
                rest.pop(place)
                break
        else:
            return symbolic.Identity(False, "points")
    return symbolic.Identity(True, "digits" if "digits" in tiers else "points")


def answer_from_text(gold: str) -> Answer:
    """The typed answer that a gold string is: a whole number, a fraction or decimal, otherwise an expression."""
    text = gold.strip()
    if len(text) <= MAX_ANSWER:
        try:
            found = amount(text)
        except (Unreadable, ArithmeticError, RecursionError, ValueError, TypeError):
            return answers.Expression(text)
        if type(found.value) is int:
            return answers.Integer(found.value, found.unit)
        if type(found.value) is Fraction:
            return answers.Rational(found.value, found.unit)
    return answers.Expression(text)


__all__ = ["Comparison", "Final", "Outcome", "answer_from_text", "boxes", "compare", "final_answer", "last_boxed"]
last_boxed = boxes
