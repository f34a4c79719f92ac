"""A loop with a branch over a list: what is added and what is not."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integer, Integers
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class KeepAndAdd(Template):
    version = 2

    values = Integers(2, 60, length=7, harder=(100, 999))
    divisor = Integer(3, 7, maskable=False)
    remainder = Choice(0, 1, 2)
    penalty = Integer(2, 9, harder=(10, 40))

    facts = "Consider this Python program."
    question = "What does it print?"
    result_text = "The program prints {answer}."

    def where(self, values: tuple[int, ...], divisor: int, remainder: int) -> bool:
        return 2 <= sum(v % divisor == remainder for v in values) <= 5

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [
            f"values = {list(shown['values'])}",
            "total = 0",
            "for v in values:",
            f"    if v % {shown['divisor']} == {shown['remainder']}:",
            "        total += v",
            "    else:",
            f"        total -= {shown['penalty']}",
            "print(total)",
        ]
        return [Part("code", "\n".join(lines), "python")]

    def solve(
        self, t: Trace, values: list[Quantity], divisor: Quantity, remainder: Quantity, penalty: Quantity
    ) -> Quantity:
        t.say("An entry is added if it leaves the remainder {remainder} on division by {divisor}.")
        kept = []
        for value in values:
            rest = t.state(value % divisor)
            if value.value % divisor.value == remainder.value:
                kept.append(value)
                t.say("{rest}, so {value} is added.", rest=rest, value=value)
            else:
                t.say("{rest}, so {penalty} is subtracted.", rest=rest)
        added = t.step("The entries added give {}.", t.apply("sum", *kept), role="filter")
        others = t.const(len(values) - len(kept))
        taken = t.step("For each of the others {penalty} is subtracted, in all {}.", others * penalty)
        return t.step("The program prints {}.", added - taken, role="aggregate")

    def check(self, values: tuple[int, ...], divisor: int, remainder: int, penalty: int) -> int:
        total = 0
        for v in values:
            if v % divisor == remainder:
                total += v
            else:
                total -= penalty
        return total
