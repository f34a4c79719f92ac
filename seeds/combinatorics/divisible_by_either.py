"""Numbers divisible by one of two numbers: inclusion and exclusion."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class DivisibleByEither(Template):
    setting = Choice(
        ("lockers in a corridor", "red", "green"),
        ("pages of a notebook", "blue", "yellow"),
        ("seats of a stadium block", "white", "black"),
    )
    top = Integer(80, 600, harder=(601, 4000))
    one = Integer(3, 12, harder=(6, 20))
    two = Integer(4, 15, harder=(8, 30))

    facts = (
        "The {setting[0]} are numbered from 1 to {top}. Each one whose number is divisible by {one} gets a "
        "{setting[1]} dot, and each one whose number is divisible by {two} gets a {setting[2]} dot."
    )
    question = "How many of them have at least one dot?"
    result_text = "Exactly {answer} of them have at least one dot."

    def where(self, one: int, two: int) -> bool:
        return one < two and two % one != 0

    def solve(self, t: Trace, top: Quantity, one: Quantity, two: Quantity) -> Quantity:
        reds = t.step("A {setting[1]} dot goes to {} of them.", top // one)
        greens = t.step("A {setting[2]} dot goes to {} of them.", top // two)
        common = t.step("Both dots are on the multiples of {}.", t.apply("lcm", one, two))
        both = t.step("Their number is {}.", top // common)
        t.say("Adding the first two counts takes those with both dots twice.")
        return t.step("So at least one dot is on {} of them.", reds + greens - both, role="inclusion_exclusion")

    def check(self, top: int, one: int, two: int) -> int:
        return len({*range(one, top + 1, one), *range(two, top + 1, two)})
