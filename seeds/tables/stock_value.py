"""The value of a stock: read rows that fulfil a condition, multiply and add."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integer, Integers
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.tables._markdown import table


class StockValue(Template):
    family = "data"

    goods = Choice(
        ("Hammers", "Saws", "Drills", "Ladders", "Vices"),
        ("Lamps", "Chairs", "Desks", "Shelves", "Stools"),
        ("Kettles", "Mixers", "Ovens", "Toasters", "Grills"),
        ("Tents", "Stoves", "Ropes", "Lanterns", "Packs"),
    )
    prices = Integers(5, 80, length=5, harder=(81, 900))
    counts = Integers(2, 40, length=5, harder=(41, 400))
    limit = Integer(20, 50, step=5, harder=(200, 600))

    facts = "The table shows the stock of a shop."
    question = "What is the total value, in dollars, of all the goods that cost more than {limit} dollars apiece?"

    def where(self, prices: tuple[int, ...], limit: int) -> bool:
        return 2 <= sum(p > limit for p in prices) <= 4 and limit not in prices

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        rows = zip(shown["goods"], shown["prices"], shown["counts"], strict=True)
        return [table(["Goods", "Price per piece (dollars)", "Pieces in stock"], rows)]

    def solve(
        self, t: Trace, goods: tuple[str, ...], prices: list[Quantity], counts: list[Quantity], limit: Quantity
    ) -> Quantity:
        rows = [row for row in zip(goods, prices, counts, strict=True) if row[1] > limit]
        names = ", ".join(row[0].lower() for row in rows)
        t.say("The goods that cost more than {limit} dollars apiece are: {names}.", names=names)
        values = [
            t.step("The {name} are worth {}.", price * count, role="filter", name=name.lower())
            for name, price, count in rows
        ]
        return t.step("Together that makes {} dollars.", t.apply("sum", *values), role="aggregate")

    def check(self, prices: tuple[int, ...], counts: tuple[int, ...], limit: int) -> int:
        # Everything, less what is cheap.
        total = sum(map(int.__mul__, prices, counts))
        return total - sum(c * p for p, c in zip(prices, counts, strict=True) if p <= limit)
