"""Bases of the things that are added one file at a time: mutators and validators.

An operator is a frozen pydantic model; its fields are its YAML parameters. The file's name is its ``kind``.
"""

from __future__ import annotations

import importlib
import pkgutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict

from dsgen.pipeline.core.candidate import Ask, Candidate, Reply, Verdict, undecided
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Problem


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """A mutator's word that it has no such child of a problem, and why, as a slug."""

    reason: str


class Operator(BaseModel, ABC):
    """A pure, picklable step that is configured by its fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ClassVar[int] = 1
    kind: str

    @cached_property
    def stamp(self) -> str:
        """``kind/v1:{parameters}``: enough to build the operator again."""
        parameters = self.model_dump(mode="json", exclude={"kind", *self.engine_fields()})
        return f"{self.kind}/v{self.version}:{orjson.dumps(parameters, option=orjson.OPT_SORT_KEYS).decode()}"

    @classmethod
    def engine_fields(cls) -> set[str]:
        """Fields that tell the engine what to do with the operator and do not change what it makes."""
        return set()


class Mutator(Operator):
    """Makes children of a problem. Any child can be made alone, in any order."""

    count: int = 1
    """Children wanted of each seed; the engine takes fewer where the capacity is smaller."""

    @classmethod
    def engine_fields(cls) -> set[str]:
        return {"count"}

    def draws_from(self) -> str | None:
        """The profile of a program's parameter space that children are drawn from, a slot each; ``None``: from none."""
        return None

    @abstractmethod
    def capacity(self, problem: Problem) -> int:
        """How many children the problem has under this mutator; 0 when it does not apply."""

    @abstractmethod
    def mutate(self, problem: Problem, index: int, key: Key) -> Problem | NotApplicable:
        """Child number ``index`` of a problem.

        ``key`` is the run's key. Whatever must differ between children is scoped by the mutator itself; what must
        not collide between cousins (the parameter space of a program) is shared through it.
        """


class Validator(Operator):
    """Judges a candidate. Never raises for what a text says, never answers with a bare truth value."""

    required: bool = True
    """A required validator must pass; any other is recorded only."""

    @classmethod
    def engine_fields(cls) -> set[str]:
        return {"required"}

    def applies(self, candidate: Candidate) -> bool:
        """Whether the check has anything to say about such a candidate."""
        return True

    @abstractmethod
    def validate_candidate(self, candidate: Candidate) -> Verdict:
        """The verdict on a candidate."""


class Consultant(Validator):
    """A validator that asks a model. It is asked last, and not at all about what a required validator refused."""

    @abstractmethod
    def consult(self, candidate: Candidate) -> Generator[Ask, Reply, Verdict]:
        """Yield questions, receive a reply to each, return the verdict.

        The same replies must lead to the same questions: the generator is run anew with the replies that are known
        by then. Replies that failed are not handed in; their candidate goes to quarantine.
        """

    def validate_candidate(self, candidate: Candidate) -> Verdict:
        """Without a model at hand, as in a preview, nothing is decided."""
        return undecided("not_asked", "no model was at hand")


Model = TypeVar("Model", bound=BaseModel)


def discover(package: ModuleType, base: Callable[..., Model] | type[Model]) -> dict[str, type[Model]]:
    """The operators in a package's modules by kind, sorted.

    Raises:
        TypeError: a module without exactly one operator, or one whose kind is not the file's name.
    """
    found: dict[str, type[Any]] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        if module_info.name.startswith("_"):
            continue
        module = importlib.import_module(f"{package.__name__}.{module_info.name}")
        own = [
            c
            for c in vars(module).values()
            if isinstance(c, type) and issubclass(c, base) and c.__module__ == module.__name__  # type: ignore[arg-type]
        ]
        if len(own) != 1:
            raise TypeError(f"{module.__name__} must define exactly one {base.__name__}, found {len(own)}")
        kind = own[0].model_fields["kind"].default
        if kind != module_info.name:
            raise TypeError(f"{module.__name__}: kind is {kind!r}, the file says {module_info.name!r}")
        found[kind] = own[0]
    return found
