"""A prize shared in a given ratio."""

from dsgen.pipeline.core.space import Choice, Integer, Names
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class SharedPrize(Template):
    version = 2

    people = Names(3)
    cause = Choice("painted a fence", "ran a market stall", "dug a pond", "translated a brochure", "repaired a roof")
    one = Integer(2, 9, unit="h", harder=(11, 40))
    two = Integer(2, 9, unit="h", harder=(11, 40))
    three = Integer(2, 9, unit="h", harder=(11, 40))
    wage = Integer(6, 40, harder=(41, 150))
    total = Derived(lambda one, two, three, wage: (one + two + three) * wage, unit="dollar")

    facts = (
        "{people[0]}, {people[1]} and {people[2]} {cause} together. They worked {one}, {two} and {three} hours, in "
        "this order, and share the {total} dollars that they got for it in the ratio of their hours."
    )
    question = "How many dollars more does the one with the largest share get than the one with the smallest?"

    def where(self, one: int, two: int, three: int) -> bool:
        return len({one, two, three}) == 3

    def solve(self, t: Trace, one: Quantity, two: Quantity, three: Quantity, total: Quantity) -> Quantity:
        hours = t.step("Together they worked {}.", t.apply("sum", one, two, three))
        per_hour = t.step("So the pay is {}.", total / hours, role="ratio_split")
        most = t.step("The largest share belongs to {} of work.", t.apply("max", one, two, three))
        least = t.step("The smallest belongs to {}.", t.apply("min", one, two, three))
        large = t.step("The largest share is {}.", most * per_hour, role="ratio_split")
        small = t.step("The smallest share is {}.", least * per_hour, role="ratio_split")
        return t.step("The difference is {}.", large - small)

    def check(self, one: int, two: int, three: int, total: int) -> int:
        # The shares as fractions of the whole, without the value of an hour.
        hours = sorted((one, two, three))
        return total * (hours[2] - hours[0]) // sum(hours)
