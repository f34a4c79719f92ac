"""The embedded teacher, and what a model is asked instead."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.candidate import Request
from dsgen.pipeline.core.derivation import Derivation, Node, Step
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.teachers.derivation import DerivationTeacher, render
from dsgen.pipeline.teachers.prompt import INSTRUCTIONS, answer_form, prompt
from dsgen.pipeline.teachers.protocol import Teacher

STEPS = Derivation(
    (Node("given", (), 2), Node("given", (), 3), Node("add", (0, 1), 5)),
    (Step("Two and three are there.", -1), Step("Together that is 2 + 3 = 5.", 2)),
    answer=2,
)


def problem(answer: answers.Answer, derivation: Derivation | None = STEPS) -> Problem:
    lineage = Lineage("templates", "arithmetic/sum#0", "00", "00")
    parts = (Part("text", "How much is 2 + 3?"), Part("code", "2 + 3", "python"))
    return Problem(parts, answer, lineage, Tier.EXACT, "arithmetic", derivation=derivation)


def test_a_sentence_a_line_and_the_answer_last() -> None:
    assert render(problem(answers.Integer(5))) == (
        "Two and three are there.\nTogether that is 2 + 3 = 5.\nThe answer is \\boxed{5}."
    )


@pytest.mark.parametrize(
    ("answer", "boxed"),
    [
        (answers.Integer(-3, "dollars"), "\\boxed{-3}"),
        (answers.Rational(Fraction(3, 4)), "\\boxed{3/4}"),
        (answers.Boolean(False), "\\boxed{no}"),
        (answers.Text("Ana"), "\\boxed{Ana}"),
        (answers.Sequence((1, Fraction(1, 2))), "\\boxed{(1, 1/2)}"),
    ],
)
def test_the_box_holds_the_typed_answer(answer: answers.Answer, boxed: str) -> None:
    text = render(problem(answer))
    assert text is not None
    assert text.endswith(f"\nThe answer is {boxed}.")


async def test_the_teacher_answers_in_order_and_says_why_not() -> None:
    teacher = DerivationTeacher()
    assert isinstance(teacher, Teacher)
    assert teacher.slots == 0
    await teacher.start()
    told, untold, empty = await teacher.complete(
        [
            Request("a", (), n=2, problem=problem(answers.Integer(5))),
            Request("b", (), problem=problem(answers.Integer(5), None)),
            Request("c", ()),
        ]
    )
    await teacher.close()
    assert (told.request_id, len(told.completions), told.failure) == ("a", 2, None)
    assert told.completions[0].text.endswith("\\boxed{5}.")
    for reply, words in ((untold, "templates"), (empty, "no problem")):
        assert reply.completions == ()
        assert reply.failure is not None
        assert (reply.failure.reason, reply.failure.retryable) == ("no_derivation", False)
        assert words in reply.failure.detail


def test_a_prompt_has_instructions_statement_and_form() -> None:
    system, user = prompt(problem(answers.Integer(5)))
    assert (system.role, system.text) == ("system", INSTRUCTIONS)
    assert user.role == "user"
    assert user.text.startswith("How much is 2 + 3?\n\n```python\n2 + 3\n```\n\n")
    assert "\\boxed{}: a whole number, or a fraction" in user.text


def test_instructions_can_be_others_or_none() -> None:
    assert prompt(problem(answers.Integer(5)), "Be quick.")[0].text == "Be quick."
    assert [m.role for m in prompt(problem(answers.Integer(5)), "")] == ["user"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (answers.Rational(Fraction(3, 4), "m²"), "counted in m²"),
        (answers.Boolean(True), "\\boxed{yes} or \\boxed{no}"),
        (answers.Collection(frozenset({3})), "\\boxed{\\{1, 1/2\\}}"),
        (answers.Sequence((3, 4)), "(1, 1/2)"),
        (answers.Expression("x^2"), "expression"),
        (answers.Text("Ana"), "name or word"),
    ],
)
def test_each_kind_of_answer_has_its_form(answer: answers.Answer, words: str) -> None:
    assert words in answer_form(answer)


@pytest.mark.parametrize("kind", sorted(answers.KINDS))
def test_every_kind_has_a_form_of_its_own(kind: str) -> None:
    answer: Any = object.__new__(answers.KINDS[kind])
    assert answer_form(answer) != "the value alone"


def test_the_form_does_not_tell_whether_the_answer_is_whole() -> None:
    assert answer_form(answers.Integer(5)) == answer_form(answers.Rational(Fraction(3, 4)))
