"""The floor of an L-shaped room: split it into two rectangles."""

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class CornerCutRoom(Template):
    version = 2

    owner = Name()
    length = Integer(6, 16, unit="m", harder=(17, 60))
    width = Integer(5, 14, unit="m", harder=(15, 50))
    cut_length = Integer(2, 9, unit="m", harder=(5, 40))
    cut_width = Integer(2, 9, unit="m", harder=(5, 30))
    price = Integer(8, 60, unit="dollar/m^2", harder=(40, 150))

    facts = (
        "{owner}'s shop would be a rectangle of {length} m by {width} m, but a rectangular stairwell has been taken "
        "out of one corner. The stairwell takes up {cut_length} m of the {length} m side and {cut_width} m of the "
        "{width} m side. New flooring for the L-shaped rest costs {price} dollars per square metre."
    )
    question = "How many dollars does the flooring cost?"
    result_text = "The flooring costs {answer} dollars."

    def where(self, length: int, width: int, cut_length: int, cut_width: int) -> bool:
        return length != width and cut_length < length - 1 and cut_width < width - 1

    def solve(
        self,
        t: Trace,
        length: Quantity,
        width: Quantity,
        cut_length: Quantity,
        cut_width: Quantity,
        price: Quantity,
    ) -> Quantity:
        t.say("Cut the L along the inner wall that is {cut_width} m long, into two rectangles.")
        rest = t.step("Beside the stairwell, a piece of {} of the length remains.", length - cut_length)
        full = t.step(
            "Beside the stairwell the shop has its full width, and an area of {}.", rest * width, role="area_split"
        )
        narrow = t.step("In front of the stairwell, the width of the shop is {}.", width - cut_width)
        strip = t.step("The part in front of the stairwell has an area of {}.", cut_length * narrow, role="area_split")
        area = t.step("Together that is {}.", full + strip)
        return t.step("The flooring costs {}.", area * price)

    def check(self, length: int, width: int, cut_length: int, cut_width: int, price: int) -> int:
        return (length * width - cut_length * cut_width) * price
