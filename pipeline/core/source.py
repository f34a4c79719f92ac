"""Sources of seeds: where problems come from before any mutation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Problem


class Seed(NamedTuple):
    """One seed of a source: the problem, or why there is none, and how far a text was lifted."""

    problem: Problem | NotApplicable
    stage: str = ""
    """The last stage of the source's funnel that the seed reached; empty for sources without a funnel."""


class SeedSet(ABC):
    """An opened source: seeds by number, each made alone."""

    fingerprint: str
    """A hash of the content, part of the run's identity."""

    @abstractmethod
    def __len__(self) -> int:
        """The number of seeds."""

    @abstractmethod
    def seed_id(self, index: int) -> str:
        """A name of the seed that stays the same when others are added."""

    @abstractmethod
    def seed(self, index: int, key: Key) -> Seed:
        """Seed number ``index``; ``key`` is the run's key."""

    def shortfalls(self, wanted: Sequence[tuple[str | None, int]]) -> list[str]:
        """Where the source cannot give what is asked of it: ``wanted`` holds each mutator's (profile, children)."""
        return []

    def stages(self) -> tuple[str, ...]:
        """The stages of the funnel, first to last; empty without one."""
        return ()


class Source(BaseModel, ABC):
    """The YAML form of a source; :meth:`open` reads files."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    kind: str

    @abstractmethod
    def open(self) -> SeedSet:
        """Read what must be read to count the seeds.

        Raises:
            SourceError: a file is missing or a record is unreadable; the message names the line.
        """

    def identity(self) -> dict[str, Any]:
        """What makes it the same source: its fields."""
        return self.model_dump(mode="json")
