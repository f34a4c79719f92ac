"""Mean and median after one entry of a table has been corrected."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integer, Integers
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.tables._markdown import table

PUPILS = ("Ada", "Ben", "Cem", "Dora", "Ewa", "Finn", "Gita")


class CorrectedMark(Template):
    version = 2

    family = "data"

    marks = Integers(12, 60, length=7, harder=(100, 999))
    pupil = Choice(*PUPILS)
    new = Integer(12, 60, harder=(100, 999))
    ask = Choice("mean", "median")
    old = Derived(lambda marks, pupil: marks[PUPILS.index(pupil)])

    facts = (
        "Seven pupils took a test. The table shows the points that they were given at first. On a second look, the "
        "points of {pupil} are changed to {new}."
    )
    question = (
        "By how many points does the {ask} of all seven change? Count a rise as positive and a fall as negative, and "
        "give an exact value."
    )
    result_text = "With this, the {ask} of all seven changes by exactly {answer}, where a fall would count as negative."

    def where(self, marks: tuple[int, ...], pupil: str, new: int, ask: str) -> bool:
        place = PUPILS.index(pupil)
        if ask == "mean":
            return marks[place] != new
        middle = sorted(marks)[3]
        return (marks[place] - middle) * (new - middle) < 0

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        return [table(["Pupil", "Points"], zip(PUPILS, shown["marks"], strict=True))]

    def solve(self, t: Trace, marks: list[Quantity], pupil: str, new: Quantity, ask: str, old: Quantity) -> Quantity:
        place = PUPILS.index(pupil)
        if ask == "mean":
            change = t.step("The points of {pupil} change by {}.", new - marks[place], role="table_lookup")
            t.say("All other entries stay, so the sum of all points changes by just as much.")
            return t.step("The mean is the sum divided by 7, so it changes by {}.", change / 7, role="stat_update")
        before = t.apply("sorted", *marks)
        t.step("In order of size, the points at first are {}.", before)
        first = t.step("The median is the fourth of the seven: {}.", t.apply("item", before, 3), role="median")
        after = t.apply("sorted", *[new if i == place else m for i, m in enumerate(marks)])
        t.step("With {old} replaced by {new} they are {}.", after)
        second = t.step("Now the fourth is {}.", t.apply("item", after, 3), role="median")
        return t.step("So the median changes by {}.", second - first, role="stat_update")

    def check(self, marks: tuple[int, ...], pupil: str, new: int, ask: str) -> Fraction:
        edited = list(marks)
        edited[PUPILS.index(pupil)] = new
        if ask == "mean":
            return Fraction(sum(edited), 7) - Fraction(sum(marks), 7)
        return Fraction(_middle(edited) - _middle(marks))


def _middle(marks: Sequence[int]) -> int:
    """The entry that three others stand below and three above."""
    return next(m for m in marks if sum(x < m for x in marks) <= 3 <= sum(x <= m for x in marks) - 1)
