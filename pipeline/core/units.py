"""Units as products of base units with integer exponents, for the arithmetic of derivations.

A base unit is any word: ``m``, ``dollar``, ``apple``. Nothing is converted silently: ``m`` and ``cm`` are different
bases, and adding them is an error that a template mends with an explicit factor.
"""

from __future__ import annotations

from functools import lru_cache

SYMBOLS = frozenset(["m", "km", "cm", "mm", "kg", "g", "s", "h", "min", "L", "mL", "°"])
"""Unit signs, which take no plural."""
PLURALS = {"foot": "feet", "inch": "inches", "person": "people", "child": "children", "box": "boxes"}
_SUPERSCRIPT = {2: "²", 3: "³"}

Unit = tuple[tuple[str, int], ...]
"""Base units with their exponents, sorted by name; ``()`` is dimensionless."""


class UnitMismatch(ArithmeticError):
    """Two quantities of different units were added, subtracted or compared."""


@lru_cache(maxsize=1024)
def parse(text: str) -> Unit:
    """The unit written as ``dollar/m``, ``m^2`` or ``km/h``; the empty string is dimensionless."""
    exponents: dict[str, int] = {}
    for position, group in enumerate(text.split("/")):
        for factor in group.replace("*", " ").split():
            name, _, power = factor.partition("^")
            exponents[name] = exponents.get(name, 0) + (1 if position == 0 else -1) * int(power or 1)
    return tuple(sorted((name, power) for name, power in exponents.items() if power))


@lru_cache(maxsize=4096)
def multiply(left: Unit, right: Unit, sign: int = 1) -> Unit:
    """The unit of a product, or with ``sign=-1`` of a quotient."""
    exponents = dict(left)
    for name, power in right:
        exponents[name] = exponents.get(name, 0) + sign * power
    return tuple(sorted((name, power) for name, power in exponents.items() if power))


@lru_cache(maxsize=4096)
def show(unit: Unit, *, one: bool = False) -> str:
    """The unit in words: ``dollars``, ``m²``, ``dollars per m``; ``one`` asks for the singular."""
    above = [(n, p) for n, p in unit if p > 0]
    below = [(n, -p) for n, p in unit if p < 0]
    if len(above) == len(below) == 1 and unit and all(name in SYMBOLS for name, _ in unit):
        return "/".join(_power(*factor) for factor in (above + below))
    words = [_power(plural(n) if not one and i == len(above) - 1 else n, p) for i, (n, p) in enumerate(above)]
    text = " ".join(words)
    for name, power in below:
        text += f" per {_power(name, power)}" if text else f"per {_power(name, power)}"
    return text


def plural(name: str) -> str:
    """The plural of a base unit; signs have none."""
    if name in SYMBOLS:
        return name
    if name in PLURALS:
        return PLURALS[name]
    return name + ("es" if name.endswith(("s", "x", "ch", "sh")) else "s")


def _power(name: str, power: int) -> str:
    return name if power == 1 else name + _SUPERSCRIPT.get(power, f"^{power}")
