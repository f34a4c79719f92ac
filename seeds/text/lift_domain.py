"""What values a parameter may take: near the original, as round as the original, and possible in its unit."""

from __future__ import annotations

import math
import re
from fractions import Fraction

from dsgen.seeds.text.lift_model import Parameter, Span
from dsgen.seeds.text.lift_risk import names_weekday, tells_ages, tells_scores
from dsgen.seeds.text.numbers import Mention

_STEPS = (5000, 1000, 500, 100, 50, 20, 10, 5, 2)

_SIGN = r"\s*(?:%|percent\b|per cent\b)?\s*"
_CONTENT = re.compile(
    _SIGN
    + r"(?:\w+ )?(?:salt|alcohol|sugar|fat|acid|juice|water|cocoa|protein|solution|pure|concentrat\w*|cream|milk)\b",
    re.IGNORECASE,
)
_RATE_AFTER = re.compile(_SIGN + r"(?:\w+ ){0,2}(?:tip|tax(?:es)?|interest|vat)\b", re.IGNORECASE)
_RATE_BEFORE = re.compile(r"\b(?:tip|tips|tipped|tax|tax(?:es)? rate|interest|vat)(?: [a-z]+){0,4}\s+$", re.IGNORECASE)
_DISCOUNT = re.compile(_SIGN + r"(?:\w+ )?(?:discount|off|cheaper)\b", re.IGNORECASE)
_SCHOOL = re.compile(r"[\s-]*years? of (?:\w+ )?(?:school|college|university|stud)", re.IGNORECASE)
_MONTH = re.compile(
    r"\bmonth|\b(?:january|february|april|june|july|august|september|october|november|december)\b", re.IGNORECASE
)


