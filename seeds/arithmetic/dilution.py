"""Diluting a solution: the dissolved amount stays the same while water is added."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Dilution(Template):
    version = 2

    liquid = Choice(
        ("fruit syrup", "sugar"), ("antifreeze", "glycol"), ("cleaning concentrate", "soap"), ("acid cleaner", "acid")
    )
    amount = Integer(20, 600, unit="kg", harder=(601, 5000))
    strong = Integer(15, 80, step=5)
    weak = Integer(5, 40, step=5)

    facts = (
        "A factory has {amount} kg of {liquid[0]} that is {strong}% {liquid[1]} by weight. Pure water is stirred in "
        "until the mixture is {weak}% {liquid[1]} by weight."
    )
    question = "How many kilograms of water are added?"
    result_text = "The amount of water added is exactly {answer} kg."

    def where(self, amount: int, strong: int, weak: int) -> bool:
        added = amount * (strong - weak)
        return added > weak and added % weak == 0 and amount * strong % 100 == 0

    def solve(self, t: Trace, amount: Quantity, strong: Quantity, weak: Quantity) -> Quantity:
        pure = t.step(
            "The {liquid[0]} contains {} of {liquid[1]}, and adding water does not change that.",
            amount * strong / 100,
            role="percent_apply",
        )
        whole = t.step(
            "In the end this is {weak}% of the whole, so the mixture weighs {}.",
            pure * 100 / weak,
            role="percent_apply",
        )
        return t.step("The water added is the difference: {}.", whole - amount)

    def check(self, amount: int, strong: int, weak: int) -> int:
        # The lever rule: water (0 %) and solution balance about the final percentage.
        return amount * (strong - weak) // weak
