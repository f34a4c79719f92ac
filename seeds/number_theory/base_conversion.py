"""Writing a number in another base by repeated division."""

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class BaseConversion(Template):
    number = Integer(60, 5000, harder=(5001, 900000))
    base = Integer(3, 9)

    facts = "The decimal number {number} is to be written in base {base}."
    question = "What does it look like in base {base}?"
    result_text = "Written in that base, it is {answer}."

    def where(self, number: int, base: int) -> bool:
        return base**3 <= number < base**8

    def solve(self, t: Trace, number: Quantity, base: Quantity) -> Quantity:
        t.say("Divide by {base} again and again; the remainders are the digits, from the last to the first.")
        digits: list[Quantity] = []
        rest = number
        while rest.value >= base.value:
            digit, quotient = rest % base, rest // base
            sentence = "The quotient is {whole}, and the remainder is {}."
            digits.append(t.step(sentence, digit, role="digit_expand", whole=t.state(quotient)))
            rest = quotient
        digits.append(rest)
        t.say("Now {rest} is less than {base}, so it is the first digit.", rest=rest)
        numeral = t.apply("numeral", base, *reversed(digits))
        return t.step(
            "Read from the last remainder to the first, the number is {} in base {base}.", numeral, role="base_convert"
        )

    def check(self, number: int, base: int) -> str:
        power, text = 1, ""
        while power * base <= number:
            power *= base
        while power:
            digit = 0
            while number >= power:
                number, digit = number - power, digit + 1
            text, power = text + str(digit), power // base
        return text
