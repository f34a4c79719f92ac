"""A recursive function that halves its argument: calls downwards, results upwards."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class HalvingRecursion(Template):
    start = Integer(9, 120, harder=(150, 2000), maskable=False)
    base = Integer(2, 9, harder=(10, 40))
    even = Integer(2, 9, harder=(10, 50))
    odd = Integer(2, 5, harder=(3, 9))

    facts = "Consider this Python program, in which // divides and rounds down."
    question = "What does it print?"
    result_text = "The program prints {answer}."

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [
            "def f(n):",
            "    if n <= 1:",
            f"        return {shown['base']}",
            "    if n % 2 == 0:",
            f"        return f(n // 2) + {shown['even']}",
            f"    return {shown['odd']} * f(n // 2)",
            "",
            f"print(f({shown['start']}))",
        ]
        return [Part("code", "\n".join(lines), "python")]

    def solve(self, t: Trace, start: Quantity, base: Quantity, even: Quantity, odd: Quantity) -> Quantity:
        calls = [start]
        while calls[-1].value > 1:
            calls.append(calls[-1] // 2)
        order = ", ".join(f"f({n})" for n in calls)
        t.say("Each call halves its argument and rounds down, so the calls are, in turn, {order}.", order=order)
        result = base
        t.say("The last call returns {base} at once. Now the results travel back.")
        for call in reversed(calls[:-1]):
            parity = "even" if call.value % 2 == 0 else "odd"
            value = result + even if parity == "even" else odd * result
            result = t.step("f({n}): {n} is {parity}, so it returns {}.", value, n=call, parity=parity)
        return result

    def check(self, start: int, base: int, even: int, odd: int) -> int:
        # From the top: the result is an affine function of the last call's result.
        factor, shift = 1, 0
        while start > 1:
            if start % 2:
                factor *= odd
            else:
                shift += factor * even
            start //= 2
        return factor * base + shift
