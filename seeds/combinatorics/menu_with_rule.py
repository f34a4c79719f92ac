"""A menu with a forbidden combination: multiply, then subtract."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class MenuWithRule(Template):
    version = 2

    place = Choice("canteen", "restaurant", "cruise ship", "mountain hut")
    starters = Integer(3, 9, harder=(10, 25))
    fish_starters = Integer(2, 6, harder=(3, 15))
    mains = Integer(4, 12, harder=(10, 30))
    cheese_mains = Integer(2, 8, harder=(4, 20))
    sweets = Integer(2, 9, harder=(6, 20))

    facts = (
        "A {place} offers {starters} starters, {mains} main courses and {sweets} desserts. {fish_starters} of the "
        "starters contain fish, and {cheese_mains} of the main courses contain cheese. A menu has one starter, one "
        "main course and one dessert, but a starter with fish is never served before a main course with cheese."
    )
    question = "How many different menus are possible?"
    result_text = "Exactly {answer} different menus are possible."

    def where(self, starters: int, fish_starters: int, mains: int, cheese_mains: int) -> bool:
        return fish_starters < starters and cheese_mains < mains

    def solve(
        self,
        t: Trace,
        starters: Quantity,
        fish_starters: Quantity,
        mains: Quantity,
        cheese_mains: Quantity,
        sweets: Quantity,
    ) -> Quantity:
        pairs = t.step("Starter and main course can be paired in {} ways.", starters * mains, role="count_product")
        bad = t.step(
            "The number of pairs of fish with cheese is {}.", fish_starters * cheese_mains, role="count_product"
        )
        allowed = t.step("That leaves {} pairs.", pairs - bad, role="count_complement")
        return t.step("With each goes any dessert, so there are {} menus.", allowed * sweets, role="count_product")

    def check(self, starters: int, fish_starters: int, mains: int, cheese_mains: int, sweets: int) -> int:
        # By starter: after fish only the main courses without cheese, otherwise all.
        return sweets * sum(mains - cheese_mains if s < fish_starters else mains for s in range(starters))
