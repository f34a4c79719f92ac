"""Ways to set up a rectangle: the number of divisors from the prime factorisation."""

from math import isqrt

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class RectanglesOfChairs(Template):
    version = 2

    thing = Choice("chairs", "seedlings", "beehives", "solar panels", "flower pots")
    twos = Integer(1, 4, harder=(2, 6))
    threes = Integer(0, 3, harder=(0, 4))
    prime = Choice(5, 7, 11, 13)
    power = Integer(0, 2)
    other = Choice(17, 19, 23, 29, 31, 37)
    total = Derived(lambda twos, threes, prime, power, other: 2**twos * 3**threes * prime**power * other)

    facts = (
        "All {total} {thing} are arranged in a rectangle of equal rows. A single row or a single column is allowed, "
        "and 3 rows of 4 would count as different from 4 rows of 3."
    )
    question = "How many different rectangles are possible?"

    def where(self, twos: int, threes: int, prime: int, power: int, other: int) -> bool:
        return (threes > 0 or power > 0) and 2**twos * 3**threes * prime**power * other < 60000

    def solve(self, t: Trace, total: Quantity) -> Quantity:
        t.say("A rectangle is settled by the number of rows, which can be any divisor of {total}. Factorise it.")
        rest, factors, choices = total, [], []
        for prime in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37):
            times = t.apply("valuation", rest, prime)
            if times.value == 0:
                continue
            factors.append(prime**times)
            choices.append(times + 1)
            if prime == rest.value:
                t.say("What is left, {rest}, is a prime.", rest=rest)
                break
            often = {1: "once", 2: "twice"}.get(int(times), f"{times} times")
            sentence = f"The factor {prime} can be taken out {often}, which leaves {{}}."
            rest = t.step(sentence, rest / prime**times, role="factorise")
        whole = factors[0]
        ways = choices[0]
        for factor, choice in zip(factors[1:], choices[1:], strict=True):
            whole, ways = whole * factor, ways * choice
        t.step("So the factorisation is {}.", whole, role="factorise")
        t.say("A divisor takes each prime from 0 times up to as often as it stands there.")
        return t.step("That gives {} divisors, and as many rectangles.", ways, role="tau")

    def check(self, total: int) -> int:
        root = isqrt(total)
        return 2 * sum(total % d == 0 for d in range(1, root + 1)) - (root * root == total)
