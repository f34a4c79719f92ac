"""Writing numbers as a text writes them: in digits or words, with a currency sign, commas and decimals."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import NamedTuple

# fmt: off
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)
_DIGITS = re.compile(r"[\d,]+")
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
# fmt: on


Number = int | Fraction


class Style(NamedTuple):
    """How a plain number is written, so that another value can be written the same way."""

    words: bool = False
    """``twelve``, not ``12``."""
    capital: bool = False
    """The first letter is a capital."""
    grouped: bool = False
    """Thousands have commas."""
    decimals: int = 0
    """Digits after the point."""
    bare_point: bool = False
    """``.5``, not ``0.5``."""
    prefix: str = ""
    """A currency sign and what stands between it and the number."""


def write_number(value: Number, style: Style) -> str:
    """The value in a mention's style; a value that words cannot say is written in digits.

    A value with more decimals than the style has keeps them all.

    Raises:
        ValueError: the value has no finite decimal form.
    """
    if style.words and value.denominator == 1 and 0 <= value.numerator < 1000:
        words = in_words(int(value))
        return words.capitalize() if style.capital else words
    return style.prefix + decimal(value, style.decimals, grouped=style.grouped or _wide(value), bare=style.bare_point)


def _wide(value: Number) -> bool:
    return value.numerator >= 1_000_000 * value.denominator


def decimal(value: Number, least: int = 0, *, grouped: bool = False, bare: bool = False) -> str:
    """The exact decimal form with at least so many digits after the point.

    Raises:
        ValueError: the value has no finite decimal form.
    """
    places = decimal_places(value)
    if places is None:
        raise ValueError(f"{value} has no finite decimal form")
    places = max(places, least)
    whole, rest = divmod(abs(value.numerator) * 10**places // value.denominator, 10**places)
    sign = "-" if value < 0 else ""
    head = f"{whole:,}" if grouped else str(whole)
    if not places:
        return sign + head
    return f"{sign}{'' if bare and whole == 0 else head}.{rest:0{places}d}"


def decimal_places(value: Number) -> int | None:
    """The digits after the point that the value needs; ``None`` when no number of digits is enough."""
    rest = value.denominator
    twos = fives = 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def in_words(value: int) -> str:
    """A whole number below a thousand in English words."""
    if value < 20:
        return ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return TENS[tens - 2] + (f"-{ONES[ones]}" if ones else "")
    hundreds, rest = divmod(value, 100)
    return f"{ONES[hundreds]} hundred" + (f" {in_words(rest)}" if rest else "")


def says_an(written: str) -> bool:
    """Whether the article before a written number is ``an``."""
    body = written.lstrip("$ ").lower()
    if body.startswith(("eight", "eleven", "8")):
        return True
    digits = _DIGITS.match(body)
    count = digits.group().replace(",", "") if digits else ""
    return count.startswith(("11", "18")) and len(count) % 3 == 2
