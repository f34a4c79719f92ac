"""The price of a fence around a rectangle whose length is told by comparison with its width."""

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class FencedGarden(Template):
    owner = Name()
    width = Integer(4, 60, unit="m", harder=(61, 900))
    extra = Integer(2, 30, unit="m", harder=(31, 400))
    price = Integer(3, 25, unit="dollar/m", harder=(26, 180))

    facts = (
        "{owner} has a rectangular garden that is {width} m wide. It is {extra} m longer than it is wide. "
        "A fence costs {price} dollars per metre."
    )
    question = "How many dollars does a fence around the whole garden cost?"
    result_text = "A fence around the whole garden costs {answer} dollars."

    def solve(self, t: Trace, width: Quantity, extra: Quantity, price: Quantity) -> Quantity:
        length = t.step("The garden is {} long.", width + extra, role="compare_relation")
        around = t.step("Walking once around it takes {}.", 2 * (width + length), role="perimeter")
        return t.step("The fence costs {}.", around * price)

    def check(self, width: int, extra: int, price: int) -> int:
        sides = [width, width + extra, width, width + extra]
        return sum(side * price for side in sides)
