"""The object everything hangs on: a problem with its typed answer, its derivation and where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from dsgen.pipeline.core import answers, exact
from dsgen.pipeline.core.answers import Answer
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.program import Draw, Program


class Tier(StrEnum):
    """Why a problem's answer may be believed; tiers are never mixed silently."""

    EXACT = "exact"
    """An executed program over exact types that agrees with an independent second solver."""
    CERTIFIED = "certified"
    """A witness or an exhausted domain, checked again by a small checker."""
    LIFTED = "lifted"
    """A text source's own annotated derivation, executed again."""
    AGREED = "agreed"
    """No program: the source's or the teachers' word."""


class Part(NamedTuple):
    """One piece of a statement.

    ``kind`` is ``text``, ``table`` (markdown) or ``code`` (``language`` says which).
    """

    kind: str
    content: str
    language: str = ""

    def show(self) -> str:
        """The part as it stands in a plain statement."""
        return f"```{self.language}\n{self.content}\n```" if self.kind == "code" else self.content


class Mutation(NamedTuple):
    """One mutator at work: enough to do it again."""

    mutator: str
    """Kind, version and parameters, as ``perturb/v1:{"profile":"same"}``."""
    child: int
    """Which of the mutator's children this is."""
    note: str = ""
    """What was changed, for people."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """How a problem came to be: source, draw and mutations rebuild it."""

    source: str
    """The source's kind, such as ``templates`` or ``gsm8k``."""
    seed: str
    """The seed in it: template and ordinal, or record number."""
    seed_hash: str
    """A hash of the template's version or of the source record."""
    run_key: str
    """The run's root key, in hexadecimal."""
    mutations: tuple[Mutation, ...] = ()

    def then(self, mutation: Mutation) -> Lineage:
        """The lineage of a child."""
        return Lineage(self.source, self.seed, self.seed_hash, self.run_key, (*self.mutations, mutation))

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "source": self.source,
            "seed": self.seed,
            "seed_hash": self.seed_hash,
            "run_key": self.run_key,
            "mutations": [list(m) for m in self.mutations],
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Lineage:
        """The lineage that :meth:`to_data` wrote."""
        mutations = tuple(Mutation(*m) for m in data["mutations"])
        return cls(data["source"], data["seed"], data["seed_hash"], data["run_key"], mutations)


@dataclass(frozen=True, slots=True)
class Problem:
    """A statement, its typed answer, why that answer is right, and how the problem came to be."""

    parts: tuple[Part, ...]
    answer: Answer
    lineage: Lineage
    tier: Tier
    family: str
    """A family of the pattern list, such as ``number_theory``; empty when a text source does not say."""
    form: str = "forward"
    """The task form: ``forward``, ``backward``, ``find_all``."""
    derivation: Derivation | None = None
    values: Mapping[str, Exact] = field(default_factory=dict)
    """The parameters' values, all of them."""
    program: Program | None = field(default=None, repr=False, compare=False)
    """What can make this problem again with other values; ``None`` for text that nothing lifted."""
    draw: Draw = field(default=Draw(0, 1))
    """The place of its seed among the seeds of the same program, so that cousins never draw the same values."""
    second: Callable[[], Exact] | None = field(default=None, repr=False, compare=False)
    """The independent second solver, bound to this problem's values."""

    @property
    def statement(self) -> str:
        """All parts as one text."""
        if len(self.parts) == 1:
            return self.parts[0].show()
        return "\n\n".join(part.show() for part in self.parts)

    @property
    def id(self) -> str:
        """The hash of the content: statement and answer."""
        return digest(self.statement, self.answer.kind, self.answer.show()).hex()

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data, and back with :meth:`from_data`. Program and second solver are rebuilt from lineage."""
        return {
            "parts": [list(p) for p in self.parts],
            "answer": self.answer.to_data(),
            "lineage": self.lineage.to_data(),
            "tier": str(self.tier),
            "family": self.family,
            "form": self.form,
            "derivation": self.derivation.to_data() if self.derivation else None,
            "values": {name: exact.to_data(value) for name, value in self.values.items()},
            "draw": list(self.draw),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Problem:
        """The problem that :meth:`to_data` wrote."""
        return cls(
            parts=tuple(Part(*p) for p in data["parts"]),
            answer=answers.from_data(data["answer"]),
            lineage=Lineage.from_data(data["lineage"]),
            tier=Tier(data["tier"]),
            family=data["family"],
            form=data["form"],
            derivation=Derivation.from_data(data["derivation"]) if data["derivation"] else None,
            values={name: exact.from_data(value) for name, value in data["values"].items()},
            draw=Draw(*data["draw"]),
        )
