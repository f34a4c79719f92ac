"""Parameter domains, and their product as a space drawn from without replacement."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from dsgen.pipeline.core import units
from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.keys import Key

ENUMERABLE = 20_000
"""Spaces up to this size are enumerated: their capacity is exact."""
_PROBES = 1024
_MISS = 1e-6


class Person(NamedTuple):
    """A name with its pronouns, so that a sentence can say ``{owner.his}``."""

    name: str
    he: str
    him: str
    his: str

    def __str__(self) -> str:
        return self.name

    def __format__(self, spec: str) -> str:
        return self.name


def _people(names: str, he: str, him: str, his: str) -> tuple[Person, ...]:
    return tuple(Person(name, he, him, his) for name in names.split())


PEOPLE = _people("Amina Beatriz Chloe Dalia Elif Farah Greta Hana Ines Jia Kira Lucia", "she", "her", "her") + _people(
    "Anton Bilal Carlos Deniz Emeka Farid Goran Hiro Ivan Jamal Kofi Liam", "he", "him", "his"
)


class Domain:
    """The values that a parameter may take, by profile; positions count from 0."""

    unit: units.Unit = ()
    maskable = False

    def size(self, profile: str) -> int:
        """The number of values; 0 when the profile does not exist for this parameter."""
        raise TypeError(f"{type(self).__name__} has no size")

    def at(self, profile: str, position: int) -> Any:
        """The value at a position."""
        raise TypeError(f"{type(self).__name__} has no values")


class Integer(Domain):
    """Whole numbers from ``low`` to ``high``, both included.

    ``harder`` and ``easier`` are ranges of their own; without them, easier is the lower third and harder does not
    change.
    """

    maskable = True

    def __init__(
        self,
        low: int,
        high: int,
        *,
        unit: str = "",
        step: int = 1,
        harder: tuple[int, int] | None = None,
        easier: tuple[int, int] | None = None,
        meaning: str = "",
        maskable: bool = True,
    ) -> None:
        self.unit = units.parse(unit)
        self.meaning = meaning
        self.maskable = maskable
        self.harder = harder
        third = low + max(2, (high - low) // (3 * step)) * step
        self.ranges = {
            "same": range(low, high + 1, step),
            "easier": range(easier[0], easier[1] + 1, step) if easier else range(low, min(high, third) + 1, step),
            "harder": range(harder[0], harder[1] + 1, step) if harder else range(low, high + 1, step),
        }

    def size(self, profile: str) -> int:
        return len(self.ranges[profile])

    def at(self, profile: str, position: int) -> int:
        return self.ranges[profile][position]

    def containing(self, value: int) -> range:
        """The smallest of the ranges in which a value lies, for a search over all that it could be."""
        holding = [r for r in self.ranges.values() if value in r]
        return min(holding, key=len) if holding else range(value, value + 1)


class Integers(Domain):
    """A list of ``length`` whole numbers, each from ``low`` to ``high``."""

    def __init__(
        self, low: int, high: int, *, length: int, unit: str = "", harder: tuple[int, int] | None = None
    ) -> None:
        self.unit = units.parse(unit)
        self.length = length
        self.entry = Integer(low, high, harder=harder)
        self.harder = harder

    def size(self, profile: str) -> int:
        return int(self.entry.size(profile) ** self.length)

    def at(self, profile: str, position: int) -> tuple[int, ...]:
        base = self.entry.size(profile)
        values = []
        for _ in range(self.length):
            position, digit = divmod(position, base)
            values.append(self.entry.at(profile, digit))
        return tuple(values)


class Choice(Domain):
    """One of a few given values, the same for every profile."""

    def __init__(self, *values: Any, unit: str = "") -> None:
        self.values = values
        self.unit = units.parse(unit)

    def size(self, profile: str) -> int:
        return len(self.values)

    def at(self, profile: str, position: int) -> Any:
        return self.values[position]


class Name(Choice):
    """A person, with pronouns."""

    def __init__(self) -> None:
        super().__init__(*PEOPLE)


class Names(Domain):
    """``count`` different people, in an order that matters."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.total = math.perm(len(PEOPLE), count)

    def size(self, profile: str) -> int:
        return self.total

    def at(self, profile: str, position: int) -> tuple[Person, ...]:
        left = list(PEOPLE)
        drawn = []
        for _ in range(self.count):
            position, digit = divmod(position, len(left))
            drawn.append(left.pop(digit))
        return tuple(drawn)


