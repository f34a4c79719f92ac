"""Comparing branches over several quarters: totals by row, then the leader and the lead."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice, Integers
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.tables._markdown import table


class BestQuarter(Template):
    version = 2

    family = "data"

    branches = Choice(
        ("North", "South", "East"),
        ("Harbour", "Station", "Old Town"),
        ("Lakeside", "Hilltop", "Riverside"),
        ("Airport", "Campus", "Market"),
    )
    ware = Choice("bicycles", "cameras", "printers", "violins")
    sold = Integers(15, 95, length=12, harder=(120, 990))

    facts = "A company has three branches. The table shows how many {ware} each branch sold in each quarter of a year."
    question = (
        "Which branch sold the most {ware} in the whole year, and by how many was it ahead of the second? "
        "Answer as the pair (branch, lead)."
    )

    def where(self, sold: tuple[int, ...]) -> bool:
        totals = {sum(sold[0:4]), sum(sold[4:8]), sum(sold[8:12])}
        return len(totals) == 3

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        sold, branches = shown["sold"], shown["branches"]
        rows = [[branch, *sold[4 * i : 4 * i + 4]] for i, branch in enumerate(branches)]
        return [table(["Branch", "Q1", "Q2", "Q3", "Q4"], rows)]

    def solve(self, t: Trace, branches: tuple[str, ...], sold: list[Quantity]) -> Quantity:
        totals = [
            t.step("{branch} sold {}.", t.apply("sum", *sold[4 * i : 4 * i + 4]), role="group_by", branch=branch)
            for i, branch in enumerate(branches)
        ]
        order = sorted(range(3), key=lambda i: -int(totals[i]))
        best, second = order[0], order[1]
        t.say("{best} sold the most and {second} comes second.", best=branches[best], second=branches[second])
        lead = t.step("The lead is {}.", totals[best] - totals[second], role="compare")
        names = t.const(tuple(branches))
        leader = t.apply("item", names, t.apply("argmax", *totals), role="compare")
        return t.step("So the pair asked for is {}.", t.apply("tuple", leader, lead))

    def check(self, branches: tuple[str, ...], sold: tuple[int, ...]) -> tuple[str, int]:
        # Lead over each rival, quarter by quarter.
        for i, branch in enumerate(branches):
            leads = [sum(sold[4 * i + q] - sold[4 * j + q] for q in range(4)) for j in range(3) if j != i]
            if min(leads) > 0:
                return branch, min(leads)
        raise ValueError("two branches sold equally many")
