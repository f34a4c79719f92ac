"""Independent failures: multiply, and use the complement."""

from fractions import Fraction

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class BackupSystems(Template):
    device = Choice(
        ("hospital", "emergency generator", "run"),
        ("lighthouse", "signal lamp", "shine"),
        ("museum", "alarm", "go off"),
        ("data centre", "cooling pump", "start"),
    )
    first = Integer(3, 20, harder=(21, 60))
    second_one = Integer(3, 20, harder=(21, 60))
    third = Integer(3, 20, harder=(21, 60))

    facts = (
        "A {device[0]} has three {device[1]}s that fail independently of each other. When needed, the first fails to "
        "{device[2]} once in {first} times on average, the second once in {second_one} times and the third once in "
        "{third} times."
    )
    question = (
        "What is the probability that, when needed, at least one of them works but not all three do? "
        "Give an exact fraction."
    )
    result_text = (
        "When needed, the probability that at least one of them works but not all three do is exactly {answer}."
    )

    def where(self, first: int, second_one: int, third: int) -> bool:
        return len({first, second_one, third}) == 3

    def solve(self, t: Trace, first: Quantity, second_one: Quantity, third: Quantity) -> Quantity:
        t.say("Independent events: the probabilities are multiplied.")
        none = t.step("All three fail with probability {}.", 1 / (first * second_one * third), role="prob_product")
        every = t.step(
            "All three work with probability {}.",
            (first - 1) * (second_one - 1) * (third - 1) / (first * second_one * third),
            role="prob_product",
        )
        t.say("What is asked for is everything else.")
        return t.step("Its probability is {}.", 1 - none - every)

    def check(self, first: int, second_one: int, third: int) -> Fraction:
        # Count cases: exactly one or exactly two fail, out of first × second × third equally likely ones.
        a, b, c = first - 1, second_one - 1, third - 1
        return Fraction(a * b + a * c + b * c + a + b + c, first * second_one * third)
