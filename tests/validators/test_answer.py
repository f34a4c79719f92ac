from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.validators.answer import Answer

CASES = {
    "box": (answers.Integer(42), r"So \boxed{42}.", "equal"),
    "last_box_counts": (answers.Integer(42), r"\boxed{42.0}, that is \boxed{42}", "equal"),
    "boxes_differ": (answers.Integer(42), r"\boxed{41}, no, \boxed{42}", "conflicting_boxes"),
    "wrong": (answers.Integer(42), r"\boxed{43}", "wrong_answer"),
    "wrong_with_conflict": (answers.Integer(42), r"\boxed{42} or \boxed{43}", "wrong_answer"),
    "sentence": (answers.Integer(42), "We add. The answer is 42.", "equal"),
    "gsm8k": (answers.Integer(42), "40 + 2 = 42\n#### 42", "equal"),
    "nothing": (answers.Integer(42), "It is all very hard.", "no_answer"),
    "empty": (answers.Integer(42), "", "no_answer"),
    "empty_box": (answers.Integer(42), r"\boxed{}", "no_answer"),
    "words": (answers.Integer(42), r"\boxed{many, I should say}", "cannot_parse"),
    "other_unit": (answers.Integer(42, "m"), r"\boxed{42\text{ cm}}", "wrong_answer"),
    "own_unit": (answers.Integer(42, "m"), r"\boxed{42\text{ m}}", "equal"),
    "fraction": (answers.Rational(Fraction(3, 4)), r"\boxed{\frac{3}{4}}", "equal"),
    "rounded": (answers.Rational(Fraction(1, 3)), r"\boxed{0.333}", "wrong_answer"),
    "set": (answers.Collection(frozenset([2, 5])), r"\boxed{\{5, 2\}}", "equal"),
    "expression": (answers.Expression("x^2 - 1"), r"\boxed{(x-1)(x+1)}", "equal"),
    "tower": (answers.Expression("x^2"), r"\boxed{9^{9^{9^{9}}}}", "cannot_parse"),
    "reference_too_large": (answers.Expression("9^{9^{9^{9}}}"), r"\boxed{7}", "bad_reference"),
}


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str, free: Callable[..., Candidate]) -> None:
    answer, solution, reason = CASES[case]
    verdict = Answer().validate_candidate(free(solution, answer))
    assert verdict.reason == reason, verdict
    undecided = reason in ("bad_reference", "timeout")
    wanted = Status.PASS if reason == "equal" else Status.UNDECIDED if undecided else Status.FAIL
    assert verdict.status is wanted


def test_a_rescue_is_flagged(free: Callable[..., Candidate]) -> None:
    candidate = free(r"\boxed{(1, 3)\cup(5,7)}", answers.Expression(r"(1,3) \cup (5, 7)"))
    verdict = Answer().validate_candidate(candidate)
    assert verdict.reason == "equal"
    candidate = free(r"\boxed{-3, 3}", answers.Expression(r"\pm 3"))
    assert Answer().validate_candidate(candidate).decided_by == "math_verify"
    assert Answer(rescue=False).validate_candidate(candidate).reason == "cannot_parse"


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_a_whole_number_passes_exactly_when_it_is_the_answer(
    free: Callable[..., Candidate], gold: int, said: int
) -> None:
    for written in (str(said), f"{said:,}", f"{2 * said}/2", f"{said}.0"):
        verdict = Answer().validate_candidate(free(f"Hence \\boxed{{{written}}}.", answers.Integer(gold)))
        assert (verdict.status is Status.PASS) == (gold == said)


@given(st.fractions(max_denominator=999), st.integers(0, 3))
def test_a_decimal_is_equal_only_if_it_is_exact(free: Callable[..., Candidate], gold: Fraction, places: int) -> None:
    shown = f"{float(gold):.{places}f}"
    verdict = Answer().validate_candidate(free(f"\\boxed{{{shown}}}", answers.Rational(gold)))
    assert (verdict.status is Status.PASS) == (Fraction(shown) == gold)
