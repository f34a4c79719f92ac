"""Typed answers: what the reference answer of a problem is, never a bare string.

How a text is compared with one of them is in :mod:`dsgen.pipeline.core.reading.compare`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, ClassVar

from dsgen.pipeline.core import exact, units
from dsgen.pipeline.core.exact import Exact


@dataclass(frozen=True, slots=True)
class Answer:
    """Base of the typed answers; ``kind`` is the type's name in data."""

    kind: ClassVar[str]

    def show(self) -> str:
        r"""The answer as it stands in a final ``\boxed{}``."""
        raise TypeError(f"{type(self).__name__} does not say how it is shown")

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data, and back with :func:`from_data`."""
        return {"kind": self.kind} | {f.name: exact.to_data(getattr(self, f.name)) for f in fields(self)}


@dataclass(frozen=True, slots=True)
class Integer(Answer):
    """A whole number, with the unit that the question asks for (empty: a pure number)."""

    value: int
    unit: str = ""
    kind: ClassVar[str] = "integer"

    def show(self) -> str:
        return str(self.value)


@dataclass(frozen=True, slots=True)
class Rational(Answer):
    """An exact fraction, with the unit that the question asks for."""

    value: Fraction
    unit: str = ""
    kind: ClassVar[str] = "rational"

    def show(self) -> str:
        return exact.show(self.value)


@dataclass(frozen=True, slots=True)
class Boolean(Answer):
    """Yes or no, true or false."""

    value: bool
    kind: ClassVar[str] = "boolean"

    def show(self) -> str:
        return "yes" if self.value else "no"


@dataclass(frozen=True, slots=True)
class Text(Answer):
    """A name or a word, compared without regard to case and outer white space."""

    value: str
    kind: ClassVar[str] = "string"

    def show(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Sequence(Answer):
    """An ordered tuple of exact values."""

    value: tuple[Any, ...]
    kind: ClassVar[str] = "tuple"

    def show(self) -> str:
        return exact.show(self.value)


@dataclass(frozen=True, slots=True)
class Collection(Answer):
    """A set of exact values: order and repetition do not matter."""

    value: frozenset[Any]
    kind: ClassVar[str] = "set"

    def show(self) -> str:
        return exact.show(self.value)


@dataclass(frozen=True, slots=True)
class Expression(Answer):
    """A mathematical text in LaTeX or plain form whose type is not known, as text sources give it."""

    value: str
    kind: ClassVar[str] = "expression"

    def show(self) -> str:
        return self.value


KINDS: dict[str, type[Any]] = {
    cls.kind: cls for cls in (Integer, Rational, Boolean, Text, Sequence, Collection, Expression)
}


def of(value: Exact, unit: units.Unit = ()) -> Answer:
    """The typed answer that an exact value is.

    Raises:
        TypeError: the value is of no answer type.
    """
    kind = type(value)
    if kind is bool:
        return Boolean(bool(value))
    if kind is int:
        return Integer(value, units.show(unit))  # type: ignore[arg-type]
    if kind is Fraction:
        return Rational(value, units.show(unit))  # type: ignore[arg-type]
    if kind is str:
        return Text(value)  # type: ignore[arg-type]
    if kind is tuple:
        return Sequence(value)  # type: ignore[arg-type]
    if kind is frozenset:
        return Collection(value)  # type: ignore[arg-type]
    raise TypeError(f"no answer type for {kind.__name__}")


def from_data(data: dict[str, Any]) -> Answer:
    """The answer that :meth:`Answer.to_data` wrote.

    Raises:
        ValueError: the kind is unknown.
    """
    cls = KINDS.get(data.get("kind", ""))
    if cls is None:
        raise ValueError(f"unknown answer kind {data.get('kind')!r}; known: {', '.join(sorted(KINDS))}")
    answer: Answer = cls(**{f.name: exact.from_data(data[f.name]) for f in fields(cls)})
    return answer
