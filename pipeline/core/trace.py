"""Traced quantities: plain arithmetic that records its own step DAG, as autograd records a tape.

A template's ``solve`` receives quantities and a :class:`Trace`. Arithmetic on quantities adds nodes;
:meth:`Trace.step` states a node in a sentence whose ``{}`` becomes the equation, written from the nodes themselves, so
that no number in a solution is typed by hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, overload

from dsgen.pipeline.core import units
from dsgen.pipeline.core.arith import OPS, evaluate
from dsgen.pipeline.core.derivation import Derivation, Node, Step
from dsgen.pipeline.core.exact import Exact, plain, show
from dsgen.pipeline.core.units import Unit, UnitMismatch

Operand = "Quantity | int | Fraction"


class Quantity:
    """An exact value with a unit, at its place on a tape. Comparisons give plain booleans and are not recorded."""

    __slots__ = ("index", "trace", "unit", "value")

    def __init__(self, trace: Trace, index: int, value: Any, unit: Unit) -> None:
        self.trace = trace
        self.index = index
        self.value = value
        self.unit = unit

    def __add__(self, other: Quantity | int | Fraction) -> Quantity:
        return self.trace.binary("add", self, other)

    def __radd__(self, other: int | Fraction) -> Quantity:
        return self.trace.binary("add", other, self)

    def __sub__(self, other: Quantity | int | Fraction) -> Quantity:
        return self.trace.binary("sub", self, other)

    def __rsub__(self, other: int | Fraction) -> Quantity:
        return self.trace.binary("sub", other, self)

    def __mul__(self, other: Quantity | int | Fraction) -> Quantity:
        return self.trace.binary("mul", self, other)

    def __rmul__(self, other: int | Fraction) -> Quantity:
        return self.trace.binary("mul", other, self)

    def __truediv__(self, other: Quantity | int | Fraction) -> Quantity:
        return self.trace.binary("div", self, other)

    def __rtruediv__(self, other: int | Fraction) -> Quantity:
        return self.trace.binary("div", other, self)

    def __floordiv__(self, other: Quantity | int) -> Quantity:
        return self.trace.binary("floordiv", self, other)

    def __mod__(self, other: Quantity | int) -> Quantity:
        return self.trace.binary("mod", self, other)

    def __rmod__(self, other: int) -> Quantity:
        return self.trace.binary("mod", other, self)

    def __pow__(self, other: Quantity | int) -> Quantity:
        return self.trace.binary("pow", self, other)

    def __rpow__(self, other: int | Fraction) -> Quantity:
        return self.trace.binary("pow", other, self)

    def __neg__(self) -> Quantity:
        return self.trace.apply("neg", self)

    def __lt__(self, other: Quantity | int | Fraction) -> bool:
        return bool(self.value < bare(other))

    def __le__(self, other: Quantity | int | Fraction) -> bool:
        return bool(self.value <= bare(other))

    def __gt__(self, other: Quantity | int | Fraction) -> bool:
        return bool(self.value > bare(other))

    def __ge__(self, other: Quantity | int | Fraction) -> bool:
        return bool(self.value >= bare(other))

    def __index__(self) -> int:
        return int(self.value)

    def __str__(self) -> str:
        return show(self.value)

    def __repr__(self) -> str:
        return f"<{show(self.value)} {units.show(self.unit)}>".replace(" >", ">")


def bare(operand: Any) -> Any:
    """The value of a quantity, or the operand itself."""
    return operand.value if type(operand) is Quantity else operand


class _Draft(NamedTuple):
    """A sentence before it is written: most derivations are only executed, and nobody reads them."""

    sentence: str
    node: int
    shown: Mapping[str, Any]
    when: int
    """How many nodes had been stated before it."""
    again: bool
    """The node had been stated before: only its value is written."""


class _Stated(dict[int, int]):
    """The stated nodes, each with its turn."""

    def add(self, index: int) -> None:
        """Note that a node has been stated, unless it was before."""
        self.setdefault(index, len(self))


class Sentences(Sequence[Step]):
    """The sentences of a derivation, written when they are first read."""

    __slots__ = ("_drafts", "_made", "_trace")

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._drafts = tuple(trace.steps)
        self._made: tuple[Step, ...] | None = None

    def _steps(self) -> tuple[Step, ...]:
        if self._made is None:
            self._made = tuple([d if isinstance(d, Step) else self._trace.written(d) for d in self._drafts])
        return self._made

    @overload
    def __getitem__(self, place: int) -> Step: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Step, ...]: ...
    def __getitem__(self, place: int | slice) -> Step | tuple[Step, ...]:
        return self._steps()[place]

    def __len__(self) -> int:
        return len(self._drafts)

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (tuple, Sentences)) and self._steps() == tuple(other)

    def __hash__(self) -> int:
        return hash(self._steps())

    def __repr__(self) -> str:
        return repr(self._steps())

    def __reduce__(self) -> tuple[Any, ...]:
        return tuple, (self._steps(),)


class Trace:
    """The tape: nodes in order, and the sentences that state them."""

    __slots__ = ("nodes", "shown", "stated", "steps", "symbols")

    def __init__(self, shown: Mapping[str, Any] | None = None) -> None:
        self.nodes: list[Node] = []
        self.steps: list[Step | _Draft] = []
        self.stated = _Stated()
        self.shown = shown or {}
        """What ``{name}`` stands for in a sentence."""
        self.symbols: dict[str, Exact] = {}

    def given(self, name: str, value: Any, unit: Unit = ()) -> Quantity:
        """A leaf that the statement gives."""
        return self._push("given", (), value, unit, name)

    def const(self, value: Exact, unit: str = "") -> Quantity:
        """A leaf that everybody knows: 100 for percent, 60 minutes in an hour."""
        return self._push("const", (), plain(value), units.parse(unit), "")

    def binary(self, op: str, left: Any, right: Any) -> Quantity:
        """An arithmetic node; a bare number takes the unit that a sum needs."""
        additive = op in ("add", "sub")
        if type(left) is not Quantity:
            left = self._push("const", (), plain(left), right.unit if additive else (), "")
        elif type(right) is not Quantity:
            right = self._push("const", (), plain(right), left.unit if additive or op == "mod" else (), "")
        unit: Unit = left.unit
        if additive or op == "mod":
            if unit != right.unit:
                raise UnitMismatch(f"{op} of {left!r} and {right!r}")
        elif op == "mul":
            unit = units.multiply(unit, right.unit) if unit and right.unit else unit or right.unit
        elif op in ("div", "floordiv"):
            unit = units.multiply(unit, right.unit, -1) if right.unit else unit
        elif unit:
            unit = tuple((name, power * int(right.value)) for name, power in unit if right.value)
        value = evaluate(op, (left.value, right.value))
        return self._push(op, (left.index, right.index), value, unit, "")

    def apply(self, op: str, *operands: Any, unit: str | None = None, role: str = "") -> Quantity:
        """A node by the name of its operation, see :data:`dsgen.pipeline.core.arith.OPS`.

        The unit is the first operand's for operations that keep it, unless ``unit`` names one.
        """
        made = [o if type(o) is Quantity else self._push("const", (), plain(o), (), "") for o in operands]
        own = units.parse(unit) if unit is not None else made[0].unit if op in _KEEPS_UNIT and made else ()
        value = evaluate(op, tuple(o.value for o in made))
        return self._push(op, tuple(o.index for o in made), value, own, role)

    def step(self, sentence: str, quantity: Quantity, *, role: str = "", **shown: Any) -> Quantity:
        """State a quantity: ``{}`` in the sentence becomes ``2 × (14 + 20) = 68 m``.

        Later equations use the stated value as it stands. ``role`` says what kind of reasoning the step is, in the
        words of the pattern list (``prob_ratio``, ``percent_of``, ...).
        """
        index = quantity.index
        node = self.nodes[index]
        if role:
            self.nodes[index] = node = node._replace(name=role)
        stated = self.stated
        when = len(stated)
        self.steps.append(_Draft(sentence, index, shown, when, stated.setdefault(index, when) != when))
        return quantity

    def state(self, quantity: Quantity, *, role: str = "") -> str:
        """The equation of a further quantity of a sentence: ``step("... {} ... {other}", one, other=t.state(two))``."""
        index = quantity.index
        if role:
            self.nodes[index] = self.nodes[index]._replace(name=role)
        text = self.equation(index)
        self.stated.add(index)
        return text

    def let(self, name: str, value: Quantity | int | Fraction) -> None:
        """Declare an unknown that the sentences name, and its value, so that equations with it can be checked."""
        self.symbols[name] = bare(value)

    def say(self, sentence: str, **shown: Any) -> None:
        """A sentence that states no new value; numbers in it come from ``shown`` only."""
        self.steps.append(_Draft(sentence, -1, shown, 0, False))

    def written(self, draft: _Draft) -> Step:
        """A sentence with its equation, as it was when it was said."""
        sentence, index, shown, when, again = draft
        if index < 0:
            return Step(sentence.format(**self.shown, **shown), -1)
        text = self.amount(index) if again else self.equation(index, when)
        return Step(sentence.format(text, **self.shown, **shown), index)

    def equation(self, index: int, when: int | None = None) -> str:
        """``expression = value unit`` of a node, or the relation alone when the node is a truth value.

        Nodes that had been stated when ``when`` nodes had been (now, without it) stand in it as values.
        """
        node = self.nodes[index]
        text = self._write(index, 0, len(self.stated) if when is None else when, top=True)
        value = show(node.value)
        if type(node.value) is bool and node.op in _RELATIONS:
            return text if node.value else f"{text} is false"
        if text.replace(" / ", "/") == value:
            text = value
        elif text != value:
            text = f"{text} = {value}"
        return _with_unit(text, node) if node.unit else text

    def amount(self, index: int) -> str:
        """``value unit`` of a node, which is all there is to say when its equation was stated before."""
        node = self.nodes[index]
        return _with_unit(show(node.value), node) if node.unit else show(node.value)

    def finish(self, answer: Quantity) -> Derivation:
        """The tape as a derivation that ends in ``answer``."""
        return Derivation(tuple(self.nodes), Sentences(self), answer.index, self.symbols)

    def _push(self, op: str, inputs: tuple[int, ...], value: Any, unit: Unit, name: str) -> Quantity:
        nodes = self.nodes
        nodes.append(Node(op, inputs, value, unit, name))
        return Quantity(self, len(nodes) - 1, value, unit)

    def _write(self, index: int, floor: int, when: int, *, top: bool = False) -> str:
        """The expression below a node, in brackets when it binds no tighter than ``floor``."""
        op, inputs, value, _, _ = self.nodes[index]
        if not inputs or (not top and self.stated.get(index, when) < when):
            # A negative number or a fraction inside an expression binds like the operation that writes it.
            binds = 1 if type(value) is int and value < 0 else 2 if type(value) is Fraction else 9
            return show(value) if binds > floor or top else f"({show(value)})"
        form = OPS[op]
        if form.form == "value":
            return show(value)
        own = form.precedence
        if form.form == "infix":
            # a ^ b groups to the right, everything else to the left; products keep brackets around a quotient.
            left = self._write(inputs[0], own if op == "pow" else own - 1, when)
            same = op == "add" and not _is_negative(self.nodes[inputs[1]].value)
            right = self._write(inputs[1], own - 1 if same else own, when)
            text = f"{left} {form.sign} {right}" if op != "pow" else f"{left}^{right}"
        elif form.form == "sum":
            text = " + ".join(self._write(i, own, when) for i in inputs)
        elif form.form == "postfix":
            text = self._write(inputs[0], own, when) + form.sign
        elif form.form == "prefix":
            text = form.sign + self._write(inputs[0], max(own, 3), when)  # -(1 mod 2) is not (-1) mod 2
        else:
            return f"{form.sign}({', '.join(self._write(i, 0, when) for i in inputs)})"
        return text if own > floor else f"({text})"


def _is_negative(value: Exact) -> bool:
    return isinstance(value, (int, Fraction)) and value < 0


def _with_unit(text: str, node: Node) -> str:
    unit = units.show(node.unit, one=node.value == 1)
    return text + unit if unit == "°" else f"{text} {unit}"


_KEEPS_UNIT = frozenset({"neg", "sum", "min", "max", "abs", "floor", "ceil", "gcd", "lcm"})
_RELATIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne"})
