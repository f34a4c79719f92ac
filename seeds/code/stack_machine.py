"""A stack worked by a few instructions: last in, first out."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace

PROGRAMS = (
    "ab+c*d-",
    "abc+*d-",
    "ab*c+d-",
    "abcd+-*",
    "ab+cd-*",
    "abc*+d*",
    "ab*cd*-",
    "abc-d+*",
    "abcd*-+",
    "ab-c*d+",
)
SIGNS = {"+": ("add", "ADD"), "-": ("sub", "SUB"), "*": ("mul", "MUL")}


class StackMachine(Template):
    program = Choice(*PROGRAMS)
    a = Integer(2, 20, harder=(21, 99))
    b = Integer(2, 20, harder=(21, 99))
    c = Integer(2, 12, harder=(13, 60))
    d = Integer(2, 30, harder=(31, 120))

    facts = (
        "A stack machine starts with an empty stack. PUSH n puts the number n on top. ADD, SUB and MUL take the two "
        "topmost numbers off and put back their sum, their difference (the lower number minus the top one) or their "
        "product. This program is run:"
    )
    question = "Which number is left on the stack?"
    result_text = "The number left on the stack is {answer}."

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [f"PUSH {shown[c]}" if c in "abcd" else SIGNS[c][1] for c in shown["program"]]
        return [Part("code", "\n".join(lines), "text")]

    def solve(self, t: Trace, program: str, a: Quantity, b: Quantity, c: Quantity, d: Quantity) -> Quantity:
        numbers = {"a": a, "b": b, "c": c, "d": d}
        stack: list[Quantity] = []
        for sign in program:
            if sign in numbers:
                stack.append(numbers[sign])
                continue
            before = _show(stack)
            top, low = stack.pop(), stack.pop()
            op, word = SIGNS[sign]
            result = t.binary(op, low, top)
            stack.append(result)
            sentence = "The stack holds {before} when {word} is reached, which puts back {}."
            t.step(sentence, result, role="ds_op", before=before, word=word)
        return t.step("So {} is left.", stack[0])

    def check(self, program: str, a: int, b: int, c: int, d: int) -> int:
        # From the last instruction backwards, as a formula in front notation.
        numbers, rest = {"a": a, "b": b, "c": c, "d": d}, list(program)

        def value() -> int:
            sign = rest.pop()
            if sign in numbers:
                return numbers[sign]
            top, low = value(), value()
            return low + top if sign == "+" else low - top if sign == "-" else low * top

        return value()


def _show(stack: list[Quantity]) -> str:
    return ", ".join(str(q) for q in stack)
