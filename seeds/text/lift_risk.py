"""Which numbers of a question are not safe to change, judged by the words around them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

from dsgen.seeds.text.numbers import Mention

_STRUCTURE: tuple[tuple[str, str], ...] = (
    ("rounding", r"\bround(?:s|ed|ing)? (?:up|down|to|off|your|the|answer)|\brounded\b|nearest"),
    ("rounding", r"approximat|estimat|whole number"),
    ("choice", r"whichever|cheap(?:er|est)|better (?:deal|buy|price)|best (?:deal|buy|price)"),
    ("choice", r"\b(?:per|an?|each) \w+,? or \$?\d|more expensive option|either\b.*\bor\b"),
    ("threshold", r"\bat least\b|\bat most\b|\bexceed|\bor more\b|\bor less\b|\bor fewer\b|\bminimum\b|\bmaximum\b"),
    ("threshold", r"\bup to\b|\bno more than\b|\bno less than\b|\bonly if\b|\bunless\b|\botherwise\b|\bin excess\b"),
    ("threshold", r"\bor older\b|\bor younger\b|\bor above\b|\bovertime\b|\bthreshold\b|\bcapacity\b|\benough\b"),
    ("threshold", r"\b(?:anything|any|amounts?|hours?|everything) (?:over|above|beyond|past|after)\b"),
    ("threshold", r"\bnext (?:\$?\d|few)|\b(?:each|every) additional\b|\bafter (?:the first|that)\b|\bover the limit"),
    ("number-theory", r"\bprime\b|\beven number|\bodd number|\bdivisible\b|\bmultiples? of\b|\bconsecutive\b"),
    ("number-theory", r"\bdigits?\b|\bremainder\b|\bfactors? of\b|\bsequence\b|\bpattern\b"),
    ("statistics", r"\bmedian\b|\bmode\b|\brange of\b|\bprobabilit|\bchances?\b|\blikely\b|\bodds\b"),
    ("calendar", r"\bleap\b|\bon the \d+(?:st|nd|rd|th)\b|\b\d{1,2}/\d{1,2}/\d{2,4}\b|\bcentury\b|\bcalendar\b"),
    ("calendar", r"\b(?:january|february|march|april|may|june|july|august|september|october|november|december) \d"),
    # "2/5 times less than now" is read as a share of this or of that.
    ("share", r"\d\s*/\s*\d+ times (?:less|fewer|more|smaller|greater|as)\b"),
    ("ratio", r"\bratios?\b|\bproportion|\d\s*:\s*\d"),
    ("alternation", r"\bevery (?:other|second|third|fourth|fifth)\b|\balternat"),
    ("clock", r"\bwhat time\b|\bat what hour\b"),
    ("replaced", r"\binstead of\b|\bhad (?:been|sold|bought)\b.*\binstead\b"),
)

_BEFORE = re.compile(
    r"\b(?:the|these|those|all|all of the|other|first|last|next|past|previous|remaining|final|until|till|before|after|"
    r"by|over|under|above|below|exceeding|within|than|level|grade|page|chapter|day|week|month|year|number|no\.|size|"
    r"highway|route|room|channel|age|aged|class|step|round|game|version|model|only|another|every one of|of his|of her|"
    r"of their|of my|her|his|their|our|my|its|your|same|about|around|almost|nearly|top|bottom|in|since|world war|"
    r"formula|for every|out of|out of every|one of|more|additional|extra|either|born in|between|mph|at)\s+$",
    re.IGNORECASE,
)
_LONGEST_WORDING = 80
_BEFORE_SMALL = frozenset(
    [
        "the",
        "these",
        "those",
        "all",
        "other",
        "past",
        "last",
        "previous",
        "next",
        "final",
        "remaining",
        "her",
        "his",
        "their",
        "our",
        "my",
        "its",
        "your",
        "same",
        "only",
        "another",
        "more",
        "additional",
        "extra",
        "in",
        "of",
    ]
)
"""Before a number that may be a count of things named elsewhere; before larger numbers these words are harmless."""

_AFTER_FIXED = re.compile(
    r"[\s-]*(?:bills?|notes?|coins?|pieces? of paper|legs?|legged|wheels?|wheeler|sides?|sided|eyes|arms|hands|fingers|"
    r"toes|corners|wings|pointers?|point|dimensional|star|stars|way|ways|fold|th|speed|seasons|innings|halves|"
    r"quarters|dollar bills?|d\b|times as (?:old)|of (?:them|these|those|whom|which|the)|"
    r"degrees?|°|degree|a\.?m\.?\b|p\.?m\.?\b|inch(?:es)? (?:in|to|per) (?:a|one|every)|holes|players? on a|"
    r"people on a|cards? in a|letters? of the alphabet|(?:to|:)\s*\d|nights? stand|person (?:tent|car|family)|seater|"
    r"weekend days?\b|weekends?\b|weekdays?\b|"
    r"others?\b|(?:\w+ )?(?:siblings?|sisters?|brothers?|wives|parents|grandparents|grandchildren|daughters?|sons?|"
    r"children|kids|cousins?|husbands?|babies|best friends)\b|different|types? of|kinds? of|more (?:friends|people))",
    re.IGNORECASE,
)  # fmt: skip
_SMALL_GROUPS = re.compile(
    r"[\s-]*(?:\w+\s+)?(?:friends|kids|children|sons|daughters|siblings|sisters|brothers|cousins|people|members|girls|boys|"
    r"roommates|classmates|days|weeks|months|years|hours|types|kinds|colors|groups|teams|stores|ways|flavors|items|"
    r"parts|classes|rounds|games|trips|meals|shops|rooms|different|adults|students|men|women|dogs|cats|pets)\b",
    re.IGNORECASE,
)
_MEASURES = {
    "day": {7, 30, 31, 28, 29, 365, 366, 5, 14, 90}, "week": {52, 4}, "month": {12, 4}, "hour": {24, 48, 12},
    "minute": {60, 30, 90}, "second": {60, 3600}, "inch": {12, 36}, "inche": {12, 36}, "feet": {3, 5280}, "foot": {3},
    "ounce": {16, 8, 32, 128, 12}, "cup": {16, 4, 2, 8}, "cent": {100, 1, 5, 10, 25}, "gram": {1000},
    "meter": {1000}, "centimeter": {100}, "cm": {100}, "pound": {2000}, "egg": {12}, "card": {52}, "card deck": {52},
    "percent": {100}, "state": {50}, "yard": {1760, 100}, "quart": {4}, "pint": {2, 8}, "day week": {7, 5},
    "year": {10, 100},
    "ml": {1000}, "milliliter": {1000}, "mile": {26}, "letter": {26}, "player": {11, 9, 5}, "tablespoon": {16, 2},
    "teaspoon": {3}, "square": {64, 100}, "planet": {8, 9}, "continent": {7},
}  # fmt: skip
_COIN_TEXT = re.compile(r"\b(?:nickels?|dimes?|penn(?:y|ies)|quarters?)\b", re.IGNORECASE)
_CASH = re.compile(r"\b(?:bills?|notes?|coins?|banknotes?)\b", re.IGNORECASE)
_THRESHOLD_THAN = re.compile(
    r"\b(?:more|less|fewer|greater|higher|longer|older|younger|taller|larger|bigger) than\s+$", re.I
)
_TWO = re.compile(
    r"\b(?:both|either|each other|another|the other|one of|neither|pair|couple|together)\b", re.IGNORECASE
)
_SUPERLATIVE = re.compile(
    r"\b(?:most|least|highest|lowest|largest|smallest|biggest|fastest|slowest|longest|shortest|tallest|oldest|"
    r"youngest|heaviest|lightest|fewest|farthest|closest|winner|wins?|won|record|average)\b",
    re.IGNORECASE,
)
_AGES = re.compile(
    r"\b(?:years? old|year-old|years older|years younger|ages?|aged|birthday|older|younger|(?:as|how) old|eldest)\b",
    re.IGNORECASE,
)
_WEEKDAY = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)days?\b", re.IGNORECASE)
_TESTS = re.compile(r"\b(?:tests?|exams?|quiz(?:zes)?|scored?|grades?|marks|percent|percentage)\b", re.IGNORECASE)


_HUGE = 10**15
"""No number of a story is that large, and no domain around it could be counted through."""


def structural_word(question: str) -> str | None:
    """The kind of wording under which another value may change the calculation itself, such as ``rounding``."""
    lowered = question.lower()
    for slug, pattern in _STRUCTURE:
        if re.search(pattern, lowered):
            return slug
    return None


def has_superlative(question: str) -> bool:
    """Whether the text ranks things."""
    return _SUPERLATIVE.search(question) is not None


def tells_ages(question: str) -> bool:
    """Whether the text tells ages."""
    return _AGES.search(question) is not None


def names_weekday(question: str) -> bool:
    """Whether the text names a day of the week."""
    return _WEEKDAY.search(question) is not None


def tells_scores(question: str) -> bool:
    """Whether the text tells test scores or asks for a percentage."""
    return _TESTS.search(question) is not None


def risky(question: str, mentions: Sequence[Mention]) -> dict[int, str]:
    """The mentions that must keep their value, with the reason for each."""
    return {i: reason for i, m in enumerate(mentions) if (reason := _risk(question, m, mentions))}


def _risk(question: str, m: Mention, mentions: Sequence[Mention]) -> str:
    before, after = question[: m.start], question[m.end :]
    if not m.plain:
        return "not-plain"
    if m.value <= 1 and not (m.money or m.cents):
        return "one-or-less"
    if m.value == 0 or (m.value == 100 and m.percent):
        return "whole"
    if m.value >= _HUGE:
        return "huge"
    if m.percent and not (0 < m.value < 100 and m.value.denominator == 1):
        return "odd-percent"
    if m.value.denominator != 1 and m.style.words:
        return "not-plain"
    if not m.money and 1700 <= m.value <= 2100 and not m.style.grouped and _reads_as_year(before, m):
        return "year"
    return _wording(question, m, before, after) or _measure(question, m) or _count(question, m, mentions)


def _reads_as_year(before: str, m: Mention) -> bool:
    return re.search(r"\b(?:in|of|since|year|by|from|until|to|and)\s+$", before, re.I) is not None or not m.unit


def _wording(question: str, m: Mention, before: str, after: str) -> str:
    word = _BEFORE.search(question, max(0, m.start - _LONGEST_WORDING), m.start)
    if word:
        text = word.group().strip().lower()
        small = text.split()[-1] in _BEFORE_SMALL or text in ("at", "by", "after", "before", "over", "about", "around")
        if text == "than" or text.endswith(" than"):
            if _THRESHOLD_THAN.search(before) and not re.match(r"\s*(?:times|the|half|twice|a third)", after):
                return "threshold"
        elif not (small and (m.money or m.value > 12 or m.percent)):
            return "wording-before"
    if re.search(r"\buntil\b[^.?!]*\b(?:is|are|was|were|turns?|reach(?:es)?)\s+$", before, re.I):
        return "wording-before"
    if (m.money or m.unit.startswith(("dollar", "cent", "buck"))) and _CASH.search(before[-30:] + " " + after[:30]):
        return "cash"
    if _AFTER_FIXED.match(after) and not (m.value > 20 and not m.money):
        return "wording-after"
    if re.search(r"\bto\s+$", before) and re.search(r"\d\s+to\s+$", before):
        return "range"
    if re.search(r"\bbuy\b.*\bget\b.*\bfree\b", question, re.I):
        return "offer"
    return ""


def _measure(question: str, m: Mention) -> str:
    unit = m.unit.removesuffix("s")
    if m.value in _MEASURES.get(unit, ()):
        return "measure"
    if unit == "card" and re.search(r"\bdecks?\b", question, re.I):
        return "measure"
    if m.cents or _COIN_TEXT.search(question):
        cents = m.value if m.cents else m.value * 100
        if _COIN_TEXT.search(question) and cents in (1, 5, 10, 25):
            return "coin"
    return ""


def _count(question: str, m: Mention, mentions: Sequence[Mention]) -> str:
    """Small counts may be the number of things that the text goes on to name."""
    if m.value.denominator != 1 or m.value > 8 or m.money or m.percent:
        return ""
    value = int(m.value)
    if value == 2 and _TWO.search(question):
        return "count"
    if _SMALL_GROUPS.match(question[m.end :]) and value in _implied_counts(question, mentions):
        return "count"
    return ""


def _implied_counts(question: str, mentions: Sequence[Mention]) -> set[int]:
    names = set(re.findall(r"(?<![.?!]\s)(?<!^)\b(?!I\b)[A-Z][a-z]+", question)) | set(
        re.findall(r"\b([A-Z][a-z]+)(?:'s|\s+(?:has|have|is|was|sold|bought|had|gave|got))\b", question)
    )
    counts = {len(names), len(names) - 1, len(names) + 1}
    ordinals = [int(m.value) for m in mentions if m.kind == "ordinal" and m.value.denominator == 1]
    counts |= {max(ordinals), len(ordinals), max(ordinals) + 1} if ordinals else set()
    counts |= {
        len(re.split(r",\s*(?:and\s+)?|\s+and\s+", item))
        for item in re.findall(r"[^.;:?]*,[^.;:?]*\band\b[^.;:?]*", question)
    }
    counts |= {
        len(re.findall(r"\b(?:another|the other|one|the rest|the remaining|others)\b", question, re.I)) + d
        for d in (0, 1)
    }
    return counts


def relations(values: Sequence[Fraction], target: Fraction) -> Iterator[tuple[int, int]]:
    """Pairs of values whose sum, difference, product or quotient is a target other than one of the two."""
    # Whole numbers are quick to calculate with.
    numbers = [v.numerator if v.denominator == 1 else v for v in values]
    wanted = target.numerator if target.denominator == 1 else target
    for i, a in enumerate(numbers):
        for j in range(i + 1, len(numbers)):
            b = numbers[j]
            if wanted in (a + b, abs(a - b), a * b) or (a and b and (a == wanted * b or b == wanted * a)):
                yield i, j
