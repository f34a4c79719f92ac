"""The change from a banknote after buying two kinds of goods."""

from dsgen.pipeline.core.space import Choice, Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class MarketChange(Template):
    version = 2

    buyer = Name()
    goods = Choice(
        ("sacks of rice", "jars of honey"),
        ("rolls of cloth", "wool blankets"),
        ("crates of mangoes", "wheels of cheese"),
        ("bags of cement", "tins of paint"),
    )
    first = Integer(2, 9, harder=(12, 40))
    first_price = Integer(2, 15, unit="dollar", harder=(16, 60))
    second_count = Integer(2, 9, harder=(12, 40))
    second_price = Integer(3, 18, unit="dollar", harder=(17, 70))
    paid = Integer(100, 300, step=50, unit="dollar", easier=(30, 80), harder=(1000, 5000))

    facts = (
        "At the market {buyer} buys {first} {goods[0]} at {first_price} dollars each and {second_count} {goods[1]} at "
        "{second_price} dollars each. {buyer} pays with {paid} dollars."
    )
    question = "How many dollars of change does {buyer} get back?"
    result_text = "{buyer} gets {answer} dollars of change back."

    def where(self, first: int, first_price: int, second_count: int, second_price: int, paid: int) -> bool:
        cost = first * first_price + second_count * second_price
        return first_price != second_price and paid // 2 < cost < paid - 1

    def solve(
        self,
        t: Trace,
        first: Quantity,
        first_price: Quantity,
        second_count: Quantity,
        second_price: Quantity,
        paid: Quantity,
    ) -> Quantity:
        one = t.step("The {goods[0]} cost {}.", first * first_price)
        other = t.step("The {goods[1]} cost {}.", second_count * second_price)
        bill = t.step("Together that is {}.", one + other)
        return t.step("The change is what was paid less the bill: {}.", paid - bill)

    def check(self, first: int, first_price: int, second_count: int, second_price: int, paid: int) -> int:
        left = paid
        for price in [first_price] * first + [second_price] * second_count:
            left -= price
        return left
