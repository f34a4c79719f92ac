"""Two remainders name one number: the Chinese remainder theorem, by substitution."""

from math import gcd

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TwoCongruences(Template):
    version = 2

    small = Integer(4, 12, easier=(3, 8), harder=(13, 40), maskable=False)
    left = Integer(2, 11, easier=(2, 7), harder=(2, 39))
    large = Integer(4, 15, easier=(5, 12), harder=(14, 50), maskable=False)
    over = Integer(2, 14, easier=(2, 11), harder=(2, 49))

    facts = (
        "A box holds fewer than {small} × {large} marbles. Shared into bags of {small}, {left} are left over; "
        "shared into bags of {large}, {over} are left over."
    )
    question = "How many marbles are in the box?"
    result_text = "The box holds {answer} marbles."

    def where(self, small: int, left: int, large: int, over: int) -> bool:
        return gcd(small, large) == 1 and left < small and over < large and left != over

    def solve(self, t: Trace, small: Quantity, left: Quantity, large: Quantity, over: Quantity) -> Quantity:
        t.say("The number is {left} + {small} × k for some whole number k.")
        t.say("It leaves the remainder {over} modulo {large}.")
        t.say("So {small} × k must leave the same remainder as {over} - {left} modulo {large}.")
        gap = t.step("The remainder of {over} - {left} is {}.", (over - left) % large, role="mod_reduce")
        inverse = t.step("The inverse of {small} modulo {large} is {}.", t.apply("modinv", small, large), role="modinv")
        t.step("Indeed {}.", small * inverse % large, role="verify")
        bags = t.step("Hence k = {}.", (gap * inverse) % large, role="mod_reduce")
        t.let("k", bags)
        return t.step("The box holds {} marbles.", left + small * bags, role="crt")

    def check(self, small: int, left: int, large: int, over: int) -> int:
        (number,) = (n for n in range(left, small * large, small) if n % large == over)
        return number
