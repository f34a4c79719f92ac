"""Amounts as people write them: ``$2,700``, ``44 m``, ``3 dozen``, ``12 square metres``, ``60 km per hour``."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from dsgen.pipeline.core.exact import plain
from dsgen.pipeline.core.reading.mathlex import Unreadable
from dsgen.pipeline.core.reading.mathtext import read

Factors = tuple[tuple[str, int], ...]
"""Names of base units with exponents, sorted."""


class Amount(NamedTuple):
    """An exact value and its unit as written; empty when none is."""

    value: Any
    unit: str = ""


_SCALES: dict[str, tuple[str, Fraction]] = {}
_TABLES: dict[str, dict[str, int | str]] = {
    "m": {"m metre meter": 1, "km kilometre kilometer": 1000, "cm centimetre centimeter": "1/100",
          "mm millimetre millimeter": "1/1000"},
    "inch": {"inch in inches": 1, "foot ft feet": 12, "yard yd": 36, "mile mi": 63360},
    "s": {"s sec second": 1, "min minute": 60, "h hr hour": 3600, "day": 86400, "week": 604800},
    "g": {"g gram gramme": 1, "kg kilogram kilo": 1000, "mg milligram": "1/1000", "ton tonne": 1000000},
    "ounce": {"ounce oz": 1, "pound lb lbs": 16},
    "L": {"l litre liter": 1, "ml millilitre milliliter": "1/1000"},
    "dollar": {"dollar usd": 1, "cent": "1/100"},
    "euro": {"euro eur": 1},
    "gbp": {"gbp": 1},
    "degree": {"degree deg °": 1},
}  # fmt: skip
for _base, _table in _TABLES.items():
    for _names, _factor in _table.items():
        for _name in _names.split():
            _SCALES[_name] = (_base, Fraction(_factor))
_IRREGULAR = {"feet": "foot", "inches": "inch", "people": "person", "children": "child", "men": "man", "women": "woman",
              "halves": "half", "knives": "knife", "loaves": "loaf", "mice": "mouse", "geese": "goose"}  # fmt: skip
_MULTIPLES = {"hundred": Fraction(100), "thousand": Fraction(1000), "million": Fraction(10**6),
              "billion": Fraction(10**9), "dozen": Fraction(12), "percent": Fraction(1, 100)}  # fmt: skip
_SIGNS = {"$": "dollar", "€": "euro", "£": "gbp", "¢": "cent"}
_FILLER = frozenset(["a", "an", "the", "of", "in", "each", "more", "total", "altogether", "only", "exactly", "about"])

_WRAP = re.compile(r"\\(?:text|textbf|mathbf|mathrm|mbox|boxed|fbox|textit|emph)\s?\{([^{}]*)\}")
_DEGREE = re.compile(r"\^\s?(?:\\circ|\{\s?\\circ\s?\})|°|\\degree")
_AMOUNT = re.compile(
    r"(?P<number>(?:\\(?:d|t)?frac\s?(?:\{[^{}]*\}|\d)\s?(?:\{[^{}]*\}|\d)|[^A-Za-z°²³])*+(?:\s?e(?=[-+]?\d))?)"
    r"(?P<unit>[A-Za-z°][A-Za-z°'./²³^{}\-\d\s*]*)?",
    re.DOTALL,
)
_MATHS = re.compile(r"\\[a-zA-Z]|[A-Za-z]\(|\b(?:mod|div)\b")


def amount(text: str) -> Amount:
    """The amount that a text states.

    Raises:
        Unreadable: there is no number, or more than a number and a unit.
    """
    body = text.strip().rstrip(".").strip()
    for _ in range(3):
        body, changed = _WRAP.subn(r" \1 ", body)
        if not changed:
            break
    body = body.replace("\\$", "＄").replace("$", "").replace("＄", "$").replace("\\(", "").replace("\\)", "")
    body = _DEGREE.sub(" degrees ", body).replace("**", "").replace("\\%", "%").replace("\\,", " ").replace("\\ ", " ")
    sign = next((s for s in _SIGNS if s in body), "")
    if sign or ("$" in text.strip()[:2] and not text.strip().endswith("$")):
        sign = sign or "$"
        body = body.replace(sign, "", 1)
    body = body.strip()
    try:
        return Amount(read(body), _SIGNS.get(sign, ""))
    except Unreadable:
        if "\\" in body and _MATHS.search(re.sub(r"\\[dt]?frac", "", body)):
            raise
    match = _AMOUNT.fullmatch(body)
    if match is None or not match["number"].strip() or not match["unit"]:
        raise Unreadable("not an amount")
    value = read(match["number"].strip())
    unit = match["unit"].strip().rstrip(".")
    first, _, rest = unit.partition(" ")
    while first.lower() in _MULTIPLES and type(value) in (int, Fraction):
        value = plain(Fraction(value) * _MULTIPLES[first.lower()])  # type: ignore[arg-type]
        unit = rest
        first, _, rest = unit.partition(" ")
    if unit and not _is_unit(unit):
        raise Unreadable("not a unit")
    return Amount(value, " ".join(filter(None, (_SIGNS.get(sign, ""), unit))))


def _is_unit(unit: str) -> bool:
    """Whether words after a number can be a unit: short ones must be known."""
    words = re.findall(r"[A-Za-z°]+", unit)
    return bool(words) and all(len(word) > 2 or word.lower() in _SCALES or word.lower() in _FILLER for word in words)


def _singular(word: str) -> str:
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word in _SCALES:
        return word
    for ending, instead in (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 2 else word


@lru_cache(maxsize=2048)
def factors(unit: str) -> tuple[Factors, Fraction]:
    """A written unit as base units with exponents, and how many of them one is."""
    text = unit.replace("²", "^2").replace("³", "^3").replace("{", "").replace("}", "").replace("*", " ")
    text = re.sub(r"\s*\^\s*", "^", re.sub(r"\bper\b", " / ", text, flags=re.IGNORECASE))
    scale = Fraction(1)
    exponents: dict[str, int] = {}
    for place, group in enumerate(text.replace("/", " / ").split(" / ")):
        words = group.split()
        power = 1
        for at, word in enumerate(words):
            low = word.lower().strip(".,'")
            if low in ("square", "sq", "cubic", "cu"):
                power = 2 if low.startswith("sq") else 3
                continue
            if low in ("squared", "cubed"):
                continue
            if low in _FILLER or not low:
                continue
            name, _, digits = word.partition("^")
            exponent = int(digits) if digits.isdigit() and len(digits) == 1 else power
            following = words[at + 1].lower() if at + 1 < len(words) else ""
            exponent = 2 if following == "squared" else 3 if following == "cubed" else exponent
            power = 1
            name = _singular(name.strip(".,'"))
            base, factor = _SCALES.get(name, (name, Fraction(1)))
            exponent = exponent if place == 0 else -exponent
            scale *= factor**exponent
            exponents[base] = exponents.get(base, 0) + exponent
    return tuple(sorted((n, e) for n, e in exponents.items() if e)), scale


def same_amount(reference: Amount, seen: Amount) -> bool:
    """Whether an amount is the reference.

    A unit that one of them does not show is taken to be the other's. Units of one dimension are converted exactly.
    """
    if not reference.unit or not seen.unit:
        return bool(reference.value == seen.value)
    own, own_scale = factors(reference.unit)
    other, other_scale = factors(seen.unit)
    if own == other:
        return bool(reference.value * own_scale == seen.value * other_scale)
    if reference.value != seen.value:
        return False
    # "12 red apples" are apples; a unit of measure is never just a further word.
    measures = {base for base, _ in _SCALES.values()}
    further = set(other) - set(own)
    return set(own) <= set(other) and not any(name in measures or power != 1 for name, power in further)
