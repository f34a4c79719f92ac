"""Committees with at least one member of a group: count the complement."""

from math import comb

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Committee(Template):
    version = 2

    groups = Choice(
        ("teachers", "parents", "school board"),
        ("violinists", "cellists", "programme committee"),
        ("nurses", "doctors", "hospital council"),
        ("pilots", "engineers", "safety panel"),
        ("authors", "editors", "prize jury"),
    )
    few = Integer(2, 12, harder=(8, 25))
    many = Integer(5, 16, harder=(17, 40))
    size = Integer(3, 6, harder=(4, 7))

    facts = (
        "A {groups[2]} of {size} people is chosen from {few} {groups[0]} and {many} {groups[1]}. "
        "At least one of the {groups[0]} must be on it."
    )
    question = "In how many ways can it be chosen?"
    result_text = "It can be chosen in {answer} ways."

    def where(self, many: int, size: int) -> bool:
        return size <= many

    def solve(self, t: Trace, few: Quantity, many: Quantity, size: Quantity) -> Quantity:
        people = t.step("There are {} people to choose from.", few + many)
        every = t.step("Without the condition there are {} choices.", t.apply("binom", people, size))
        without = t.step("The number of choices of {groups[1]} only is {}.", t.apply("binom", many, size))
        t.say("All other choices have at least one of the {groups[0]}.")
        return t.step("That leaves {} ways.", every - without, role="count_complement")

    def check(self, few: int, many: int, size: int) -> int:
        return sum(comb(few, k) * comb(many, size - k) for k in range(1, min(few, size) + 1))
