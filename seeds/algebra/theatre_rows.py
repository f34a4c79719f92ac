"""Seats in a hall whose rows grow evenly: an arithmetic series."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace


class TheatreRows(Template):
    hall = Choice("theatre", "concert hall", "lecture hall", "circus tent")
    first = Integer(8, 40, unit="seat", harder=(41, 90))
    more = Integer(2, 6, unit="seat", harder=(3, 9))
    rows = Integer(8, 40, harder=(41, 70))

    facts = (
        "The first row of a {hall} has {first} seats. "
        "Every further row has {more} seats more than the row in front of it. There are {rows} rows."
    )
    question = "How many seats does the {hall} have?"
    result_text = "The {hall} has {answer} seats."

    def solve(self, t: Trace, first: Quantity, more: Quantity, rows: Quantity) -> Quantity:
        t.say("From the first row to the last, the increase happens once less than there are rows.")
        last = t.step("So the last row has {}.", first + more * (rows - 1), role="ap_term")
        pair = t.step("The first and the last row together have {}.", first + last)
        t.say("The second row and the last but one have just as many together, and so on inwards.")
        return t.step("Counting every row in such a pair counts each seat twice: {}.", rows * pair / 2, role="ap_sum")

    def check(self, first: int, more: int, rows: int) -> int:
        return sum(range(first, first + more * rows, more))
