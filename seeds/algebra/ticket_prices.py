"""Two bills for the same two kinds of tickets: a linear system, solved by elimination."""

from math import gcd

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TicketPrices(Template):
    place = Choice("museum", "zoo", "theatre", "planetarium", "water park")
    adults = Integer(2, 9, harder=(11, 30))
    children = Integer(2, 9, harder=(11, 30))
    more_adults = Integer(2, 9, harder=(11, 30))
    more_children = Integer(2, 9, harder=(11, 30))
    adult_price = Integer(9, 40, harder=(30, 90))
    child_price = Integer(4, 25, harder=(12, 60))
    first = Derived(lambda adults, children, adult_price, child_price: adults * adult_price + children * child_price)
    second_bill = Derived(
        lambda more_adults, more_children, adult_price, child_price: (
            more_adults * adult_price + more_children * child_price
        )
    )

    facts = (
        "At a {place}, {adults} adult tickets and {children} child tickets cost {first} dollars in all. "
        "At the same prices, {more_adults} adult tickets and {more_children} child tickets cost {second_bill} dollars."
    )
    question = "What do one adult ticket and one child ticket cost, in dollars? Answer as the pair (adult, child)."

    def where(
        self, adults: int, children: int, more_adults: int, more_children: int, adult_price: int, child_price: int
    ) -> bool:
        parallel = adults * more_children == more_adults * children
        return not parallel and child_price < adult_price and gcd(adults, children) == 1

    def solve(
        self,
        t: Trace,
        adults: Quantity,
        children: Quantity,
        more_adults: Quantity,
        more_children: Quantity,
        first: Quantity,
        second_bill: Quantity,
    ) -> Quantity:
        t.say("Let a be the price of an adult ticket and c that of a child ticket.")
        t.say(
            "Then {adults} × a + {children} × c = {first} and {more_adults} × a + {more_children} × c = {second_bill}."
        )
        t.say(
            "Multiply the first equation by {more_children} and the second by {children}, so that c can be eliminated."
        )
        left = t.step("The first right side becomes {}.", first * more_children)
        right = t.step("The second becomes {}.", second_bill * children)
        total = t.step("Subtracting, the right side is {}.", left - right, role="eliminate")
        times = t.step(
            "On the left remains a times {}.", adults * more_children - more_adults * children, role="eliminate"
        )
        adult = t.step("So a = {}.", total / times, role="solve_linear")
        rest = t.step("In the first equation {} dollars remain for the child tickets.", first - adults * adult)
        child = t.step("So c = {}.", rest / children, role="substitute_var")
        t.let("a", adult)
        t.let("c", child)
        return t.step("The prices are {} dollars.", t.apply("tuple", adult, child))

    def check(
        self, adults: int, children: int, more_adults: int, more_children: int, first: int, second_bill: int
    ) -> tuple[int, int]:
        # Try every price of a child ticket that the first bill allows.
        found = [
            ((first - children * c) // adults, c)
            for c in range(1, first // children + 1)
            if (first - children * c) % adults == 0
        ]
        (prices,) = (p for p in found if more_adults * p[0] + more_children * p[1] == second_bill)
        return prices
