"""Shortest ways through a street grid that avoid a closed crossing."""

from dsgen.pipeline.core.space import Integer, Name
from dsgen.pipeline.core.template import Degenerate, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class StreetGrid(Template):
    version = 2

    walker = Name()
    east = Integer(4, 10, harder=(9, 14))
    north = Integer(4, 10, harder=(9, 14))
    closed_east = Integer(1, 8, harder=(3, 12))
    closed_north = Integer(1, 8, harder=(3, 12))

    facts = (
        "The streets of a town form a square grid. {walker} walks from crossing (0, 0) to crossing ({east}, {north}), "
        "one block east or one block north at a time. "
        "The crossing ({closed_east}, {closed_north}) is closed and must not be entered."
    )
    question = "How many different routes are there?"
    result_text = "There are {answer} different routes."

    def where(self, east: int, north: int, closed_east: int, closed_north: int) -> bool:
        return closed_east < east and closed_north < north

    def solve(
        self, t: Trace, east: Quantity, north: Quantity, closed_east: Quantity, closed_north: Quantity
    ) -> Quantity:
        if closed_east > east or closed_north > north:
            raise Degenerate("the closed crossing lies beyond the goal")
        t.say("A route is an order of its steps, so it is settled by choosing which of the steps go east.")
        every = t.step("Without the closure there are {} routes.", t.apply("binom", east + north, east))
        to = t.apply("binom", closed_east + closed_north, closed_east)
        to = t.step("From the start to the closed crossing lead {} routes.", to)
        across = t.step("From the closed crossing to the goal, the number of blocks east is {}.", east - closed_east)
        up = t.step("From the closed crossing to the goal, the number of blocks north is {}.", north - closed_north)
        on = t.step("So {} routes lead on from the closed crossing to the goal.", t.apply("binom", across + up, across))
        through = t.step("Hence {} routes pass through the closed crossing.", to * on, role="count_product")
        return t.step("The routes that avoid it number {}.", every - through, role="count_complement")

    def check(self, east: int, north: int, closed_east: int, closed_north: int) -> int:
        # Routes to every crossing of a column, column by column.
        column = [1] * (north + 1)
        for across in range(1, east + 1):
            for up in range(north + 1):
                column[up] += column[up - 1] if up else 0
                if across == closed_east and up == closed_north:
                    column[up] = 0
        return column[north]
