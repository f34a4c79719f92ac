"""The area of a quadrilateral from the coordinates of its corners."""

from fractions import Fraction

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Shoelace(Template):
    ax = Integer(1, 9, harder=(5, 40))
    ay = Integer(1, 9, harder=(5, 40))
    bx = Integer(1, 9, harder=(5, 40))
    by = Integer(1, 9, harder=(5, 40))
    cx = Integer(1, 9, harder=(5, 40))
    cy = Integer(1, 9, harder=(5, 40))
    dx = Integer(1, 9, harder=(5, 40))
    dy = Integer(1, 9, harder=(5, 40))

    facts = (
        "The corners of a quadrilateral are, in this order, "
        "A({ax}, {ay}), B(-{bx}, {by}), C(-{cx}, -{cy}) and D({dx}, -{dy})."
    )
    question = "What is its area, in square units?"
    result_text = "Its area is {answer} square units."

    def solve(
        self,
        t: Trace,
        ax: Quantity,
        ay: Quantity,
        bx: Quantity,
        by: Quantity,
        cx: Quantity,
        cy: Quantity,
        dx: Quantity,
        dy: Quantity,
    ) -> Quantity:
        t.say("The corners run counterclockwise, so the shoelace formula gives twice the area.")
        corners = [("A", ax, ay), ("B", -bx, by), ("C", -cx, -cy), ("D", dx, -dy)]
        terms = []
        for (one, x, y), (two, u, v) in zip(corners, corners[1:] + corners[:1], strict=True):
            terms.append(t.step("From {one} to {two}: {}.", x * v - u * y, role="place_coordinates", one=one, two=two))
        twice = t.step("Together: {}.", t.apply("sum", *terms))
        return t.step("The area is half of that, {} square units.", twice / 2, role="place_coordinates")

    def check(self, ax: int, ay: int, bx: int, by: int, cx: int, cy: int, dx: int, dy: int) -> Fraction:
        # Trapezia between each side and a line below the figure.
        base = cy + dy
        xs, ys = (ax, -bx, -cx, dx), (ay + base, by + base, base - cy, base - dy)
        return Fraction(sum((xs[i - 1] - xs[i]) * (ys[i - 1] + ys[i]) for i in range(4)), 2)
