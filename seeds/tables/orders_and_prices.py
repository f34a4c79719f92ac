"""Two tables that share a key: look up prices, multiply by amounts, add for one customer."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integers, Names, Person
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.tables._markdown import table


class OrdersAndPrices(Template):
    family = "data"

    people = Names(2)
    goods = Choice(
        ("Pens", "Pads", "Folders", "Stamps"),
        ("Roses", "Tulips", "Lilies", "Asters"),
        ("Pies", "Rolls", "Muffins", "Cakes"),
        ("Bolts", "Hinges", "Handles", "Hooks"),
    )
    prices = Integers(2, 30, length=4, harder=(31, 250))
    counts = Integers(2, 25, length=5, harder=(26, 150))
    owners = Choice("01011", "10110", "01101", "11010", "10101")
    wares = Choice("20131", "03120", "31203", "12030", "23102")

    facts = "One table lists the prices of a shop, the other the orders of one week."
    question = "How many dollars does {people[1]} pay for all {people[1].his} orders of the week together?"

    def where(self, owners: str, wares: str) -> bool:
        own = [what for who, what in zip(owners, wares, strict=True) if who == "1"]
        return len(set(own)) == len(own)

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        people, goods = shown["people"], shown["goods"]
        rows = zip(shown["owners"], shown["wares"], shown["counts"], strict=True)
        orders = [[people[int(who)], goods[int(what)], count] for who, what, count in rows]
        prices = zip(goods, shown["prices"], strict=True)
        return [table(["Goods", "Price per piece (dollars)"], prices), table(["Customer", "Goods", "Pieces"], orders)]

    def solve(
        self,
        t: Trace,
        people: tuple[Person, ...],
        goods: tuple[str, ...],
        prices: list[Quantity],
        counts: list[Quantity],
        owners: str,
        wares: str,
    ) -> Quantity:
        rows = [(int(what), count) for who, what, count in zip(owners, wares, counts, strict=True) if who == "1"]
        names = ", ".join(goods[what].lower() for what, _ in rows)
        t.say("In the table of orders, {people[1]} stands beside: {names}.", names=names)
        bills = []
        for what, count in rows:
            bill = t.apply("mul", count, prices[what])
            sentence = "The {name} cost {price} dollars apiece, so this order comes to {}."
            bills.append(t.step(sentence, bill, role="join", name=goods[what].lower(), price=prices[what]))
        return t.step("Together {people[1]} pays {} dollars.", t.apply("sum", *bills), role="aggregate")

    def check(self, prices: tuple[int, ...], counts: tuple[int, ...], owners: str, wares: str) -> int:
        # Pieces of each kind first, then their prices.
        pieces = [0, 0, 0, 0]
        for i, who in enumerate(owners):
            if who == "1":
                pieces[int(wares[i])] += counts[i]
        return sum(p * n for p, n in zip(prices, pieces, strict=True))