def parameter_of(name: str, mention: Mention, question: str, *, fine: bool = False) -> Parameter:
    """The parameter at a mention, with its domains; ``fine`` ones hold every value, not only round ones."""
    unit = 10**mention.style.decimals
    count = int(mention.value * unit)
    step = 1 if fine and unit == 1 else _step(count, mention)
    cap = _cap(mention, question)
    floor = 2 if unit == 1 else 1
    ranges = _ranges(mention, question)
    spans = []
    for low_factor, high_factor in ranges:
        low = max(floor, math.ceil(count * low_factor))
        high = math.floor(count * high_factor)
        if high_factor > 1 and ranges is _WIDE:
            high = max(high, count + 3 * step)
        if cap is not None:
            high = min(high, cap * unit)
        low = -(-low // step) * step
        high = high // step * step
        spans.append(Span(Fraction(low, unit), Fraction(max(high, low - step), unit), Fraction(step, unit)))
    easier, same, harder = spans
    return Parameter(
        name,
        mention.value,
        mention.style,
        (easier, same, harder),
        "%" if mention.percent else mention.unit,
        mention.percent,
    )


_Ranges = tuple[tuple[Fraction, Fraction], ...]
_WIDE: _Ranges = ((Fraction(1, 3), Fraction(1)), (Fraction(1, 2), Fraction(2)), (Fraction(1), Fraction(5)))
_NEAR: _Ranges = ((Fraction(3, 5), Fraction(1)), (Fraction(3, 5), Fraction(7, 5)), (Fraction(1), Fraction(8, 5)))
_CLOSE: _Ranges = ((Fraction(4, 5), Fraction(1)), (Fraction(4, 5), Fraction(6, 5)), (Fraction(1), Fraction(6, 5)))


def _ranges(mention: Mention, question: str) -> _Ranges:
    """How far the values of each profile reach: ages, sizes, temperatures and rates stay near the original."""
    if re.match(
        r"[\s-]*(?:inch(?:es)?|feet|foot|centimeters?|cm|meters?|m)\s+(?:tall|in height)", question[mention.end :]
    ):
        return _CLOSE
    if mention.percent and _is_rate(mention, question):
        return _NEAR
    if mention.unit in ("degrees", "degree") or re.search(r"\bweigh(?:s|ed|ing)?\s+$", question[: mention.start]):
        return _NEAR
    return _NEAR if tells_ages(question) else _WIDE


def _is_rate(mention: Mention, question: str) -> bool:
    """Whether a percentage tells how much salt is in the sea, or how high a tip or a tax is."""
    after = question[mention.end :]
    if _CONTENT.match(after) or _RATE_AFTER.match(after):
        return True
    return _RATE_BEFORE.search(question[max(0, mention.start - 60) : mention.start]) is not None


def _step(count: int, mention: Mention) -> int:
    """The coarsest grid that holds the original and leaves at least four values below it."""
    least = 2 if mention.style.decimals else 4
    for step in _STEPS:
        if count % step == 0 and count // step >= least and step not in (2, 20):
            return step
    return 1


def _cap(mention: Mention, question: str) -> int | None:
    """The largest value that makes sense; ``None`` when every value does."""
    v = mention.value
    caps: list[int] = []
    if mention.percent:
        caps.append(max(int(v), 75) if _DISCOUNT.match(question[mention.end :]) else 95)
    if mention.style.words:
        caps.append(99 if v < 100 else 999)
    if not mention.style.grouped and not mention.money and v < 1000:
        caps.append(999)
    unit = _time_unit(mention, question)
    lowered = question.lower()
    if unit == "hour":
        caps += _cap_of_hours(v, question)
    elif unit == "day":
        if v <= 7 and "week" in lowered:
            caps.append(max(int(v), 6))
        elif v <= 31:
            caps.append(28)
    elif unit == "week" and v <= 52:
        caps.append(int(v) if v <= 4 and "month" in lowered else 50)
    elif unit == "month" and v <= 12:
        caps.append(11)
    elif unit in ("minute", "second") and v < 60:
        caps.append(59)
    elif unit == "year":
        caps.append(max(int(v), 20 if _SCHOOL.match(question[mention.end :]) else 60))
    if tells_ages(question) and not mention.money and v < 90:
        caps.append(90)
    if tells_scores(question) and not mention.money and v <= 100:
        caps.append(100)
    if re.match(r"(?:miles?|km|kilometers?|mph|kmph)$", mention.unit) and v <= 120:
        caps.append(max(int(2 * v), 20))
    rate = re.match(r"\s*(?:more )?times (?:an?|per|each|every) (day|week)", question[mention.end :])
    if rate is not None and rate.group(1) == "week":
        caps.append(max(int(v), 7))
    if re.match(r"\s*(?:mph|kmph|(?:miles?|km|kilometers?)\s*(?:/|per|an)\s*h)", question[mention.end :]):
        caps.append(max(int(v), 75))
    if re.match(r"(?:words?|wpm|pages|strokes)$", mention.unit) and v <= 120:
        caps.append(int(2 * v))
    if re.match(r"(?:times|servings?|meals?|pills?|glasses|cups|mugs|naps)$", mention.unit):
        caps.append(max(int(2 * v), 9))
    return min(caps) if caps else None


def _cap_of_hours(v: Fraction, question: str) -> list[int]:
    """A day has 24 hours, a week of work not many more than 60, a month not many more than 250."""
    if v <= 24:
        return [12 if v <= 12 else 23]
    if names_weekday(question):
        # what the other days leave over must fit into one
        return [int(v)]
    if "week" in question.lower():
        return [max(int(v), 60)]
    return [max(int(v), 250)] if _MONTH.search(question) else []


def _time_unit(mention: Mention, question: str) -> str:
    after = question[mention.end :]
    units = r"(hour|hr|day|week|month|minute|min|second|sec|year|night)s?\b"
    match = re.match(r"[\s-]*" + units, after) or re.match(r"[\s-]*\w+\s+" + units, after)
    if match is None:
        return ""
    return {"hr": "hour", "min": "minute", "sec": "second", "night": "day"}.get(match.group(1), match.group(1))
