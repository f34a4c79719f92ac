"""Reading a loop: what a short program prints, followed round by round."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class LoopTrace(Template):
    start = Integer(0, 40, harder=(41, 400))
    rounds = Integer(3, 6, harder=(7, 12), maskable=False)
    factor = Integer(2, 5, harder=(6, 12))
    modulus = Integer(7, 60, harder=(61, 500))

    facts = "Consider this Python program."
    question = "What does it print?"
    result_text = "The program prints {answer}."

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [
            f"total = {shown['start']}",
            f"for i in range(1, {shown['rounds']} + 1):",
            f"    total = (total * {shown['factor']} + i) % {shown['modulus']}",
            "print(total)",
        ]
        return [Part("code", "\n".join(lines), "python")]

    def solve(self, t: Trace, start: Quantity, rounds: Quantity, factor: Quantity, modulus: Quantity) -> Quantity:
        t.say("`total` begins at {start}.")
        total = start
        for i in range(1, rounds.value + 1):
            total = t.step(f"Round {i}: `total` becomes {{}}.", (total * factor + i) % modulus, role="loop_step")
        return total

    def check(self, start: int, rounds: int, factor: int, modulus: int) -> int:
        # Unrolled: every round's addend is multiplied by the factor once for each later round.
        grown = start * factor**rounds + sum(i * factor ** (rounds - i) for i in range(1, rounds + 1))
        return int(grown % modulus)
