"""Candidates to judge: exact ones from a template, and free ones around a typed answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.answers import Answer
from dsgen.pipeline.core.candidate import Candidate
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.teachers.derivation import render
from dsgen.seeds.code.loop_trace import LoopTrace
from dsgen.seeds.geometry.fenced_garden import FencedGarden
from dsgen.seeds.number_theory.two_congruences import TwoCongruences

KEY = Key.of("validators")
TEMPLATES = [FencedGarden, TwoCongruences, LoopTrace]

Free = Callable[..., Candidate]


def _blank() -> Problem:
    lineage = Lineage("text", "seed", "hash", KEY.raw.hex())
    return Problem((Part("text", "How many?"),), answers.Integer(0), lineage, Tier.AGREED, "")


def exact(template: Any, slot: int = 0) -> Candidate:
    """The rendered solution of the first problem from a slot on."""
    program = template()
    values = None
    while values is None:
        values = program.draw("same", slot, KEY)
        slot += 1
    problem = program.pose(values, _blank())
    return Candidate(problem, render(problem) or "", "derivation", exact=True)


@pytest.fixture(params=TEMPLATES, ids=lambda t: t.__name__)
def rendered(request: pytest.FixtureRequest) -> Candidate:
    return exact(request.param)


@pytest.fixture
def garden() -> Candidate:
    return exact(FencedGarden)


@pytest.fixture(scope="session")
def exactly() -> Callable[..., Candidate]:
    return exact


@pytest.fixture(scope="session")
def free() -> Free:
    """A solution in free text for a problem with the given answer."""

    def make(solution: str, answer: Answer | None = None, **changes: Any) -> Candidate:
        problem = replace(_blank(), answer=answer or answers.Integer(42))
        return Candidate(problem, solution, "somebody", **changes)

    return make
