"""Across a field instead of around it: the theorem of Pythagoras."""

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class AcrossTheField(Template):
    walker = Name()
    place = Choice("field", "market square", "airfield", "car park")
    large = Integer(2, 7, harder=(5, 12))
    small = Integer(1, 5, harder=(2, 11))
    scale = Integer(2, 14, harder=(3, 20))
    width = Derived(lambda large, small, scale: scale * (large * large - small * small), unit="m")
    length = Derived(lambda large, small, scale: scale * 2 * large * small, unit="m")

    facts = (
        "A rectangular {place} measures {width} m by {length} m. To get from one corner to the opposite one, {walker} "
        "walks straight across instead of along two of the sides."
    )
    question = "How many metres shorter is that?"

    def where(self, large: int, small: int, scale: int) -> bool:
        return small < large and scale * large * small > 20

    def solve(self, t: Trace, width: Quantity, length: Quantity) -> Quantity:
        around = t.step("Along two sides the way is {} long.", width + length)
        t.say("The diagonal is the hypotenuse of a right triangle with these sides.")
        square = t.step("The square of the diagonal is {}.", width**2 + length**2, role="pythagoras")
        across = t.step("So the diagonal measures {}.", t.apply("sqrt", square, unit="m"), role="pythagoras")
        return t.step("That is shorter by {}.", around - across)

    def check(self, width: int, length: int) -> int:
        # The saving s of a right triangle fulfils s^2 - 2 (a + b) s + 2 a b = 0: bisect for it below the shorter side.
        low, high = 0, min(width, length)
        while low < high:
            middle = (low + high) // 2
            if middle * middle - 2 * (width + length) * middle + 2 * width * length > 0:
                low = middle + 1
            else:
                high = middle
        return low
