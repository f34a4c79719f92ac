"""Two draws without replacement: the probability of a match."""

from fractions import Fraction
from math import comb

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TwoSocks(Template):
    owner = Name()
    colours = Choice(("red", "blue"), ("black", "white"), ("green", "grey"), ("brown", "yellow"))
    ones = Integer(2, 14, harder=(15, 60))
    others = Integer(2, 14, harder=(15, 60))

    facts = (
        "A drawer holds {ones} {colours[0]} socks and {others} {colours[1]} socks, and nothing else. "
        "In the dark {owner} takes out two socks at random, one after the other."
    )
    question = "What is the probability that both have the same colour? Give an exact fraction."
    result_text = "The probability that both have the same colour is exactly {answer}."

    def where(self, ones: int, others: int) -> bool:
        return ones != others

    def solve(self, t: Trace, ones: Quantity, others: Quantity) -> Quantity:
        socks = t.step("The drawer holds {} socks.", ones + others)
        t.say("After the first sock there is one sock less in the drawer, and one less of its colour.")
        both = t.step(
            "Both are {colours[0]} with probability {}.", ones / socks * ((ones - 1) / (socks - 1)), role="prob_product"
        )
        neither = t.step(
            "Both are {colours[1]} with probability {}.",
            others / socks * ((others - 1) / (socks - 1)),
            role="prob_product",
        )
        t.say("The two cases exclude each other, so their probabilities are added.")
        return t.step("The probability of a match is {}.", both + neither, role="total_probability")

    def check(self, ones: int, others: int) -> Fraction:
        # Count unordered pairs instead.
        return Fraction(comb(ones, 2) + comb(others, 2), comb(ones + others, 2))
