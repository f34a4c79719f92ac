"""What a mutator can do with a problem's program, whether a template or a lifted record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.keys import Key

if TYPE_CHECKING:
    from dsgen.pipeline.core.derivation import Derivation
    from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier

PROFILES = ("same", "easier", "harder")
"""Magnitudes of parameters: as the seed's, smaller, larger."""

Values = Mapping[str, Exact]


class Draw(NamedTuple):
    """A seed's place among the seeds of the same program: the ``ordinal``-th of ``population``."""

    ordinal: int
    population: int


class Origin(NamedTuple):
    """Where a problem that is about to be posed comes from."""

    lineage: Lineage
    draw: Draw


class Program(Protocol):
    """A problem with its parameters open. All methods are pure."""

    @property
    def id(self) -> str:
        """Unique name, such as ``geometry/fenced_garden`` or ``gsm8k/12``."""
        ...

    @property
    def family(self) -> str:
        """A family of the pattern list."""
        ...

    @property
    def tier(self) -> Tier:
        """The tier of its problems."""
        ...

    def capacity(self, profile: str) -> int:
        """How many different value assignments :meth:`draw` can give; 0: the profile does not exist here."""
        ...

    def draw(self, profile: str, slot: int, key: Key) -> Values | None:
        """The admissible assignment of a slot below the capacity: different slots, different values.

        ``None`` when the slot happens to hold no admissible one.
        """
        ...

    def pose(self, values: Values, origin: Origin) -> Problem:
        """The problem with these values, with the lineage and the draw of its origin.

        Raises:
            Degenerate: the values do not make a problem.
        """
        ...

    def derive(self, values: Values) -> Derivation:
        """Only the derivation, for trying values quickly.

        Raises:
            Degenerate: the values do not make a problem.
        """
        ...

    def second(self, values: Values) -> Exact | None:
        """The answer by an independent way; ``None`` when there is no second solver."""
        ...

    def maskable(self) -> Sequence[str]:
        """Numeric parameters that a backward question may hide."""
        ...

    def domain(self, name: str, values: Values) -> Sequence[Exact]:
        """The finite domain of a parameter in which ``values[name]`` lies; ascending."""
        ...

    def admissible(self, values: Values) -> bool:
        """Whether the values satisfy the program's own conditions."""
        ...

    def facts_parts(self, values: Values, hidden: Mapping[str, str]) -> list[Part]:
        """The statement without its question, with the hidden parameters shown as the given symbols."""
        ...

    def result(self, answer: str, values: Values) -> str:
        """One sentence that states the answer, such as ``The fence costs 1360 dollars``, with its full stop."""
        ...

    def meaning(self, name: str) -> str:
        """What a parameter is, as ``the number of guests``; empty when the text says it best."""
        ...


def shown_values(values: Values, hidden: Mapping[str, str]) -> dict[str, Any]:
    """The values with hidden ones replaced by their symbols."""
    return {name: hidden.get(name, value) for name, value in values.items()}
