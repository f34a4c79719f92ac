"""Two kinds of things, counted by heads and by legs: a system solved by substitution."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

KINDS = {
    "farm": ("animals", "legs", "goats", 4, "hens", 2),
    "zoo": ("animals", "legs", "spiders", 8, "beetles", 6),
    "furniture shop": ("seats", "legs", "chairs", 4, "stools", 3),
    "car park": ("vehicles", "wheels", "cars", 4, "motorcycles", 2),
    "toy shop": ("vehicles", "wheels", "trucks", 6, "tricycles", 3),
}


class HeadsAndWheels(Template):
    place = Choice(*KINDS)
    large = Integer(3, 40, harder=(41, 300))
    small = Integer(3, 40, harder=(41, 300))
    all = Derived(lambda place: KINDS[place][0])
    part = Derived(lambda place: KINDS[place][1])
    one = Derived(lambda place: KINDS[place][2])
    other = Derived(lambda place: KINDS[place][4])
    many = Derived(lambda place: KINDS[place][3])
    few = Derived(lambda place: KINDS[place][5])
    heads = Derived(lambda large, small: large + small)
    total = Derived(lambda large, small, many, few: many * large + few * small)

    facts = (
        "At a {place} there are {heads} {all}: {one} with {many} {part} each and {other} with {few} {part} each. "
        "Together they have {total} {part}."
    )
    question = "How many {one} are there?"

    def solve(self, t: Trace, heads: Quantity, total: Quantity, many: Quantity, few: Quantity) -> Quantity:
        t.say("Let n be the number of {one}. The others are {heads} - n {other}.")
        t.say("Counting {part} gives {many} × n + {few} × ({heads} - n) = {total}.")
        least = t.step("If all were {other}, there would be {} {part}.", few * heads, role="substitute_var")
        rest = t.step("So {} {part} remain to be explained.", total - least)
        each = t.step("Each of the {one} has more {part} than one of the {other}, by {}.", many - few)
        count = t.step("Hence n = {}.", rest / each, role="solve_linear")
        t.let("n", count)
        others = t.step("The number of {other} is then {}.", heads - count, role="substitute_var")
        t.step("As a check, count the {part}: {}.", many * count + few * others, role="verify")
        return t.step("There are {} {one}.", count)

    def check(self, heads: int, total: int, many: int, few: int) -> int:
        (count,) = (n for n in range(heads + 1) if many * n + few * (heads - n) == total)
        return count
