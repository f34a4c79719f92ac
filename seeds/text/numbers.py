"""Number mentions of an English text: where they stand, what they are worth and how they are styled.

The reader errs on the side of seeing a number: ``half``, ``dozen``, ``twice``, ``3:30`` and ``5th`` are mentions too.
Only plain numbers (``48``, ``$1,200.50``, ``twelve``, ``20%``) can be written again with another value;
:attr:`Mention.plain` says which those are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from dsgen.seeds.text.lift_numerals import ONES, TENS, Style

_WORTH = {word: value for value, word in enumerate(ONES)}
_WORTH |= {word: 10 * value for value, word in enumerate(TENS, start=2)}
_WORTH["fourty"] = 40
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}

_MULTIPLES = {
    "twice": 2, "double": 2, "doubles": 2, "doubled": 2, "doubling": 2, "thrice": 3, "triple": 3, "triples": 3,
    "tripled": 3, "tripling": 3, "quadruple": 4, "quadruples": 4, "quadrupled": 4, "quintuple": 5, "dozen": 12,
    "dozens": 12, "couple": 2, "couples": 2, "pair": 2, "pairs": 2, "both": 2, "twin": 2, "twins": 2, "triplets": 3,
    "duo": 2, "trio": 3, "score": 20, "decade": 10, "decades": 10, "century": 100, "biweekly": 2, "fortnight": 14,
    "quartet": 4, "bi-weekly": 2, "semi": 2, "either": 2, "threefold": 3, "twofold": 2, "once": 1, "single": 1,
    "halfway": 2, "quartered": 4, "fewest": 1, "doubly": 2, "dual": 2, "bimonthly": 2, "solo": 1, "century-old": 100,
    "tripple": 3, "quadrupling": 4, "sextuple": 6, "bicycle": 2, "bicycles": 2, "tricycle": 3, "tricycles": 3,
}  # fmt: skip
_PARTS = {
    "half": 2, "halves": 2, "halved": 2, "half-way": 2, "third": 3, "thirds": 3, "quarter": 4, "quarters": 4,
    "fourth": 4, "fourths": 4, "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7,
    "eighth": 8, "eighths": 8, "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10, "twelfth": 12, "twelfths": 12,
    "hundredth": 100, "hundredths": 100, "sixteenth": 16, "sixteenths": 16, "halve": 2, "halving": 2,
    "twentieth": 20, "eleventh": 11, "fifteenth": 15, "thirtieth": 30,
}  # fmt: skip
_FIRST = {"first": 1, "second": 2, "seconds": 1}

_ONE = "|".join(ONES[1:10])
_TWO = rf"(?:(?:{'|'.join((*TENS, 'fourty'))})(?:[\s-](?:{_ONE})\b)?|{'|'.join(sorted(ONES, key=len, reverse=True))})"
_HUNDREDS = rf"(?:(?:{_TWO}|a)\s+)?hundred\b(?:\s+(?:and\s+)?{_TWO}\b)?"
_BELOW = rf"(?:{_HUNDREDS}|{_TWO})"
_COUNT = rf"(?:(?:{_BELOW}|a)\s+)?(?:thousand|million|billion)\b(?:\s+(?:and\s+)?{_BELOW}\b)?|{_BELOW}"
_OTHER = "|".join(sorted([*_MULTIPLES, *_PARTS, "first", "second"], key=len, reverse=True))
_INITIALS = "".join(sorted({word[0] for word in (*ONES, *TENS, *_SCALES, *_MULTIPLES, *_PARTS, *_FIRST, "a")}))
_PATTERN = re.compile(
    rf"""
    (?=[\d$.]|\b[{_INITIALS}])(?:  # nothing else begins a number
    (?P<clock>\b\d{{1,2}}:\d{{2}}(?:\s*[ap]\.?m\b\.?)?|\b\d{{1,2}}\s*[ap]\.?m\b\.?|\b\d{{1,2}}\s*o'clock)
  | (?P<mixed>\$?\b\d+(?:\s+|\s*-\s*|\s+and\s+)\d+\s*/\s*\d+)
  | (?P<fraction>\$?(?<![\d.])\d+\s*/\s*\d+(?:ths?|rds?|nds?)?\b)
  | (?P<ordinal>\b\d+(?:st|nd|rd|th)\b)
  | (?P<digits>(?:\$\s?)?(?:\d{{1,3}}(?:,\d{{3}})+(?!\d)(?:\.\d+)?|\d*\.\d+|\d+))
  | (?P<words>\b(?:{_COUNT})\b)
  | (?P<other>\b(?:{_OTHER})\b)
    )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_LONGEST = 60
"""A longer run of digits or number words is not a number that a story tells."""
_AFTER = re.compile(
    r"\s*(?P<percent>%|percent\b|per\s?cent\b)"
    r"|\s*(?P<cents>cents?\b|¢)"
    r"|(?:\s+|-)(?P<scale>hundred|thousand|million|billion|dozens?)\b"
    r"|(?P<half>\s+and\s+(?:a|one)[\s-](?:half|third|quarter))\b"
    rf"|[\s-]+(?P<parts>{'|'.join(_PARTS)})\b",
    re.IGNORECASE,
)
_NEXT_WORD = re.compile(r"[\s-]*([A-Za-z][A-Za-z']*)")


@dataclass(frozen=True, slots=True)
class Mention:
    """A number in a text."""

    start: int
    end: int
    text: str
    kind: str
    """``digits``, ``words``, or one of the kinds that are never rewritten: ``clock``, ``mixed``, ``fraction``,
    ``ordinal``, ``part`` (half, thirds), ``multiple`` (twice, dozen), ``scaled`` (3 million), ``glued`` (A4)."""
    value: Fraction
    style: Style
    percent: bool = False
    cents: bool = False
    dozen: bool = False
    unit: str = ""
    """The next word in lower case, or the letters glued to the digits (``4km``)."""

    @property
    def plain(self) -> bool:
        """Whether it can be written again with another value."""
        return self.kind in ("digits", "words")

    @property
    def money(self) -> bool:
        """Whether a dollar sign stands before it."""
        return "$" in self.style.prefix

    def implied(self) -> frozenset[Fraction]:
        """What a calculation may write for this number, as long as the number does not change."""
        v = self.value
        found = {v}
        if self.kind in ("fraction", "part", "mixed") and v:
            found |= {Fraction(v.numerator), Fraction(v.denominator), 1 - v, 1 / v, 1 + v}
            found |= {Fraction(v.denominator - v.numerator), Fraction(v.denominator + v.numerator), v * 100}
        elif self.percent:
            found |= {v / 100, 100 - v, 100 + v, 1 - v / 100, 1 + v / 100}
            if v:
                found.add(100 / v)
        elif self.kind == "multiple" and v:
            found |= {1 / v, 1 + v}
        if self.dozen:
            found.add(v * 12)
        if self.cents:
            found.add(v / 100)
        return frozenset(found)


_GLUED_UNITS = frozenset(
    [
        "km",
        "kg",
        "cm",
        "mm",
        "mg",
        "ml",
        "lb",
        "lbs",
        "oz",
        "ft",
        "g",
        "m",
        "mph",
        "kph",
        "hr",
        "hrs",
        "min",
        "mins",
        "mi",
        "l",
        "sq",
        "in",
        "kmh",
        "gb",
        "mb",
        "sec",
        "secs",
        "kw",
        "kwh",
        "c",
        "x",
        "s",
    ]
)


def read_numbers(text: str) -> list[Mention]:
    """All number mentions of a text, in order, without overlaps."""
    found: list[Mention] = []
    position = 0
    while match := _PATTERN.search(text, position):
        mention = _mention(text, match)
        position = match.end() if mention is None else mention.end
        if mention is not None:
            found.append(mention)
    return found


def _mention(text: str, match: re.Match[str]) -> Mention | None:
    kind = match.lastgroup or ""
    start, end, raw = match.start(), match.end(), match.group()
    if len(raw) > _LONGEST:
        return None
    value, style, glued = Fraction(0), Style(), False
    if kind == "digits":
        digits = raw.lstrip("$ ")
        prefix = raw[: len(raw) - len(digits)]
        if "$" not in prefix:
            start, prefix = start + len(prefix), ""
        value = Fraction(digits.replace(",", ""))
        point = digits.find(".")
        style = Style(
            grouped="," in digits,
            decimals=len(digits) - point - 1 if point >= 0 else 0,
            bare_point=point == 0,
            prefix=prefix,
        )
        glued = _is_glued(text, start, end)
    elif kind == "words":
        value = _words_value(raw)
        style = Style(words=True, capital=raw[0].isupper())
    elif kind in ("fraction", "mixed"):
        numbers = [Fraction(n) for n in re.findall(r"\d+", raw)]
        if numbers[-1] == 0:
            return None
        value = numbers[-2] / numbers[-1] + (numbers[0] if kind == "mixed" else 0)
    elif kind in ("clock", "ordinal"):
        value = Fraction(re.findall(r"\d+", raw)[0])
    else:
        kind, value = _other_value(text, start, raw.lower())
        if not kind:
            return None
    found = _finish(text, start, end, kind, value, style)
    if glued and found.kind == "digits":
        found = Mention(found.start, found.end, found.text, "glued", found.value, found.style, unit=found.unit)
    return found


def _finish(text: str, start: int, end: int, kind: str, value: Fraction, style: Style) -> Mention:
    percent = cents = dozen = False
    while kind != "part" and (after := _AFTER.match(text, end)):
        tag = after.lastgroup
        if tag == "percent":
            percent = True
        elif tag == "cents":
            cents = True
        elif tag == "half":
            word = after.group().split()[-1].split("-")[-1].lower()
            value, kind = value + Fraction(1, _PARTS[word]), "mixed"
        elif tag == "parts":
            value, kind = value / _PARTS[after.group("parts").lower()], "part"
        elif after.group("scale").lower().startswith("dozen"):
            dozen = True
        else:
            value, kind = value * _SCALES[after.group("scale").lower()], "scaled"
        if tag in ("percent", "cents") or dozen:
            break
        end = after.end()
    following = _NEXT_WORD.match(text, end)
    unit = following.group(1).lower() if following else ""
    return Mention(start, end, text[start:end], kind, value, style, percent, cents, dozen, unit)


def _is_glued(text: str, start: int, end: int) -> bool:
    if start and (text[start - 1].isalnum() or text[start - 1] in "#"):
        return True
    letters = re.match(r"[A-Za-z]+", text[end:])
    return letters is not None and letters.group().lower() not in _GLUED_UNITS


def _words_value(raw: str) -> Fraction:
    total = current = 0
    for word in re.findall(r"[a-z]+", raw.lower()):
        if word in _SCALES:
            scale = _SCALES[word]
            current = max(current, 1) * scale
            if scale > 100:
                total, current = total + current, 0
        elif word in _WORTH:
            current += _WORTH[word]
    return Fraction(total + current)


def _other_value(text: str, start: int, word: str) -> tuple[str, Fraction]:
    if word == "first":
        return "ordinal", Fraction(1)
    if word == "second":
        # "a second" and "per second" are a unit of time.
        unit_of_time = re.search(r"\b(?:a|per|every|each|one)\s+$", text[:start]) is not None
        return ("", Fraction(0)) if unit_of_time else ("ordinal", Fraction(2))
    if word in _MULTIPLES:
        return "multiple", Fraction(_MULTIPLES[word])
    return "part", Fraction(1, _PARTS[word])
