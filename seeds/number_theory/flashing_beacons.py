"""Beacons that flash at different intervals: a least common multiple, two intervals at a time."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class FlashingBeacons(Template):
    version = 2

    place = Choice("harbour", "lake", "reef", "bay")
    first = Integer(4, 14, unit="s", harder=(9, 30))
    second_one = Integer(6, 20, unit="s", harder=(12, 45))
    third = Integer(8, 30, unit="s", harder=(15, 60))

    facts = (
        "Three beacons of a {place} have just flashed at the same moment. From now on, the first flashes every {first} "
        "seconds, the second every {second_one} seconds and the third every {third} seconds."
    )
    question = "After how many seconds do all three flash at the same moment again for the first time?"
    result_text = "After {answer} seconds all three flash at the same moment again for the first time."

    def where(self, first: int, second_one: int, third: int) -> bool:
        return first < second_one < third and third % second_one > 0 and second_one % first > 0

    def solve(self, t: Trace, first: Quantity, second_one: Quantity, third: Quantity) -> Quantity:
        t.say("A beacon flashes whenever the time passed is a multiple of its interval.")
        t.say("So the least common multiple is wanted.")
        t.say("For two numbers it is their product divided by their greatest common divisor.")
        common = t.step(
            "The first two intervals have the greatest common divisor {}.", t.apply("gcd", first, second_one)
        )
        both = t.step("So the first two beacons flash together every {}.", first * (second_one / common), role="lcm")
        rest = t.step(
            "This time and the third interval have the greatest common divisor {}.", t.apply("gcd", both, third)
        )
        return t.step("So all three flash together again after {}.", both * (third / rest), role="lcm")

    def check(self, first: int, second_one: int, third: int) -> int:
        seconds = third
        while seconds % second_one or seconds % first:
            seconds += third
        return seconds
