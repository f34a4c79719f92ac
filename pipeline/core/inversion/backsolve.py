"""From a result back to a hidden parameter: operations undone one by one, and the equation that is left solved."""

from __future__ import annotations

from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.inversion.backward import Backward
from dsgen.pipeline.core.inversion.frames import measured, told
from dsgen.pipeline.core.inversion.inverse import Route, Undo
from dsgen.pipeline.core.inversion.linear import Collector, Linear, number, times
from dsgen.pipeline.core.trace import Quantity

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
    "sub": "The amount taken from {other} was {eq}.",
    "div": "The divisor of {other} was {eq}.",
}


def go_back(work: Backward, way: Route) -> Quantity:
    """Undo the operations of a route, and solve what is left of it where that is an equation.

    What comes back is the parameter, or for residues the node of which only the remainder is known.
    """
    known = _undo(work, way)
    return _solve(work, way, known) if way.kind in ("line", "ratio") else known


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
            root = work.nodes[undo.node].op == "pow"
            opening = f"As {work.symbol} is positive," if root else "So"
            work.say(f"{opening} {work.symbol} = {work.equation(known, unit=False)}.", known)
        elif sentence:
            work.say(f"{sentence.removesuffix('.')}, because {work.equation(known)}.", known)
            pending = 0
        else:
            ahead = next((j for j in range(i + 1, last + 1) if telling[j] or j == last), last) - i
            if i == last or pending + ahead > 2:
                work.say(_generic(work, undo, known, pending), known)
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
            known = work.less(known, other, unit, role)
    elif op == "neg":
        known = work.make("neg", (known,), unit, role)
    elif op == "sub":
        known = (
            work.more(known, others[0], unit, role) if undo.position == 0 else work.less(others[0], known, unit, role)
        )
    elif op == "mul" or (op == "div" and undo.position == 1):
        pair = (known, others[0]) if op == "mul" else (others[0], known)
        known = work.make("div", pair, unit, role)
    elif op == "div":
        known = work.make("mul", (known, others[0]), unit, role)
    else:
        known = work.make("sqrt", (known,), unit, role)
    work.here[undo.inner] = known
    return known


def _generic(work: Backward, undo: Undo, known: Quantity, pending: int) -> str:
    if pending > 1:
        return f"Going back two more operations: {work.equation(known)}."
    node = work.nodes[undo.node]
    others = [i for place, i in enumerate(node.inputs) if place != undo.position]
    other = measured(work.nodes[others[0]]) if others else ""
    text = (_FLIPPED if undo.position else _GENERIC).get(node.op) or _GENERIC[node.op]
    return text.format(other=other, eq=work.equation(known))


def _solve(work: Backward, way: Route, known: Quantity) -> Quantity:
    collect = Collector(work)
    node = work.nodes[way.end]
    collect.describe(way.end)
    raw = collect.write(way.end, top=True)
    value = show(known.value)
    if way.kind == "line":
        line = collect.line(way.end)
        final = line.write(work.symbol)
        text = f"So {raw} = {value}" + (f", that is, {final} = {value}." if final != raw else ".")
        if final == work.symbol:
            found = work.make("div", (known, collect.on_tape(line.slope)), collect.unit, "solve_linear")
            work.say(text, found)
            return found
        work.say(text)
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
    if number(left.slope) < number(right.slope):
        left, right = right, left
    slope, rest = collect.less(left.slope, right.slope), collect.less(right.rest, left.rest)
    slope, rest = collect.on_tape(slope), collect.on_tape(rest)
    side = times(slope.value, work.symbol)
    work.say(f"Collecting the terms: {side} = {work.equation(rest, unit=False)}.", rest)
    work.tape.stated.add(slope.index)
    found = _divide(work, rest, slope)
    grown = work.make("mul", (collect.on_tape(right.slope), found), ())
    work.make("add", (grown, collect.on_tape(right.rest)), (), "both_sides")
    return found


def _solve_line(work: Backward, collect: Collector, line: Linear, known: Quantity) -> Quantity:
    slope, rest = collect.on_tape(line.slope), line.rest
    unit = known.unit
    if slope.value < 0:
        # 100 - 3 × x = 40: what is taken away is on its own side.
        slope = work.make("neg", (slope,), slope.unit)
        side = work.make("sub", (collect.on_tape(rest), known), unit, "inverse_op")
    else:
        side = collect.less(known, rest)
    work.tape.stated.add(slope.index)
    if slope.value == 1:
        work.say(f"Hence {work.symbol} = {work.equation(side, unit=False)}.", side)
        return side
    if side is not known:
        work.say(f"Hence {times(slope.value, work.symbol)} = {work.equation(side, unit=False)}.", side)
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
