"""The last digit of a power: the digits repeat in a cycle."""

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class LastDigit(Template):
    base = Integer(12, 99, harder=(102, 9999))
    exponent = Integer(15, 400, harder=(1001, 99999))

    facts = "Let N = {base}^{exponent}."
    question = "What is the last digit of N?"

    def where(self, base: int) -> bool:
        return base % 10 not in (0, 1, 5, 6)

    def solve(self, t: Trace, base: Quantity, exponent: Quantity) -> Quantity:
        last = t.step("Only the last digit of the base matters: {}.", base % 10, role="mod_reduce")
        powers = [last]
        t.say("Multiply by {last} again and again and keep the last digit each time.", last=last)
        while (digit := powers[-1] * last % 10).value != last.value:
            powers.append(t.step("{last}^{n} ends in {}.", digit, n=len(powers) + 1, last=last))
        length = t.apply("count", *powers)
        t.step("The next one ends in {last} again, so the last digits repeat with period {}.", length, last=last)
        place = t.step("Dividing the exponent by the period leaves {}.", exponent % length, role="mod_reduce")
        if place.value == 0:
            t.say("The exponent is a multiple of the period, so N ends like {last}^{length}.", last=last, length=length)
        else:
            t.say("So N ends like {last}^{place}.", last=last, place=place)
        answer = t.apply("item", t.apply("tuple", *powers), (place - 1) % length, role="cycle_find")
        return t.step("Hence N ends in {}.", answer, role="cycle_find")

    def check(self, base: int, exponent: int) -> int:
        return pow(base, exponent, 10)
