"""The remainder of a polynomial on division by a linear one: Horner's scheme and the remainder theorem."""

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class PolynomialRemainder(Template):
    cube = Integer(2, 9, harder=(10, 40))
    square = Integer(2, 15, harder=(10, 60))
    linear = Integer(2, 30, harder=(20, 120))
    constant = Integer(2, 60, harder=(30, 500))
    point = Integer(2, 7, harder=(5, 15))

    facts = (
        "The polynomial P is given by P(z) = {cube} × z^3 - {square} × z^2 + {linear} × z - {constant}. "
        "It is divided by z - {point}."
    )
    question = "What is the remainder?"
    result_text = "The remainder is {answer}."

    def solve(
        self, t: Trace, cube: Quantity, square: Quantity, linear: Quantity, constant: Quantity, point: Quantity
    ) -> Quantity:
        t.say(
            "By the remainder theorem the remainder is P({point}). Horner's scheme finds it coefficient by coefficient."
        )
        head = t.step("From the first two coefficients: {}.", cube * point - square, role="poly_div")
        body = t.step("With the third: {}.", head * point + linear, role="poly_div")
        return t.step("With the last, the remainder is {}.", body * point - constant, role="poly_eval_root")

    def check(self, cube: int, square: int, linear: int, constant: int, point: int) -> int:
        return cube * point**3 - square * point**2 + linear * point - constant