class Shuffle(Domain):
    """An order of ``count`` things: a permutation of 0, 1, 2, ... as a tuple."""

    def __init__(self, count: int) -> None:
        self.count = count

    def size(self, profile: str) -> int:
        return math.factorial(self.count)

    def at(self, profile: str, position: int) -> tuple[int, ...]:
        left = list(range(self.count))
        drawn = []
        for size in range(self.count, 0, -1):
            position, digit = divmod(position, size)
            drawn.append(left.pop(digit))
        return tuple(drawn)


@dataclass(frozen=True, slots=True)
class Space:
    """The product of domains under a condition: slot → values, without replacement.

    A small space is enumerated. A large one is walked by a keyed permutation whose positions are dealt out to the
    slots like cards (slot ``s`` may use ``s``, ``s + capacity``, ``s + 2 × capacity``, ...): whatever a slot draws, no
    other slot can.
    """

    names: tuple[str, ...]
    domains: tuple[Domain, ...]
    sizes: tuple[int, ...]
    profile: str
    total: int
    capacity: int
    where: Callable[..., bool] | None
    arguments: tuple[str, ...]
    accepted: tuple[int, ...] | None

    @classmethod
    def of(
        cls, domains: Mapping[str, Domain], profile: str, where: Callable[..., bool] | None, arguments: Sequence[str]
    ) -> Space:
        """The space of a profile; its capacity is exact when enumerable and a safe lower estimate otherwise."""
        sizes = tuple(d.size(profile) for d in domains.values())
        total = math.prod(sizes)
        open_space = cls(
            tuple(domains), tuple(domains.values()), sizes, profile, total, total, where, tuple(arguments), None
        )
        if where is None or total == 0:
            return open_space
        if total <= ENUMERABLE:
            accepted = tuple(i for i in range(total) if open_space.admits(open_space.decode(i)))
            capacity = len(accepted)
        else:
            probe = Key.of("space", profile, *domains).permutation(total)
            hits = sum(open_space.admits(open_space.decode(probe[i])) for i in range(_PROBES))
            accepted = None
            # As many tries per slot as make an empty slot a one-in-a-million event.
            rate = max(hits, 1) / _PROBES
            tries = 1 if hits == _PROBES else math.ceil(math.log(_MISS) / math.log(1 - min(rate, 0.999)))
            capacity = total // tries if hits else 0
        return cls(
            open_space.names, open_space.domains, sizes, profile, total, capacity, where, tuple(arguments), accepted
        )

    def decode(self, position: int) -> dict[str, Any]:
        """The values at a position of the whole product."""
        values = {}
        profile = self.profile
        for name, domain, size in zip(self.names, self.domains, self.sizes, strict=True):
            position, digit = divmod(position, size)
            values[name] = domain.at(profile, digit)
        return values

    def admits(self, values: Mapping[str, Any]) -> bool:
        """Whether the condition holds."""
        return self.where is None or bool(self.where(*[values[a] for a in self.arguments]))

    def draw(self, slot: int, key: Key) -> dict[str, Any] | None:
        """The values of a slot; ``None`` when none of the slot's positions is admissible.

        Raises:
            IndexError: the slot is not below the capacity.
        """
        if not 0 <= slot < self.capacity:
            raise IndexError(f"slot {slot} of a space with capacity {self.capacity}")
        if self.accepted is not None:
            return self.decode(self.accepted[key.permutation(len(self.accepted))[slot]])
        order = key.permutation(self.total)
        for position in range(slot, self.total, self.capacity):
            values = self.decode(order[position])
            if self.admits(values):
                return values
        return None


def domain_of(domain: Domain, value: Exact) -> Sequence[Exact]:
    """The finite range of a numeric parameter in which a value lies."""
    if isinstance(domain, Integer) and isinstance(value, int):
        return domain.containing(value)
    return (value,)
