"""A discount and then a tax: two percentages whose bases differ."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class DiscountThenTax(Template):
    article = Choice("sailing boat", "camper van", "motorcycle", "grand piano", "tractor")
    price = Integer(4000, 40000, unit="dollar", step=400, harder=(40400, 200000))
    discount = Integer(5, 40, step=5)
    tax = Integer(5, 25, step=5)

    facts = (
        "The list price of a {article} is {price} dollars. The dealer takes {discount}% off the list price. "
        "A sales tax of {tax}% of the reduced price is then added."
    )
    question = "How many dollars does the customer pay for the {article} in the end?"
    result_text = "In the end the customer pays {answer} dollars."

    def solve(self, t: Trace, price: Quantity, discount: Quantity, tax: Quantity) -> Quantity:
        off = t.step("The discount is {discount}% of the list price: {}.", price * discount / 100, role="percent_apply")
        reduced = t.step("The reduced price is {}.", price - off)
        t.say("The tax is counted from the reduced price, not from the list price.")
        added = t.step("It comes to {}.", reduced * tax / 100, role="percent_apply")
        return t.step("The customer pays {}.", reduced + added)

    def check(self, price: int, discount: int, tax: int) -> int:
        # In parts of which 400 make the list price, both percentages are whole numbers of parts.
        return price // 400 * (20 - discount // 5) * (20 + tax // 5)
