"""How often does the inner line of two nested loops run?"""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TriangleLoop(Template):
    outer = Integer(6, 25, harder=(26, 90))
    inner = Integer(12, 60, harder=(91, 300))
    weight = Integer(2, 9, harder=(10, 60))
    start = Integer(2, 40, harder=(41, 500))

    facts = "Consider this Python program."
    question = "What does it print?"
    result_text = "The program prints {answer}."

    def where(self, outer: int, inner: int) -> bool:
        return outer < inner

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [
            f"count = {shown['start']}",
            f"for i in range({shown['outer']}):",
            f"    for j in range(i, {shown['inner']}):",
            f"        count += {shown['weight']}",
            "print(count)",
        ]
        return [Part("code", "\n".join(lines), "python")]

    def solve(self, t: Trace, outer: Quantity, inner: Quantity, weight: Quantity, start: Quantity) -> Quantity:
        t.say("For each i from 0 on, the inner loop runs from i up to, but not including, {inner}.")
        t.say("So for the first i it runs {inner} times, and once less for each further i.")
        last = t.step("For the last i it runs {} times.", inner - (outer - 1))
        runs = t.step(
            "The counts form an arithmetic series; in all that is {} times.",
            outer * (inner + last) / 2,
            role="op_count",
        )
        added = t.step("Each time {weight} is added, which makes {}.", runs * weight)
        return t.step("With the start value the program prints {}.", start + added)

    def check(self, outer: int, inner: int, weight: int, start: int) -> int:
        return start + weight * sum(len(range(i, inner)) for i in range(outer))
