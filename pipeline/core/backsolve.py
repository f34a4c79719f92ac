"""Worked solutions that go from a result back to a hidden parameter, written on a tape like any other solution."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from dsgen.pipeline.core import units
from dsgen.pipeline.core.arith import LEAVES, OPS, evaluate
from dsgen.pipeline.core.derivation import Derivation, Node, Step
from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.frames import SLOT, measured, told, with_unit
from dsgen.pipeline.core.inverse import Route, Undo, dependents
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.pipeline.core.units import Unit

_GENERIC = {
    "add": "Undoing the addition of {other}: {eq}.",
    "sum": "Undoing the additions: {eq}.",
    "sub": "Undoing the subtraction of {other}: {eq}.",
    "mul": "Undoing the multiplication by {other}: {eq}.",
    "div": "Undoing the division by {other}: {eq}.",
    "neg": "Changing the sign back: {eq}.",
    "pow": "The positive number with this square: {eq}.",
}
_FLIPPED = {
    "sub": "What was taken from {other} is {eq}.",
    "div": "What {other} was divided by is {eq}.",
}


class Backward:
    """The tape of a backward solution and what of the forward derivation stands on it already."""

    def __init__(
        self, forward: Derivation, leaves: frozenset[int], frames: Sequence[str | None], symbol: str
    ) -> None:
        self.forward = forward
        self.nodes = forward.nodes
        self.leaves = leaves
        self.frames = frames
        self.symbol = symbol
        self.depends = dependents(forward.nodes, leaves)
        self.bearing = forward.load_bearing()
        self.tape = Trace()
        self.here: dict[int, Quantity] = {}
        """Forward nodes that stand on this tape, by their forward index."""
        answer = forward.nodes[forward.answer]
        self.result = self.tape.given("result", answer.value, answer.unit)
        self.stated_by = {step.node: i for i, step in enumerate(forward.steps) if step.node >= 0}

    def make(self, op: str, inputs: Iterable[Quantity], unit: Unit, role: str = "") -> Quantity:
        """A new node with a unit that is known beforehand."""
        made = tuple(inputs)
        value = evaluate(op, tuple(q.value for q in made))
        return self.push(Node(op, tuple(q.index for q in made), value, unit, role))

    def push(self, node: Node) -> Quantity:
        """A node as it is."""
        self.tape.nodes.append(node)
        return Quantity(self.tape, len(self.tape.nodes) - 1, node.value, node.unit)

    def say(self, text: str, quantity: Quantity | None = None) -> None:
        """A sentence, and the node that it states."""
        self.tape.steps.append(Step(text, -1 if quantity is None else quantity.index))
        if quantity is not None:
            self.tape.stated.add(quantity.index)

    def equation(self, quantity: Quantity, *, unit: bool = True) -> str:
        """The equation of a node as it is written now."""
        text = self.tape.equation(quantity.index)
        if not unit and quantity.unit:
            text = text.removesuffix(" " + units.show(quantity.unit, one=quantity.value == 1))
        return text

    def graft(self, index: int) -> Quantity:
        """A forward node with everything below it."""
        found = self.here.get(index)
        if found is None:
            node = self.nodes[index]
            inputs = tuple(self.graft(i).index for i in node.inputs)
            found = self.here[index] = self.push(node._replace(inputs=inputs))
        return found

    def preliminaries(self) -> None:
        """The steps of the forward solution that do not depend on what is hidden."""
        for index in self.bearing:
            if self.depends[index] or index not in self.stated_by or self.nodes[index].op in LEAVES:
                continue
            quantity = self.graft(index)
            frame = self.frames[self.stated_by[index]]
            self.say((frame or f"The given numbers tell {SLOT}.").replace(SLOT, self.equation(quantity)), quantity)

    def replay(self, found: Quantity) -> None:
        """The forward solution once more with the value that was found."""
        self.say(f"Check with {self.symbol} = {show(found.value)}:")
        for leaf in self.leaves:
            self.here[leaf] = found
        for index in self.bearing:
            # What was found on the way back is calculated anew.
            if self.depends[index] and index not in self.leaves:
                self.here.pop(index, None)
        steps = self.forward.steps
        for index in self.bearing:
            if not self.depends[index] or index in self.leaves:
                continue
            if index in self.stated_by:
                quantity = self.graft(index)
                self.say(steps[self.stated_by[index]].text, quantity)
        answer = self.graft(self.forward.answer)
        if self.forward.answer not in self.stated_by:
            self.say(f"The result is {self.equation(answer)}.", answer)
        agrees = self.make("eq", (answer, self.result), ())
        self.say("This is the result that was given.", agrees)


def go_back(work: Backward, way: Route) -> Quantity:
    """Undo the operations of a route, and solve what is left of it where that is an equation: the parameter's value."""
    known = _undo(work, way)
    if way.kind == "leaf":
        return known
    return _solve(work, way, known)


