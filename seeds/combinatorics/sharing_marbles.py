"""Sharing equal marbles so that everybody gets a minimum: stars and bars."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class SharingMarbles(Template):
    version = 2

    things = Choice("marbles", "stickers", "walnuts", "gold coins", "balloons")
    total = Integer(12, 60, harder=(61, 150))
    children = Integer(3, 6, harder=(4, 8))
    least = Integer(2, 5, harder=(3, 9))

    facts = (
        "A teacher shares out {total} identical {things} among {children} children, "
        "so that each child gets at least {least} of them."
    )
    question = "In how many ways can this be done, if it only matters how many each child gets?"
    result_text = "This can be done in {answer} ways, if it only matters how many each child gets."

    def where(self, total: int, children: int, least: int) -> bool:
        return children * least + 1 < total

    def solve(self, t: Trace, total: Quantity, children: Quantity, least: Quantity) -> Quantity:
        fixed = t.step("Give every child the minimum first; that takes {} {things}.", children * least)
        free = t.step("The other {} can go to anybody.", total - fixed)
        bars = t.step("Lay the rest in a row; {} bars divide the row into the children's shares.", children - 1)
        places = t.step("With the bars there are {} places.", free + bars)
        t.say("A way of sharing is a choice of the places where the bars stand.")
        return t.step("The number of choices is {}.", t.apply("binom", places, bars), role="stars_bars")

    def check(self, total: int, children: int, least: int) -> int:
        # One child after the other: ways[n] is the number of ways to have given away n so far.
        ways = [1] + [0] * total
        for _ in range(children):
            running, after = 0, [0] * (total + 1)
            for given in range(least, total + 1):
                running += ways[given - least]
                after[given] = running
            ways = after
        return ways[total]
