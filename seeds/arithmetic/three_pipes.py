"""Two pipes fill a tank while a drain empties it: rates of work are added and subtracted."""

from fractions import Fraction
from math import lcm

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class ThreePipes(Template):
    tank = Choice("water tank", "swimming pool", "cistern", "fish pond")
    fast = Integer(2, 24, step=2, harder=(12, 40))
    slow = Integer(3, 36, step=3, harder=(42, 78))
    drain = Integer(6, 60, step=6, harder=(84, 150))

    facts = (
        "One pipe alone fills an empty {tank} in {fast} hours, and a second pipe alone fills it in {slow} hours. "
        "The drain alone empties the full {tank} in {drain} hours."
    )
    question = (
        "The {tank} is empty. Both pipes and the drain are opened. After how many hours is it full? "
        "Give the exact value, as a fraction if need be."
    )
    result_text = "When it is empty and both pipes and the drain are opened, it is full after exactly {answer} hours."

    def where(self, fast: int, slow: int, drain: int) -> bool:
        return fast < slow < drain

    def solve(self, t: Trace, fast: Quantity, slow: Quantity, drain: Quantity) -> Quantity:
        t.say(
            "In one hour the pipes fill 1/{fast} and 1/{slow} of the {tank}, and the drain takes out 1/{drain} of it."
        )
        inflow = t.step("Together the pipes fill {} of it in an hour.", 1 / fast + 1 / slow, role="rate_sum")
        net = t.step("With the drain open, {} of it is gained in an hour.", inflow - 1 / drain, role="rate_sum")
        return t.step("To fill the whole {tank} takes {}.", t.apply("div", 1, net, unit="h"), role="rate_apply")

    def check(self, fast: int, slow: int, drain: int) -> Fraction:
        # A tank of so many litres that every flow is a whole number of litres per hour.
        litres = lcm(fast, slow, drain)
        return Fraction(litres, litres // fast + litres // slow - litres // drain)