def _undo(work: Backward, way: Route) -> Quantity:
    known = work.result
    if way.undone:
        work.say(f"Work backwards from the result, {measured(work.nodes[work.forward.answer])}.")
    telling = [_telling(work, undo.inner) for undo in way.undone]
    last = len(way.undone) - 1
    pending = 0
    for i, undo in enumerate(way.undone):
        known = _undo_one(work, undo, known)
        pending += 1
        sentence = telling[i]
        if i == last and way.kind == "leaf":
            work.say(f"So {work.symbol} = {work.equation(known, unit=False)}.", known)
        elif sentence:
            work.say(f"{sentence.removesuffix('.')}, because {work.equation(known)}.", known)
            pending = 0
        else:
            ahead = next((j for j in range(i + 1, last + 1) if telling[j] or j == last), last) - i
            if i == last or pending + ahead > 2:
                work.say(_generic(work, undo, known), known)
                pending = 0
    return known


def _telling(work: Backward, index: int) -> str | None:
    place = work.stated_by.get(index)
    return None if place is None else told(work.frames[place], work.nodes[index])


def _undo_one(work: Backward, undo: Undo, known: Quantity) -> Quantity:
    """The input of a node from its value and its other inputs."""
    node = work.nodes[undo.node]
    others = [work.graft(i) for place, i in enumerate(node.inputs) if place != undo.position]
    unit = work.nodes[undo.inner].unit
    role = "inverse_op"
    op = node.op
    if op in ("add", "sum"):
        for other in others:
            known = work.make("sub", (known, other), unit, role)
    elif op == "sub":
        known = work.make("add", (known, others[0]), unit, role) if undo.position == 0 else work.make(
            "sub", (others[0], known), unit, role
        )
    elif op == "mul":
        known = work.make("div", (known, others[0]), unit, role)
    elif op == "div":
        known = work.make("mul", (known, others[0]), unit, role) if undo.position == 0 else work.make(
            "div", (others[0], known), unit, role
        )
    elif op == "neg":
        known = work.make("neg", (known,), unit, role)
    else:
        known = work.make("sqrt", (known,), unit, role)
    work.here[undo.inner] = known
    return known


def _generic(work: Backward, undo: Undo, known: Quantity) -> str:
    node = work.nodes[undo.node]
    others = [i for place, i in enumerate(node.inputs) if place != undo.position]
    other = measured(work.nodes[others[0]]) if others else ""
    text = (_FLIPPED if undo.position else _GENERIC).get(node.op) or _GENERIC[node.op]
    return text.format(other=other, eq=work.equation(known))


class Linear:
    """``slope × x + rest`` with its coefficients on the tape; a plain number is a coefficient of 0 or 1."""

    __slots__ = ("rest", "slope")

    def __init__(self, slope: Any, rest: Any) -> None:
        self.slope = slope
        self.rest = rest

    def write(self, symbol: str) -> str:
        """The line as a text."""
        slope, rest = _value(self.slope), _value(self.rest)
        if rest == 0:
            return _times(slope, symbol)
        if slope < 0 < rest:
            return f"{show(rest)} - {_times(-slope, symbol)}"
        sign = "+" if rest > 0 else "-"
        return f"{_times(slope, symbol)} {sign} {show(abs(rest))}"

    def binds(self) -> int:
        """How tightly the written line binds."""
        if _value(self.rest) != 0:
            return 1
        return 9 if _value(self.slope) == 1 else 2


def _times(slope: Exact, symbol: str) -> str:
    return symbol if slope == 1 else f"{show(slope)} × {symbol}"


def _value(coefficient: Any) -> Any:
    return coefficient.value if type(coefficient) is Quantity else coefficient


class Collector:
    """Writes the nodes below an equation as lines in the unknown, and states those that have a sentence."""

    def __init__(self, work: Backward) -> None:
        self.work = work
        self.lines: dict[int, Linear] = {}
        self.described: set[int] = set()
        leaf = work.nodes[min(work.leaves)]
        self.unit = leaf.unit

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
        if node.op == "mul" and _value(slope) == 0:
            slope, rest, other = other.slope, other.rest, parts[0]
        return Linear(self.do(node.op, slope, other.rest), self.do(node.op, rest, other.rest))

    def do(self, op: str, left: Any, right: Any) -> Any:
        """An operation on coefficients; what adds nothing or multiplies by one is not written."""
        a, b = _value(left), _value(right)
        if op in ("add", "sub") and b == 0:
            return left
        if op == "add" and a == 0:
            return right
        if op in ("mul", "div") and (a == 0 or b == 1):
            return left
        if op == "mul" and a == 1:
            return right
        return self.work.make(op, (self.on_tape(left), self.on_tape(right)), ())

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
            text = f"({final})" if line.binds() == 1 and work.nodes[index].unit else final
            text = with_unit(text if raw == final else f"{raw} = {text}", work.nodes[index].unit)
            work.say((frame or f"Here stands {SLOT}.").replace(SLOT, text))
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
        if not node.inputs or (not work.depends[index] and index in work.stated_by):
            binds = 9 if type(node.value) is int and node.value >= 0 else 1
            return show(node.value) if binds > floor or top else f"({show(node.value)})"
        form = OPS[node.op]
        own = form.precedence
        if form.form == "infix":
            left = self.write(node.inputs[0], own - 1)
            text = f"{left} {form.sign} {self.write(node.inputs[1], own - 1 if node.op == 'add' else own)}"
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


