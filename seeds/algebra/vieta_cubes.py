"""The sum of the cubes of two roots, without finding the roots."""

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class VietaCubes(Template):
    total = Integer(5, 60, harder=(61, 400))
    product = Integer(2, 90, harder=(91, 900))

    facts = "Two real numbers r and s are the roots of the equation z^2 - {total} × z + {product} = 0."
    question = "What is the value of r^3 + s^3?"
    result_text = "It is known that r^3 + s^3 is equal to {answer}."

    def where(self, total: int, product: int) -> bool:
        return total * total > 4 * product

    def solve(self, t: Trace, total: Quantity, product: Quantity) -> Quantity:
        t.say("By Vieta, the sum of the roots is {total} and their product is {product}.")
        t.say("The square of the sum is the sum of the squares plus twice the product.")
        squares = t.step("So the sum of the squares is {}.", total**2 - 2 * product, role="vieta")
        t.say("The sum times the sum of the squares is the sum of the cubes plus the product times the sum.")
        left = t.step("That product of sums is {}.", total * squares)
        mixed = t.step("The part to take away is {}.", product * total)
        return t.step("So the sum of the cubes is {}.", left - mixed, role="vieta")

    def check(self, total: int, product: int) -> int:
        # Power sums of roots are traces of the companion matrix's powers.
        a, b, c, d = 0, -product, 1, total
        p, q, r, s = a, b, c, d
        for _ in range(2):
            p, q, r, s = p * a + q * c, p * b + q * d, r * a + s * c, r * b + s * d
        return p + s
