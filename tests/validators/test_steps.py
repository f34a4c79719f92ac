from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.validators.steps import Steps

CASES = {
    "no_equations": ({}, "It is seven.", "ok"),
    "true": ({}, "We find 3 + 4 = 7.", "ok"),
    "false": ({}, "We find 3 + 4 = 8.", "false_equation"),
    "one_of_many": ({}, "3 + 4 = 7, 2 × 7 = 14, 14 - 1 = 12, 5 + 5 = 10", "false_equation"),
    "unread_is_tolerated": ({}, "Let y + 2 = 5, so y = 3.", "ok"),
    "unread_within_limit": ({"max_unread": 1}, "Let y + 2 = 5, so y = 3.", "ok"),
    "unread_beyond_limit": ({"max_unread": 0}, "Let y + 2 = 5, so y = 3.", "unread_equation"),
    "false_before_unread": ({"max_unread": 0}, "We know y + 2 = 5 and 1 + 1 = 3.", "false_equation"),
}


@pytest.mark.parametrize("case", CASES)
def test_free_text(case: str, free: Callable[..., Candidate]) -> None:
    parameters, solution, reason = CASES[case]
    verdict = Steps(**parameters).validate_candidate(free(solution))
    assert verdict.reason == reason, verdict
    assert verdict.status is (Status.PASS if reason == "ok" else Status.FAIL)
    assert set(verdict.evidence) == {"checked", "held", "unread", "verified"}


def test_every_value_of_a_rendered_solution_is_verified(rendered: Candidate) -> None:
    evidence = Steps().validate_candidate(rendered).evidence
    assert evidence["checked"] == evidence["held"] == evidence["verified"] > 0
    assert evidence["unread"] == 0


@pytest.mark.parametrize(
    ("sentence", "reason"),
    [
        ("So it is f(3) = 9.", "unread_equation"),
        ("By the way, 1001 × 1001 = 1002001.", "unknown_value"),
        ("By the way, 1 + 1 = 3.", "false_equation"),
    ],
    ids=["unread", "foreign", "false"],
)
def test_an_exact_solution_must_be_its_derivation(garden: Candidate, sentence: str, reason: str) -> None:
    verdict = Steps().validate_candidate(replace(garden, solution=f"{sentence}\n{garden.solution}"))
    assert verdict.reason == reason
    assert verdict.status is Status.FAIL


def test_the_detail_shows_the_equation(free: Callable[..., Candidate]) -> None:
    assert "3 + 4 = 8" in Steps().validate_candidate(free("We find 3 + 4 = 8.")).detail


def test_a_symbol_has_its_value_only_where_the_statement_names_it(garden: Candidate) -> None:
    derivation = garden.problem.derivation
    assert derivation is not None
    problem = replace(garden.problem, derivation=replace(derivation, symbols={"q": 3}))
    candidate = replace(garden, problem=problem, solution="Now 4 × q = 13.")
    assert Steps().validate_candidate(candidate).reason == "false_equation"
    free_text = replace(candidate, exact=False)
    assert Steps().validate_candidate(free_text).evidence["unread"] == 1


@given(st.integers(0, 40), st.data())
def test_any_changed_number_of_an_equation_is_found(
    exactly: Callable[..., Candidate], slot: int, data: st.DataObject
) -> None:
    from dsgen.seeds.geometry.fenced_garden import FencedGarden

    candidate = exactly(FencedGarden, slot)
    lines = candidate.solution.split("\n")[:-1]
    row = data.draw(st.integers(0, len(lines) - 1))
    numbers = list(re.finditer(r"\d+", lines[row]))
    number = data.draw(st.sampled_from(numbers))
    other = data.draw(st.integers(1, 9999))
    assume(other != int(number[0]))
    lines[row] = lines[row][: number.start()] + str(other) + lines[row][number.end() :]
    verdict = Steps().validate_candidate(replace(candidate, solution="\n".join(lines)))
    assert verdict.reason == "false_equation"
