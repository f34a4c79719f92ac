"""Taking some things from a box: a probability by counting selections."""

from fractions import Fraction

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class GoodOnesOnly(Template):
    player = Name()
    goods = Choice(("eggs", "rotten"), ("bulbs", "broken"), ("batteries", "empty"), ("pens", "dry"))
    total = Integer(8, 24, harder=(25, 60))
    bad = Integer(2, 8, harder=(5, 20))
    taken = Integer(2, 4, harder=(3, 6))

    facts = (
        "Among {total} {goods[0]} in a box, {bad} are {goods[1]}. Without looking, {player} takes {taken} of the "
        "{goods[0]} at once; every choice is equally likely."
    )
    question = "What is the probability that none of those taken is {goods[1]}? Give an exact fraction."
    result_text = "The probability that none of those taken is {goods[1]} is exactly {answer}."

    def where(self, total: int, bad: int, taken: int) -> bool:
        return bad + taken < total and 2 * bad < total

    def solve(self, t: Trace, total: Quantity, bad: Quantity, taken: Quantity) -> Quantity:
        good = t.step("The number of {goods[0]} that are not {goods[1]} is {}.", total - bad)
        every = t.step("There are {} ways to take {taken} from the box.", t.apply("binom", total, taken))
        wanted = t.step("In {} of them only good ones are taken.", t.apply("binom", good, taken))
        return t.step("The probability is {}.", wanted / every, role="prob_ratio")

    def check(self, total: int, bad: int, taken: int) -> Fraction:
        # One after the other.
        chance = Fraction(1)
        for k in range(taken):
            chance *= Fraction(total - bad - k, total - k)
        return chance
