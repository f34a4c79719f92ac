"""What a model is asked: the statement, and the form in which the final answer must stand."""

from __future__ import annotations

from dsgen.pipeline.core.answers import Answer
from dsgen.pipeline.core.candidate import Message
from dsgen.pipeline.core.problem import Problem

INSTRUCTIONS = (
    "You solve problems with care. Work step by step, state every equation that you use, and check the result. "
    "Finish with one line that holds the final answer, and nothing but it, in \\boxed{}."
)
"""The default system turn."""

# A hint depends on the kind of the answer alone, never on its value. Integers and fractions share theirs: told apart,
# the hint would give away whether the answer is a whole number.
_NUMBER = "a whole number, or a fraction in lowest terms such as \\boxed{3/4}"
_FORMS = {
    "integer": _NUMBER,
    "rational": _NUMBER,
    "boolean": "\\boxed{yes} or \\boxed{no}",
    "string": "the name or word alone, as the problem spells it",
    "tuple": "a tuple in the order asked for, such as \\boxed{(1, 1/2)}",
    "set": "a set with all its members, such as \\boxed{\\{1, 1/2\\}}",
    "expression": "an expression in simplest form, in LaTeX",
}


def answer_form(answer: Answer) -> str:
    """In which form the final answer must stand, without a word about what it is."""
    form = _FORMS.get(answer.kind, "the value alone")
    unit = getattr(answer, "unit", "")
    return f"{form}; it is counted in {unit}, and the unit stays outside the box" if unit else form


def prompt(problem: Problem, instructions: str | None = None) -> tuple[Message, ...]:
    """The turns of a problem: instructions and statement.

    ``None`` stands for :data:`INSTRUCTIONS`; empty instructions leave the system turn out, as some reasoning models
    want it. The user turn always ends with the form of the answer, whatever the instructions say.
    """
    form = f"Give the final answer in \\boxed{{}}: {answer_form(problem.answer)}."
    user = Message("user", f"{problem.statement}\n\n{form}")
    if instructions is None:
        instructions = INSTRUCTIONS
    return (Message("system", instructions), user) if instructions else (user,)
