"""Arranging letter tiles of which some are alike: permutations with repeats."""

from math import comb, factorial

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class LetterTiles(Template):
    version = 2

    owner = Name()
    letters = Choice(("A", "K"), ("E", "N"), ("O", "T"), ("I", "S"), ("U", "R"), ("B", "D"))
    some = Integer(2, 5, harder=(4, 9))
    others = Integer(2, 5, harder=(3, 8))
    single = Integer(2, 4, harder=(3, 7))

    facts = (
        "{owner} has {some} tiles with the letter {letters[0]}, {others} tiles with the letter {letters[1]} and "
        "{single} further tiles, each with another letter that occurs only once. Tiles with the same letter look alike."
    )
    question = "In how many different ways can {owner} lay all the tiles in a row?"
    result_text = "All the tiles can be laid in a row in {answer} different ways."

    def where(self, some: int, others: int) -> bool:
        return some != others

    def solve(self, t: Trace, some: Quantity, others: Quantity, single: Quantity) -> Quantity:
        tiles = t.step("There are {} tiles.", t.apply("sum", some, others, single))
        orders = t.step("If all were different, they could be laid in {} ways.", t.apply("factorial", tiles))
        t.say("Exchanging equal tiles among themselves changes nothing.")
        first = t.step("The tiles with {letters[0]} can be exchanged in {} ways.", t.apply("factorial", some))
        second = t.step("The tiles with {letters[1]} can be exchanged in {} ways.", t.apply("factorial", others))
        alike = t.step("So each row has been counted {} times.", first * second)
        return t.step("The number of different rows is {}.", orders / alike, role="multinomial")

    def check(self, some: int, others: int, single: int) -> int:
        # Choose places for the first letter, then for the second, then order the rest.
        places = some + others + single
        return comb(places, some) * comb(places - some, others) * factorial(single)
