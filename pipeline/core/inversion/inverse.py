"""Going back through a derivation: from the value of its answer to the value of one of its leaves.

What a parameter's value must be is read off the step DAG itself. As long as a node has one input that depends on the
parameter, its operation is undone; where several inputs do, both are written as ``a × x + b`` and the equation is
solved. Every move is one to one, so the value that comes out is the only one, over all numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import gcd
from typing import Any, Literal, NamedTuple

from dsgen.pipeline.core.arith import LEAVES, Degenerate, evaluate
from dsgen.pipeline.core.derivation import Derivation, Node
from dsgen.pipeline.core.exact import Exact

_LINEAR = frozenset({"add", "sub", "sum", "mul", "div"})


class Undo(NamedTuple):
    """One operation to go back through."""

    node: int
    """The node whose operation is undone."""
    position: int
    """Which of its inputs depends on the parameter."""
    inner: int
    """That input: what is known afterwards."""


class Route(NamedTuple):
    """How to get from the answer to the parameter: operations to undo, and what is left at the end of them."""

    undone: tuple[Undo, ...]
    end: int
    kind: Literal["leaf", "line", "ratio", "residue"]
    """``leaf``: the end is the parameter; ``line``: ``a × x + b``; ``ratio``: a quotient of two such; ``residue``: such
    a line, of which only the remainder is known."""
    bounded: bool = False
    """Whether the domain is needed to say that there is one value: a square was undone, or there are residues."""


class Line(NamedTuple):
    """``slope × x + rest``, up to multiples of ``modulus`` unless that is 0."""

    slope: Any
    rest: Any
    modulus: int = 0


def leaves_of(derivation: Derivation, name: str) -> frozenset[int]:
    """The leaves that hold a parameter."""
    return frozenset(i for i, node in enumerate(derivation.nodes) if node.op == "given" and node.name == name)


def dependents(nodes: Sequence[Node], leaves: frozenset[int]) -> list[bool]:
    """For every node, whether it depends on one of the leaves."""
    found: list[bool] = []
    for index, node in enumerate(nodes):
        found.append(any(found[i] for i in node.inputs) if node.inputs else index in leaves)
    return found


def agrees(derivation: Derivation, leaves: frozenset[int], value: Exact, other: Derivation) -> bool:
    """Whether the DAG, executed with another value in its leaves, is node for node what the program derives for it."""
    if len(derivation.nodes) != len(other.nodes) or derivation.answer != other.answer:
        return False
    if any(n.op != t.op or n.inputs != t.inputs for n, t in zip(derivation.nodes, other.nodes, strict=True)):
        return False
    values = _execute(derivation, leaves, value)
    return values is not None and all(v == t.value for v, t in zip(values, other.nodes, strict=True))


def outcome(
    derivation: Derivation, leaves: frozenset[int], value: Exact, *, rounding: Callable[[Any], int] | None = None
) -> Exact | None:
    """What the DAG gives with another value in its leaves; ``None`` when it cannot be executed.

    With ``rounding``, quotients that depend on the parameter and are whole numbers in the derivation are rounded.
    """
    values = _execute(derivation, leaves, value, rounding=rounding)
    return None if values is None else values[derivation.answer]


def _execute(
    derivation: Derivation,
    leaves: frozenset[int],
    value: Exact,
    turned: int = -1,
    rounding: Callable[[Any], int] | None = None,
) -> list[Any] | None:
    """The values of all nodes with another value in the leaves; the sign of one node may be turned round."""
    values: list[Any] = []
    rounded = dependents(derivation.nodes, leaves) if rounding is not None else ()
    try:
        for index, node in enumerate(derivation.nodes):
            if node.op in LEAVES:
                values.append(value if index in leaves else node.value)
            else:
                values.append(evaluate(node.op, tuple(values[i] for i in node.inputs)))
            if index == turned:
                values[-1] = -values[-1]
            if rounding is not None and node.op == "div" and rounded[index] and type(node.value) is int:
                values[-1] = rounding(values[-1])
    except (Degenerate, TypeError):
        return None
    return values


def may_mean_more(derivation: Derivation, leaves: frozenset[int], own: Exact) -> bool:
    """Whether the text, which knows no signs, may be true of another positive number than the parameter's own value.

    The difference of two lengths, angles or ages is told without its sign. So every difference that depends on the
    parameter is turned round, and so is the result: where another positive number of the same kind solves the turned
    equation, or where that cannot be said because the equation is not linear or has negative numbers, more may be
    meant.
    """
    nodes = derivation.nodes
    depends = dependents(nodes, leaves)
    turning = []
    linear = True
    for index in derivation.load_bearing():
        node = nodes[index]
        if not depends[index] or index in leaves:
            continue
        operands: list[Any] = [nodes[i].value for i in node.inputs]
        if node.op == "neg" or not all(_is_number(v) and v >= 0 for v in operands):
            return True
        varying = [p for p, i in enumerate(node.inputs) if depends[i]]
        linear = linear and node.op in _LINEAR
        linear = linear and not (node.op == "div" and 1 in varying) and not (node.op == "mul" and len(varying) > 1)
        if node.op == "sub":
            turning.append(index)
    if not turning:
        return False
    return not linear or any(_has_twin(derivation, leaves, own, index) for index in {*turning, derivation.answer})


def _has_twin(derivation: Derivation, leaves: frozenset[int], own: Exact, turned: int) -> bool:
    """Whether the linear equation with one node turned round is solved by another positive number of the same kind."""
    at_zero, at_one = (_execute(derivation, leaves, v, turned) for v in (0, 1))
    if at_zero is None or at_one is None:
        return True
    result: Any = derivation.value
    rest = at_zero[derivation.answer]
    slope = at_one[derivation.answer] - rest
    if slope == 0:
        return bool(rest == result)
    twin = Fraction(result - rest) / slope
    return twin > 0 and twin != own and (twin.denominator == 1 or type(own) is not int)


def route(derivation: Derivation, leaves: frozenset[int], domain: Sequence[Exact]) -> Route | None:
    """A one-to-one way back from the answer to the parameter; ``None`` when the DAG shows none."""
    nodes = derivation.nodes
    depends = dependents(nodes, leaves)
    at = derivation.answer
    if not depends[at] or not _is_number(nodes[at].value):
        return None
    undone: list[Undo] = []
    bounded = False
    while at not in leaves:
        node = nodes[at]
        places = [p for p, i in enumerate(node.inputs) if depends[i]]
        if len(places) > 1 or not _invertible(nodes, node, places[0]):
            break
        inner = node.inputs[places[0]]
        if node.op == "pow":
            if not _stays_positive(nodes, depends, leaves, inner, domain):
                return None
            bounded = True
        undone.append(Undo(at, places[0], inner))
        at = inner
    else:
        return Route(tuple(undone), at, "leaf", bounded)
    return _at_the_end(nodes, depends, leaves, Route(tuple(undone), at, "line", bounded))


def _at_the_end(nodes: Sequence[Node], depends: list[bool], leaves: frozenset[int], so_far: Route) -> Route | None:
    """What is left where the last operation cannot be undone."""
    at = so_far.end
    lines = lines_below(nodes, depends, leaves, at)
    line = lines.get(at)
    if line is not None and line.modulus == 0:
        return so_far if line.slope != 0 else None
    if line is not None and nodes[at].op == "mod" and not so_far.bounded and line.modulus == _modulus(nodes, at):
        return so_far._replace(kind="residue", bounded=True)
    if nodes[at].op == "div":
        above, below = (lines.get(i) for i in nodes[at].inputs)
        straight = above is not None and below is not None and above.modulus == below.modulus == 0
        if straight and above.slope * below.rest != below.slope * above.rest:  # type: ignore[union-attr]
            return so_far._replace(kind="ratio")
    return None


def lines_below(nodes: Sequence[Node], depends: list[bool], leaves: frozenset[int], top: int) -> dict[int, Line | None]:
    """The nodes up to ``top`` that depend on the parameter as lines in it; ``None`` where one is something else."""
    found: dict[int, Line | None] = {}
    for index in range(top + 1):
        if index in leaves:
            found[index] = Line(1, 0)
        elif depends[index]:
            node = nodes[index]
            inputs = [found[i] if depends[i] else _constant(nodes[i].value) for i in node.inputs]
            if any(line is None for line in inputs):
                found[index] = None
            else:
                found[index] = _combine(node.op, inputs)  # type: ignore[arg-type]
    return found


def _combine(op: str, inputs: list[Line]) -> Line | None:
    first = inputs[0]
    if op == "neg":
        return Line(-first.slope, -first.rest, first.modulus)
    if op in ("add", "sum", "sub"):
        total = first
        sign = -1 if op == "sub" else 1
        for line in inputs[1:]:
            modulus = gcd(total.modulus, line.modulus)
            total = Line(total.slope + sign * line.slope, total.rest + sign * line.rest, modulus)
        whole = type(total.slope) is int and type(total.rest) is int
        return None if total.modulus == 1 or (total.modulus and not whole) else total
    if len(inputs) != 2:
        return None
    second = inputs[1]
    if op == "mul":
        if first.slope == 0 and first.modulus == 0:
            first, second = second, first
        if second.slope != 0 or second.modulus or (first.modulus and type(second.rest) is not int):
            return None
        return Line(first.slope * second.rest, first.rest * second.rest, first.modulus)
    if second.slope != 0 or second.modulus or second.rest == 0:
        return None
    if op == "div" and first.modulus == 0:
        return Line(Fraction(first.slope) / second.rest, Fraction(first.rest) / second.rest)
    whole = type(first.slope) is int and type(first.rest) is int and type(second.rest) is int
    if op == "mod" and whole and second.rest > 1 and first.modulus % second.rest == 0:
        return Line(first.slope % second.rest, first.rest % second.rest, second.rest)
    return None


def _constant(value: Exact) -> Line | None:
    return Line(0, value) if _is_number(value) else None


def _is_number(value: Exact) -> bool:
    return type(value) is int or type(value) is Fraction


def _modulus(nodes: Sequence[Node], index: int) -> Exact:
    return nodes[nodes[index].inputs[1]].value


def _invertible(nodes: Sequence[Node], node: Node, place: int) -> bool:
    """Whether the operation, the other inputs held, is one to one in the input at ``place``."""
    others = [nodes[i].value for p, i in enumerate(node.inputs) if p != place]
    if not all(_is_number(v) for v in others) or not _is_number(nodes[node.inputs[place]].value):
        return False
    if node.op in ("add", "sub", "sum", "neg"):
        return True
    if node.op in ("mul", "div"):
        return others[0] != 0
    return node.op == "pow" and place == 0 and others[0] == 2


def _stays_positive(
    nodes: Sequence[Node], depends: list[bool], leaves: frozenset[int], index: int, domain: Sequence[Exact]
) -> bool:
    """Whether a node is a line in the parameter that is positive on the whole domain."""
    line = lines_below(nodes, depends, leaves, index).get(index)
    if line is None or line.modulus:
        return False
    return all(line.slope * v + line.rest > 0 for v in (domain[0], domain[-1]))
