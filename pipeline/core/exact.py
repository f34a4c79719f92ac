"""Exact values: what a derivation's nodes and a typed answer hold. No floats."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

Exact = int | Fraction | str | tuple[Any, ...] | frozenset[Any]
"""``bool`` is an ``int`` here as in Python; tuples and frozensets hold exact values."""


def plain(value: Exact) -> Exact:
    """The same value in its simplest type: a fraction with denominator 1 is an ``int``."""
    if type(value) is Fraction and value.denominator == 1:
        return value.numerator
    return value


def show(value: Exact) -> str:
    """The value as it stands in a text: ``-3``, ``3/4``, ``yes``, ``(1, 2)``, ``{2, 5}``."""
    kind = type(value)
    if kind is int or kind is str:
        return str(value)
    if kind is Fraction:
        return f"{value.numerator}/{value.denominator}"  # type: ignore[union-attr]
    if kind is bool:
        return "yes" if value else "no"
    if kind is tuple:
        return "(" + ", ".join(map(show, value)) + ")"  # type: ignore[arg-type]
    if isinstance(value, tuple):  # a named tuple, such as a person, has a text of its own
        return str(value)
    if kind is frozenset:
        return "{" + ", ".join(map(show, ordered(value))) + "}"  # type: ignore[arg-type]
    raise TypeError(f"{kind.__name__} is not an exact value")


def ordered(values: frozenset[Any]) -> list[Any]:
    """The members in one fixed order: numbers by size, then text, then tuples."""
    return sorted(values, key=lambda v: (isinstance(v, tuple), isinstance(v, str), v))


def to_data(value: Exact) -> Any:
    """Plain JSON data from which :func:`from_data` gives back an equal value of the same type."""
    kind = type(value)
    if kind is bool or kind is str:
        return value
    if kind is int:
        # JSON readers outside Python lose integers beyond 2**53.
        return value if -(2**53) < value < 2**53 else {"int": str(value)}  # type: ignore[operator]
    if kind is Fraction:
        return {"frac": show(value)}
    if isinstance(value, tuple):
        return {"tuple": [to_data(v) for v in value]}
    if kind is frozenset:
        return {"set": [to_data(v) for v in ordered(value)]}  # type: ignore[arg-type]
    raise TypeError(f"{kind.__name__} is not an exact value")


def from_data(data: Any) -> Exact:
    """The value that :func:`to_data` wrote.

    Raises:
        ValueError: the data is not of that form.
    """
    if isinstance(data, (bool, int, str)):
        return data
    if isinstance(data, dict) and len(data) == 1:
        ((tag, body),) = data.items()
        if tag == "int":
            return int(body)
        if tag == "frac":
            return Fraction(body)
        if tag == "tuple":
            return tuple(from_data(v) for v in body)
        if tag == "set":
            return frozenset(from_data(v) for v in body)
    raise ValueError(f"not an exact value: {data!r}")
