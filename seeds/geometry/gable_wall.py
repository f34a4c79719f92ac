"""The front wall of a house: a rectangle and a triangle, and the length of the roof."""

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

TRIPLES = (
    (3, 4, 5),
    (4, 3, 5),
    (12, 5, 13),
    (8, 6, 10),
    (15, 8, 17),
    (6, 8, 10),
    (12, 9, 15),
    (20, 15, 25),
    (24, 7, 25),
)


class GableWall(Template):
    owner = Name()
    shape = Choice(*range(9))
    wall = Integer(3, 12, unit="m", harder=(13, 40))
    paint = Integer(3, 20, unit="dollar/m^2", harder=(21, 90))
    trim = Integer(4, 30, unit="dollar/m", harder=(31, 120))
    width = Derived(lambda shape: 2 * TRIPLES[shape][0], unit="m")
    top = Derived(lambda shape, wall: wall + TRIPLES[shape][1], unit="m")

    facts = (
        "The front of {owner}'s barn is a rectangle {width} m wide and {wall} m high with a symmetric gable on it; the "
        "tip of the gable is {top} m above the ground. Painting the front costs {paint} dollars per square metre, and "
        "edging the two sloping sides of the gable costs {trim} dollars per metre."
    )
    question = "How many dollars do the paint and the edging cost together?"
    result_text = "The paint and the edging cost {answer} dollars together."

    def solve(
        self, t: Trace, width: Quantity, wall: Quantity, top: Quantity, paint: Quantity, trim: Quantity
    ) -> Quantity:
        box = t.step("The rectangle has an area of {}.", width * wall, role="area_split")
        rise = t.step("The gable is {} high.", top - wall)
        gable = t.step("As a triangle it has an area of {}.", width * rise / 2, role="area_split")
        colour = t.step("So the paint costs {}.", (box + gable) * paint)
        half = t.step("Half of the gable is a right triangle with a base of {}.", width / 2)
        square = t.step("The square of its sloping side is {}.", half**2 + rise**2, role="pythagoras")
        slope = t.step("So each sloping side is {} long.", t.apply("sqrt", square, unit="m"), role="pythagoras")
        edge = t.step("The edging costs {}.", 2 * slope * trim)
        return t.step("Together that is {}.", colour + edge)

    def check(self, width: int, wall: int, top: int, paint: int, trim: int) -> int:
        # The front is a rectangle as high as the wall and tip on average; the slope is found by trying.
        slope = next(s for s in range(width // 2, width + top) if 4 * s * s == width * width + 4 * (top - wall) ** 2)
        return width * (wall + top) * paint // 2 + slope * trim * 2
