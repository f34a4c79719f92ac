"""A dripping tap: drops per minute become litres in days by exact conversion factors."""

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class DrippingTap(Template):
    owner = Name()
    drops = Integer(5, 90, unit="drop/min", harder=(31, 240))
    small = Integer(8, 25, unit="drop/mL")
    hours = Integer(3, 48, unit="h", harder=(49, 240))

    facts = (
        "The tap in {owner}'s kitchen drips {drops} times a minute. It takes {small} drops to make 1 mL of water. "
        "{owner} leaves a tub under the tap for {hours} hours."
    )
    question = "How many millilitres of water collect in the tub?"
    result_text = "In that time {answer} mL of water collect in the tub."

    def where(self, drops: int, small: int, hours: int) -> bool:
        return drops * 60 * hours % small == 0

    def solve(self, t: Trace, drops: Quantity, small: Quantity, hours: Quantity) -> Quantity:
        minutes = t.step("In minutes, the time is {}.", hours * t.const(60, "min/h"), role="unit_convert")
        fallen = t.step("In that time the tap loses {}.", drops * minutes, role="rate_apply")
        return t.step("With {small} drops to a millilitre that is {}.", fallen / small, role="unit_convert")

    def check(self, drops: int, small: int, hours: int) -> int:
        # Hour by hour, carrying the drops that do not yet make a millilitre.
        full = loose = 0
        for _ in range(hours):
            more, loose = divmod(loose + drops * 60, small)
            full += more
        return full
