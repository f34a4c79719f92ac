"""The angle between an altitude and an angle bisector: angle chasing in a triangle."""

from fractions import Fraction

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class AltitudeAndBisector(Template):
    version = 2

    points = Choice("ABCDE", "PQRST", "KLMNO", "FGHIJ")
    wide = Integer(59, 88, easier=(60, 80), unit="°")
    narrow = Integer(12, 58, easier=(30, 50), unit="°")

    facts = (
        "In triangle {points[0]}{points[1]}{points[2]}, the angle at {points[1]} is {wide}° and the smaller angle at "
        "{points[2]} is {narrow}°. The altitude from {points[0]} meets the opposite side at {points[3]}, and the "
        "bisector of the angle at {points[0]} meets it at {points[4]}."
    )
    question = "How many degrees is the angle {points[3]}{points[0]}{points[4]}?"
    result_text = "The angle {points[3]}{points[0]}{points[4]} is {answer}°."

    def where(self, wide: int, narrow: int) -> bool:
        return (wide - narrow) % 2 == 0

    def solve(self, t: Trace, wide: Quantity, narrow: Quantity) -> Quantity:
        t.say("The angles of the triangle add up to 180°.")
        top = t.step("The angle at {points[0]} is {}.", 180 - wide - narrow, role="angle_relation")
        half = t.step("The bisector makes an angle of {} with each of its sides.", top / 2, role="angle_relation")
        t.say("Triangle {points[0]}{points[1]}{points[3]} has a right angle at {points[3]}.")
        side = t.step(
            "So the altitude makes an angle of {} with side {points[0]}{points[1]}.", 90 - wide, role="angle_relation"
        )
        return t.step(
            "The angle between altitude and bisector is the difference, {}.", half - side, role="angle_relation"
        )

    def check(self, wide: int, narrow: int) -> Fraction:
        # The altitude and the circumradius lie symmetric about the bisector, wide - narrow apart.
        return Fraction(wide - narrow, 2)
