"""What every validator keeps, whichever it is."""

from __future__ import annotations

import json
import pickle
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import pytest

import dsgen.validators
from dsgen.pipeline.core.candidate import Candidate, Status, Verdict
from dsgen.pipeline.core.operator import Validator, discover

KINDS = discover(dsgen.validators, Validator)
OWN = {k: v for k, v in KINDS.items() if k in ("answer", "steps", "format", "second_solver")}

HOSTILE = {
    "empty": "",
    "spaces": " \n\t ",
    "null": "\x00" * 1000,
    "huge_prose": "The answer is near. " * 10_000,
    "huge_sum": "1+" * 100_000 + "1 = 2",
    "huge_number": "9" * 200_000 + " = 1",
    "huge_product": "so 9999999999 * 9999999999 = 1 " * 6_500,
    "power_tower": r"\boxed{9^{9^{9^{9^9}}}} and 9^9^9^9^9 = 1",
    "many_powers": "9^999/7^999 = 1, " * 11_000,
    "many_factorials": "400! = 1 so " * 15_000,
    "many_binomials": "C(9999, 4999) = 1 so " * 9_000,
    "deep_brackets": "(" * 100_000 + "1" + ")" * 100_000 + " = 1",
    "open_boxes": r"\boxed{" * 28_000,
    "nested_boxes": r"\boxed{" * 10_000 + "1" + "}" * 10_000,
    "many_boxes": r"\boxed{1} \boxed{2} " * 10_000,
    "code": "__import__('os').system('false') = 1",
    "code_box": r"\boxed{__import__('os').getcwd()}",
    "signs": "=<>≤≥≠≈≡" * 25_000,
    "list": "1, 2 = 3, " * 20_000,
    "digits": "١ + ٢ = ٣ and １ + ２ = ３ and ² = ³",
    "turned": "\u202e= 7 \u202c \u2066 1 = 2",
    "surrogate": "\ud800 = 1 \\boxed{\ud800}",
    "latex": r"\frac{\frac{\frac{" * 10_000 + "= 1",
    "tables": "| 1 = 1 " * 25_000,
    "lines": "\n= 1" * 50_000,
    "backslashes": "\\" * 200_000 + "= 1",
    "annotations": "<<1=2>>" * 25_000,
    "commands": r"\boxed{\int_0^1 x^{x^{x^x}} \, dx}",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_stamp_says_kind_and_version(kind: str) -> None:
    validator = KINDS[kind]()
    assert validator.stamp.startswith(f"{kind}/v{validator.version}:{{")
    assert pickle.loads(pickle.dumps(validator)) == validator


@pytest.mark.parametrize("kind", OWN)
def test_a_rendered_solution_passes(kind: str, rendered: Candidate) -> None:
    validator = KINDS[kind]()
    assert validator.applies(rendered)
    verdict = validator.validate_candidate(rendered)
    assert verdict.status is Status.PASS, verdict


@pytest.mark.parametrize("kind", OWN)
def test_verdicts_are_plain_data(kind: str, rendered: Candidate) -> None:
    verdict = KINDS[kind]().validate_candidate(rendered)
    assert pickle.loads(pickle.dumps(verdict)) == verdict
    data = json.loads(json.dumps(asdict(verdict)))
    data["status"] = Status(data["status"])
    assert Verdict(**data) == verdict


def test_another_answer_fails(rendered: Candidate) -> None:
    answer = rendered.problem.answer
    other = replace(rendered, problem=replace(rendered.problem, answer=replace(answer, value=answer.value + 1)))  # type: ignore[attr-defined,call-arg]
    assert KINDS["answer"]().validate_candidate(other).reason == "wrong_answer"
    assert KINDS["second_solver"]().validate_candidate(other).status is Status.FAIL


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("kind", OWN)
def test_no_text_raises_or_takes_long(
    kind: str, attack: str, rendered: Candidate, free: Callable[..., Candidate]
) -> None:
    validator = KINDS[kind]()
    text = HOSTILE[attack]
    for candidate in (free(text), replace(rendered, solution=text)):
        begun = time.process_time()
        verdict = validator.validate_candidate(candidate)
        assert time.process_time() - begun < 2
        assert isinstance(verdict, Verdict)
        assert verdict.reason.replace("_", "").isalpha()
        if kind in ("answer", "format"):
            assert (
                verdict.status is not Status.PASS
                or attack in ("huge_prose", "many_boxes", "nested_boxes")
                or kind == "format"
            )
