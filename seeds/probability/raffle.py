"""The expected gain from a raffle ticket."""

from fractions import Fraction

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Raffle(Template):
    cause = Choice("school library", "village band", "animal shelter", "fire brigade", "youth club")
    tickets = Integer(100, 500, step=50, harder=(600, 4000))
    price = Integer(2, 5, unit="dollar", harder=(5, 20))
    grand = Integer(50, 200, step=10, unit="dollar", harder=(500, 3000))
    small_count = Integer(4, 15, harder=(16, 60))
    small = Integer(5, 15, unit="dollar", harder=(20, 60))

    facts = (
        "A raffle for the {cause} sells all its {tickets} tickets at {price} dollars each. One ticket wins the grand "
        "prize of {grand} dollars, {small_count} other tickets win {small} dollars each, and the rest win nothing."
    )
    question = (
        "What is the expected gain, in dollars, of somebody who buys one ticket: expected prize less price? "
        "Give an exact fraction; a loss is negative."
    )
    result_text = (
        "For somebody who buys one ticket, the expected gain (expected prize less price) is exactly {answer} dollars."
    )

    def where(self, tickets: int, price: int, grand: int, small_count: int, small: int) -> bool:
        return small_count * 2 < tickets and grand + small_count * small < tickets * price * 2 and small > price

    def solve(
        self, t: Trace, tickets: Quantity, price: Quantity, grand: Quantity, small_count: Quantity, small: Quantity
    ) -> Quantity:
        first = t.step("The grand prize adds {} to the expectation.", grand * (1 / tickets))
        others = t.step("The small prizes add {}.", small * (small_count / tickets))
        prize = t.step("So the expected prize is {}.", first + others, role="expectation")
        t.say("The price is paid in any case.")
        return t.step("The expected gain is {}.", prize - price, role="expectation")

    def check(self, tickets: int, price: int, grand: int, small_count: int, small: int) -> Fraction:
        # What all buyers together win and pay, shared among the tickets.
        return Fraction(grand + small_count * small - tickets * price, tickets)