def _solve(work: Backward, way: Route, known: Quantity) -> Quantity:
    collect = Collector(work)
    node = work.nodes[way.end]
    collect.describe(way.end)
    raw = collect.write(way.end, top=True)
    value = show(known.value)
    if way.kind == "line":
        line = collect.line(way.end)
        final = line.write(work.symbol)
        more = f", that is, {final} = {value}" if final != raw else ""
        work.say(f"So {raw} = {value}{more}.")
        return _solve_line(work, collect, line, known)
    above, below = (collect.line(i) for i in node.inputs)
    work.say(f"So {raw} = {value}.")
    under = work.tape.const(known.value.denominator)
    over = work.make("mul", (known, under), known.unit) if known.value.denominator != 1 else known
    work.tape.stated.add(over.index)
    left = Linear(*(collect.do("mul", part, under) for part in (above.slope, above.rest)))
    right = Linear(*(collect.do("mul", part, over) for part in (below.slope, below.rest)))
    _settle(work, left, right)
    first = f"{_scaled(under.value, above, work.symbol)} = {_scaled(over.value, below, work.symbol)}"
    second = f"{left.write(work.symbol)} = {right.write(work.symbol)}"
    work.say(f"Multiplying out: {first}" + (f", that is, {second}." if second != first else "."))
    slope = collect.do("sub", left.slope, right.slope)
    rest = collect.do("sub", right.rest, left.rest)
    if _value(slope) < 0:
        slope, rest = collect.do("sub", right.slope, left.slope), collect.do("sub", left.rest, right.rest)
    slope, rest = collect.on_tape(slope), collect.on_tape(rest)
    times = _times(slope.value, work.symbol)
    work.say(f"Collecting the terms: {times} = {work.equation(rest, unit=False)}.", rest)
    work.tape.stated.add(slope.index)
    return _divide(work, rest, slope)


def _solve_line(work: Backward, collect: Collector, line: Linear, known: Quantity) -> Quantity:
    leaf = work.nodes[min(work.leaves)]
    slope, rest = collect.on_tape(line.slope), line.rest
    unit = known.unit
    if slope.value < 0:
        # 100 - 3 × x = 40: what is taken away is on its own side.
        slope = work.make("neg", (slope,), slope.unit)
        side = work.make("sub", (collect.on_tape(rest), known), unit, "inverse_op")
    elif _value(rest) < 0:
        rest = work.make("neg", (collect.on_tape(rest),), unit)
        work.tape.stated.add(rest.index)
        side = work.make("add", (known, rest), unit, "inverse_op")
    elif _value(rest) == 0:
        side = known
    else:
        side = work.make("sub", (known, collect.on_tape(rest)), unit, "inverse_op")
    work.tape.stated.add(slope.index)
    if slope.value == 1:
        if side is known:
            side = work.make("div", (side, slope), leaf.unit, "solve_linear")
        work.say(f"Hence {work.symbol} = {work.equation(side, unit=False)}.", side)
        return side
    if side is not known:
        work.say(f"Hence {_times(slope.value, work.symbol)} = {work.equation(side, unit=False)}.", side)
    return _divide(work, side, slope)


def _divide(work: Backward, side: Quantity, slope: Quantity) -> Quantity:
    unit = work.nodes[min(work.leaves)].unit
    found = work.make("div", (side, slope), unit, "solve_linear")
    work.say(f"So {work.symbol} = {work.equation(found, unit=False)}.", found)
    return found


def _settle(work: Backward, *lines: Linear) -> None:
    for line in lines:
        for part in (line.slope, line.rest):
            if type(part) is Quantity:
                work.tape.stated.add(part.index)


def _scaled(factor: Exact, line: Linear, symbol: str) -> str:
    text = line.write(symbol)
    if factor == 1:
        return text
    return f"{show(factor)} × ({text})" if line.binds() == 1 else f"{show(factor)} × {text}"
