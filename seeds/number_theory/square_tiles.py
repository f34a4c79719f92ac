"""The largest square tiles for a floor: a greatest common divisor by Euclid's steps."""

from math import gcd

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class SquareTiles(Template):
    place = Choice("terrace", "courtyard", "hall floor", "roof garden")
    long = Integer(120, 600, unit="cm", step=2, harder=(800, 3000))
    short = Integer(60, 400, unit="cm", step=2, harder=(401, 1999))

    facts = (
        "A rectangular {place} measures {long} cm by {short} cm. It is to be covered completely with equal square "
        "tiles that are as large as possible, without cutting any tile."
    )
    question = "How many tiles are needed?"

    def where(self, long: int, short: int) -> bool:
        return short < long and long % short != 0 and gcd(long, short) > 3

    def solve(self, t: Trace, long: Quantity, short: Quantity) -> Quantity:
        t.say("The side of a tile must divide both lengths; the largest one is their greatest common divisor.")
        a, b = long, short
        while (rest := a % b).value:
            rest = t.step("Dividing {a} by {b} leaves {}.", rest, role="mod_reduce", a=a, b=b)
            a, b = b, rest
        t.step("{b} divides {a}, so Euclid's steps end: the tiles have sides of {}.", b, role="gcd", a=a, b=b)
        along = t.step("Along the longer side lie {} tiles.", long / b)
        across = t.step("Along the shorter side lie {} tiles.", short / b)
        return t.step("In all that makes {} tiles.", along * across)

    def check(self, long: int, short: int) -> int:
        # The least common multiple, found by walking along multiples: lcm / long = short / gcd, and vice versa.
        common = long
        while common % short:
            common += long
        return (common // long) * (common // short)
