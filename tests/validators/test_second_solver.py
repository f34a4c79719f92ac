from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.validators.second_solver import SecondSolver

CASES: dict[str, tuple[answers.Answer, Any, str]] = {
    "agrees": (answers.Integer(3), 3, "agrees"),
    "disagrees": (answers.Integer(3), 4, "second_solver_disagrees"),
    "truth_is_no_number": (answers.Integer(1), True, "second_solver_disagrees"),
    "number_is_no_truth": (answers.Boolean(False), 0, "second_solver_disagrees"),
    "text": (answers.Text("Anna"), "Anna", "agrees"),
    "other_text": (answers.Text("Anna"), "Ben", "second_solver_disagrees"),
    "set": (answers.Collection(frozenset([1, 2])), frozenset([2, 1]), "agrees"),
    "order": (answers.Sequence((1, 2)), (2, 1), "second_solver_disagrees"),
}


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str, free: Callable[..., Candidate]) -> None:
    answer, value, reason = CASES[case]
    candidate = free("", answer)
    candidate = replace(candidate, problem=replace(candidate.problem, second=lambda: value))
    verdict = SecondSolver().validate_candidate(candidate)
    assert verdict.reason == reason
    assert verdict.status is (Status.PASS if reason == "agrees" else Status.FAIL)


def test_it_does_not_apply_without_a_second_solver(free: Callable[..., Candidate]) -> None:
    candidate = free("")
    assert not SecondSolver().applies(candidate)
    assert SecondSolver().validate_candidate(candidate).status is Status.UNDECIDED


def test_a_solver_that_breaks_decides_nothing(garden: Candidate) -> None:
    def broken() -> int:
        raise RuntimeError("out of order")

    candidate = replace(garden, problem=replace(garden.problem, second=broken))
    verdict = SecondSolver().validate_candidate(candidate)
    assert (verdict.status, verdict.reason) == (Status.UNDECIDED, "second_solver_failed")
    assert "out of order" in verdict.detail


@given(data=st.data())
def test_a_changed_node_is_found(exactly: Callable[..., Candidate], data: st.DataObject) -> None:
    from dsgen.seeds.geometry.fenced_garden import FencedGarden

    candidate = exactly(FencedGarden, data.draw(st.integers(0, 50)))
    derivation = candidate.problem.derivation
    assert derivation is not None
    index = data.draw(st.integers(0, len(derivation.nodes) - 1))
    nodes = list(derivation.nodes)
    nodes[index] = nodes[index]._replace(value=nodes[index].value + data.draw(st.integers(1, 9)))  # type: ignore[operator]
    changed = replace(candidate.problem, derivation=replace(derivation, nodes=tuple(nodes)))
    verdict = SecondSolver().validate_candidate(replace(candidate, problem=changed))
    assert verdict.reason == "faulty_derivation"
