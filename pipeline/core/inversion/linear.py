"""Nodes of a derivation as lines ``a × x + b`` in a hidden parameter, with their coefficients on the tape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dsgen.pipeline.core import units
from dsgen.pipeline.core.arith import LEAVES, OPS
from dsgen.pipeline.core.derivation import Node
from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.inversion.backward import Backward
from dsgen.pipeline.core.inversion.frames import SLOT, is_bare, opened, with_unit
from dsgen.pipeline.core.trace import Quantity
from dsgen.pipeline.core.units import Unit


class Linear:
    """``slope × x + rest`` with its coefficients on the tape; a plain number is a coefficient of 0 or 1."""

    __slots__ = ("rest", "slope")

    def __init__(self, slope: Any, rest: Any) -> None:
        self.slope = slope
        self.rest = rest

    def write(self, symbol: str) -> str:
        """The line as a text."""
        slope, rest = number(self.slope), number(self.rest)
        if rest == 0:
            return times(slope, symbol)
        if slope < 0 < rest:
            return f"{show(rest)} - {times(-slope, symbol)}"
        sign = "+" if rest > 0 else "-"
        return f"{times(slope, symbol)} {sign} {show(abs(rest))}"

    def binds(self) -> int:
        """How tightly the written line binds."""
        if number(self.rest) != 0:
            return 1
        return 9 if number(self.slope) == 1 else 2


def times(slope: Exact, symbol: str) -> str:
    """``3 × x``, or ``x`` alone."""
    if slope in (1, -1):
        return symbol if slope == 1 else f"-{symbol}"
    return f"{show(slope)} × {symbol}"


def number(coefficient: Any) -> Any:
    """The value of a coefficient."""
    return coefficient.value if type(coefficient) is Quantity else coefficient


class Collector:
    """Writes the nodes below an equation as lines in the unknown, and states those that have a sentence."""

    def __init__(self, work: Backward) -> None:
        self.work = work
        self.lines: dict[int, Linear] = {}
        self.described: set[int] = set()
        self.unit = work.nodes[min(work.leaves)].unit

    def line(self, index: int) -> Linear:
        """A node as a line in the unknown."""
        found = self.lines.get(index)
        if found is None:
            found = self._collect(index)
            unit = self.work.nodes[index].unit
            slope = self._settle(found.slope, units.multiply(unit, self.unit, -1))
            found = self.lines[index] = Linear(slope, self._settle(found.rest, unit))
        return found

    def _settle(self, part: Any, unit: Unit) -> Any:
        """A coefficient that later expressions show by its value, with the unit that it must have."""
        if type(part) is not Quantity:
            return part
        tape = self.work.tape
        tape.stated.add(part.index)
        node = tape.nodes[part.index]
        if node.op in LEAVES or node.unit == unit:
            return part
        tape.nodes[part.index] = node._replace(unit=unit)
        return Quantity(tape, part.index, part.value, unit)

    def _collect(self, index: int) -> Linear:
        work = self.work
        if index in work.leaves:
            return Linear(1, 0)
        if not work.depends[index]:
            return Linear(0, work.graft(index))
        node = work.nodes[index]
        parts = [self.line(i) for i in node.inputs]
        slope, rest = parts[0].slope, parts[0].rest
        if node.op == "neg":
            return Linear(self.do("sub", 0, slope), self.do("sub", 0, rest))
        if node.op in ("add", "sub", "sum"):
            op = "sub" if node.op == "sub" else "add"
            for part in parts[1:]:
                slope, rest = self.do(op, slope, part.slope), self.do(op, rest, part.rest)
            return Linear(slope, rest)
        other = parts[1]
        if node.op == "mul" and number(slope) == 0:
            slope, rest, other = other.slope, other.rest, parts[0]
        return Linear(self.do(node.op, slope, other.rest), self.do(node.op, rest, other.rest))

    def do(self, op: str, left: Any, right: Any) -> Any:
        """An operation on coefficients; what adds nothing or multiplies by one is not written."""
        a, b = number(left), number(right)
        if op in ("add", "sub") and b == 0:
            return left
        if op == "add" and a == 0:
            return right
        if op in ("mul", "div") and (a == 0 or b == 1):
            return left
        if op == "mul" and a == 1:
            return right
        return self.work.make(op, (self.on_tape(left), self.on_tape(right)), ())

    def less(self, left: Any, right: Any) -> Any:
        """A difference of coefficients, without taking a negative number away."""
        if number(right) >= 0:
            return self.do("sub", left, right)
        return self.work.less(self.on_tape(left), self.on_tape(right), ())

    def on_tape(self, coefficient: Any) -> Quantity:
        """A coefficient as a node."""
        return coefficient if type(coefficient) is Quantity else self.work.tape.const(coefficient)

    def describe(self, top: int) -> None:
        """Say what the stated nodes below ``top`` are in terms of the unknown."""
        work = self.work
        for index in work.bearing:
            if index >= top or not work.depends[index] or index in work.leaves or index not in work.stated_by:
                continue
            if not _is_below(work.nodes, index, top):
                continue
            frame = work.frames[work.stated_by[index]]
            line = self.line(index)
            raw, final = self.write(index, top=True), line.write(work.symbol)
            text = f"({final})" if line.binds() < 9 and work.nodes[index].unit else final
            unit = () if raw != final == work.symbol else work.nodes[index].unit  # no unit right after "= x"
            text = with_unit(text if raw == final else f"{raw} = {text}", unit)
            work.lead_in(index)
            if frame is None or is_bare(frame):
                frame = f"With {work.symbol}, the next calculation gives {SLOT}."
            work.say(opened(frame.replace(SLOT, text)))
            self.described.add(index)

    def write(self, index: int, floor: int = 0, *, top: bool = False) -> str:
        """The expression below a node, where nodes that were described stand as their lines."""
        work = self.work
        node = work.nodes[index]
        if index in work.leaves:
            return work.symbol
        if index in self.described and not top:
            line = self.line(index)
            text = line.write(work.symbol)
            return text if line.binds() > floor else f"({text})"
        form = OPS.get(node.op)
        written = form is not None and (form.form in ("infix", "sum") or node.op == "neg")
        if form is None or (not work.depends[index] and (index in work.stated_by or not written)):
            binds = 9 if type(node.value) is int and node.value >= 0 else 1
            return show(node.value) if binds > floor or top else f"({show(node.value)})"
        own = form.precedence
        if form.form == "infix":
            left = self.write(node.inputs[0], own if node.op == "pow" else own - 1)
            right = self.write(node.inputs[1], own - 1 if node.op == "add" else own)
            text = f"{left}^{right}" if node.op == "pow" else f"{left} {form.sign} {right}"
        elif form.form == "sum":
            text = " + ".join(self.write(i, own) for i in node.inputs)
        else:
            text = form.sign + self.write(node.inputs[0], own)
        return text if own > floor else f"({text})"


def _is_below(nodes: Sequence[Node], index: int, top: int) -> bool:
    wanted = {top}
    for i in range(top, index, -1):
        if i in wanted:
            wanted.update(nodes[i].inputs)
    return index in wanted
