"""Climbing stairs in steps of two sizes: a recurrence."""

from math import comb

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Staircase(Template):
    climber = Name()
    stairs = Integer(7, 12, harder=(11, 14), maskable=False)
    stride = Integer(2, 4, maskable=False)
    broken = Integer(3, 9, harder=(4, 12), maskable=False)

    facts = (
        "{climber} climbs a staircase of {stairs} stairs. With every move {climber} takes either one stair or {stride} "
        "stairs at once. Stair number {broken}, counted from the bottom, is broken and must not be stepped on."
    )
    question = "In how many different ways can {climber} reach the top stair, which is number {stairs}?"

    def where(self, stairs: int, stride: int, broken: int) -> bool:
        return stride <= broken < stairs - 1

    def solve(self, t: Trace, stairs: Quantity, stride: Quantity, broken: Quantity) -> Quantity:
        t.say("A stair is reached from the one below it, or from {stride} stairs below it; add the ways to these two.")
        t.say("There is only one way to each of the stairs below number {stride}, by single stairs.")
        ways = [t.const(1)]
        for stair in range(1, int(stairs) + 1):
            if stair == broken.value:
                ways.append(t.const(0))
                t.say("Stair {broken} is broken, so no way leads to it.")
            elif stair < stride.value:
                ways.append(ways[-1])
            else:
                total = ways[-1] + ways[stair - stride.value]
                ways.append(t.step(f"Stair {stair}: {{}}.", total, role="recurrence_count"))
        return ways[-1]

    def check(self, stairs: int, stride: int, broken: int) -> int:
        # All ways, less those through the broken stair.
        through = _free(broken, stride) * _free(stairs - broken, stride)
        return _free(stairs, stride) - through


def _free(stairs: int, stride: int) -> int:
    """Ways without a broken stair: choose which of the moves are long."""
    return sum(comb(stairs - (stride - 1) * long, long) for long in range(stairs // stride + 1))
