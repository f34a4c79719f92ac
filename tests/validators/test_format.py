from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.validators.format import Format

CASES = {
    "ok": ({}, r"So \boxed{42}.", "stop", "ok"),
    "line": ({}, "The answer is 42.", "stop", "ok"),
    "line_without_box": ({"require_box": True}, "The answer is 42.", "stop", "no_final_answer"),
    "truncated": ({}, r"So \boxed{42}.", "length", "truncated"),
    "truncated_before_empty": ({}, "", "length", "truncated"),
    "empty": ({}, " \n ", "stop", "empty"),
    "no_answer": ({}, "Forty-two it may be.", "stop", "no_final_answer"),
    "open_box": ({}, r"So \boxed{42", "stop", "no_final_answer"),
    "too_long": ({"max_characters": 10}, r"So it is \boxed{42}.", "stop", "too_long"),
    "just_long_enough": ({"max_characters": 10}, r"\boxed{42}", "stop", "ok"),
}


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str, free: Callable[..., Candidate]) -> None:
    parameters, solution, finish, reason = CASES[case]
    verdict = Format(**parameters).validate_candidate(free(solution, finish_reason=finish))
    assert verdict.reason == reason
    assert verdict.status is (Status.PASS if reason == "ok" else Status.FAIL)


def test_a_limit_below_one_is_refused() -> None:
    with pytest.raises(ValidationError):
        Format(max_characters=0)


@given(st.text(max_size=60), st.integers(1, 80))
def test_the_limit_is_on_characters(free: Callable[..., Candidate], filler: str, limit: int) -> None:
    solution = filler + r" \boxed{1}"
    verdict = Format(max_characters=limit).validate_candidate(free(solution))
    assert (verdict.reason == "too_long") == (len(solution) > limit)
