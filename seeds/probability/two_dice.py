"""The sum of two unequal dice: count the favourable pairs."""

from fractions import Fraction

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TwoDice(Template):
    version = 2

    player = Name()
    small = Integer(4, 12, harder=(10, 20))
    large = Integer(6, 20, harder=(12, 30))
    total = Integer(5, 28, harder=(12, 48))

    facts = (
        "{player} rolls two fair dice. One has {small} faces numbered from 1 to {small}, the other has {large} faces "
        "numbered from 1 to {large}. {player} hopes that the numbers rolled add up to exactly {total}."
    )
    question = "What is the probability that this happens? Give an exact fraction."

    result_text = "The probability that this happens is exactly {answer}."

    def where(self, small: int, large: int, total: int) -> bool:
        return small < large and small < total - 1 and total < small + large

    def solve(self, t: Trace, small: Quantity, large: Quantity, total: Quantity) -> Quantity:
        pairs = t.step("There are {} equally likely pairs.", small * large, role="count_product")
        t.say(
            "The number on the small die settles what the large one must show, which has to lie between 1 and {large}."
        )
        least = t.apply("max", 1, total - large)
        least = t.step("So the small die shows at least {}.", least)
        most = t.step("The small die shows at most {}.", t.apply("min", small, total - 1))
        good = t.step("The number of favourable pairs is {}.", most - least + 1)
        return t.step("The probability is {}.", good / pairs, role="prob_ratio")

    def check(self, small: int, large: int, total: int) -> Fraction:
        good = [total - a for a in range(1, small + 1) if 1 <= total - a <= large]
        return Fraction(len(good), small * large)
