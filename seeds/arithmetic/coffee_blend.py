"""The price of a blend: a mean with unequal weights."""

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class CoffeeBlend(Template):
    version = 2

    seller = Name()
    goods = Choice("coffee", "tea", "spice", "incense")
    parts = Integer(2, 7, harder=(5, 15))
    others = Integer(2, 7, harder=(6, 17))
    batch = Integer(2, 8, harder=(4, 20))
    gap = Integer(1, 2, harder=(1, 3))
    price = Integer(20, 45, harder=(50, 120))
    weight = Derived(lambda batch, parts: batch * parts, unit="kg")
    other_weight = Derived(lambda batch, others: batch * others, unit="kg")
    dear = Derived(lambda price, others, gap: price + others * gap, unit="dollar/kg")
    cheap = Derived(lambda price, parts, gap: price - parts * gap, unit="dollar/kg")

    facts = (
        "{seller} blends {weight} kg of {goods} that costs {dear} dollars per kilogram with {other_weight} kg of "
        "{goods} that costs {cheap} dollars per kilogram."
    )
    question = "How many dollars should one kilogram of the blend cost, if its total price is to stay the same?"

    def where(self, parts: int, others: int) -> bool:
        return parts != others

    def solve(self, t: Trace, weight: Quantity, other_weight: Quantity, dear: Quantity, cheap: Quantity) -> Quantity:
        first = t.step("The first sort is worth {} in all.", weight * dear)
        second = t.step("The second sort is worth {}.", other_weight * cheap)
        whole = t.step("The blend weighs {}.", weight + other_weight)
        t.say("The amounts differ, so the plain mean of the two prices would be wrong.")
        worth = t.step("The whole blend is worth {}.", first + second)
        return t.step("So the blend should cost {}.", worth / whole, role="weighted_mean")

    def check(self, weight: int, other_weight: int, dear: int, cheap: int) -> int:
        # At the right price, what the dear sort loses is what the cheap sort gains.
        return next(p for p in range(cheap, dear + 1) if weight * (dear - p) <= other_weight * (p - cheap))
