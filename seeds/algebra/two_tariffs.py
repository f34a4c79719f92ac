"""Two tariffs with a basic fee: from which use on do they cost the same?"""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TwoTariffs(Template):
    service = Choice(
        ("boat club", "outing"),
        ("print shop", "poster"),
        ("ski school", "lesson"),
        ("gym", "visit"),
        ("parcel service", "parcel"),
    )
    same = Integer(6, 60, harder=(61, 150))
    cheap = Integer(2, 12, harder=(5, 40))
    more = Integer(2, 9, harder=(3, 12))
    fee = Integer(5, 40, harder=(20, 150))
    dear = Derived(lambda cheap, more: cheap + more)
    high_fee = Derived(lambda fee, same, more: fee + same * more)

    facts = (
        "A {service[0]} has two tariffs. Tariff A costs {fee} dollars a month and {dear} dollars for each "
        "{service[1]}; tariff B costs {high_fee} dollars a month and {cheap} dollars for each {service[1]}."
    )
    question = "For how many {service[1]}s a month do both tariffs cost the same?"

    def solve(self, t: Trace, fee: Quantity, dear: Quantity, high_fee: Quantity, cheap: Quantity) -> Quantity:
        t.say("Let n be the number of {service[1]}s. The tariffs cost {fee} + {dear} × n and {high_fee} + {cheap} × n.")
        t.say("They are equal when {fee} + {dear} × n = {high_fee} + {cheap} × n.")
        gap = t.step("Taking {fee} from both sides leaves {} on the right, beside the multiple of n.", high_fee - fee)
        each = t.step("Taking {cheap} × n from both sides leaves n times {} on the left.", dear - cheap)
        same = t.step("So n = {}.", gap / each, role="solve_linear")
        t.let("n", same)
        t.step("As a check, tariff A then costs {} dollars.", fee + dear * same, role="verify")
        t.step("Tariff B costs {} dollars.", high_fee + cheap * same, role="verify")
        return t.step("Both cost the same for {} {service[1]}s a month.", same)

    def check(self, fee: int, dear: int, high_fee: int, cheap: int) -> int:
        number = 0
        while fee < high_fee:
            number, fee, high_fee = number + 1, fee + dear, high_fee + cheap
        return number
