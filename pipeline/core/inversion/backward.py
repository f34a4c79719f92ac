"""The tape of a solution that goes from a result back to a hidden parameter."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dsgen.pipeline.core.arith import LEAVES, evaluate
from dsgen.pipeline.core.derivation import Derivation, Node, Step
from dsgen.pipeline.core.exact import show
from dsgen.pipeline.core.inversion.frames import SLOT, opened, with_unit
from dsgen.pipeline.core.inversion.inverse import dependents
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.pipeline.core.units import Unit


class Backward:
    """The tape of a backward solution and what of the forward derivation stands on it already."""

    def __init__(
        self,
        forward: Derivation,
        leaves: frozenset[int],
        frames: Sequence[str | None],
        symbol: str,
        *,
        unique: bool = True,
    ) -> None:
        self.forward = forward
        self.nodes = forward.nodes
        self.leaves = leaves
        self.frames = frames
        self.symbol = symbol
        self.unique = unique
        self.depends = dependents(forward.nodes, leaves)
        self.bearing = forward.load_bearing()
        self.tape = Trace()
        self.here: dict[int, Quantity] = {}
        """Forward nodes that stand on this tape, by their forward index."""
        answer = forward.nodes[forward.answer]
        self.result = self.tape.given("result", answer.value, answer.unit)
        self.said: set[int] = set()
        self.calculates = False
        """Sentences without a value were said that show calculations."""
        self.stated_by: dict[int, int] = {}
        """The step that states a node first."""
        for place, step in enumerate(forward.steps):
            if step.node >= 0:
                self.stated_by.setdefault(step.node, place)

    def make(self, op: str, inputs: Iterable[Quantity], unit: Unit, role: str = "") -> Quantity:
        """A new node with a unit that is known beforehand."""
        made = tuple(inputs)
        value = evaluate(op, tuple(q.value for q in made))
        return self.push(Node(op, tuple(q.index for q in made), value, unit, role))

    def more(self, left: Quantity, right: Quantity, unit: Unit, role: str = "") -> Quantity:
        """A sum; instead of adding a negative number, its opposite is taken away."""
        if right.value >= 0:
            return self.make("add", (left, right), unit, role)
        return self.make("sub", (left, self._opposite(right)), unit, role)

    def less(self, left: Quantity, right: Quantity, unit: Unit, role: str = "") -> Quantity:
        """A difference; instead of taking a negative number away, its opposite is added."""
        if right.value >= 0:
            return self.make("sub", (left, right), unit, role)
        return self.make("add", (left, self._opposite(right)), unit, role)

    def _opposite(self, quantity: Quantity) -> Quantity:
        opposite = self.make("neg", (quantity,), quantity.unit)
        self.tape.stated.add(opposite.index)
        return opposite

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
            text = text.removesuffix(with_unit("", quantity.unit, one=quantity.value == 1)).rstrip()
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
        """What the forward solution says first, and its steps that do not depend on what is hidden."""
        opening = next((i for i, step in enumerate(self.forward.steps) if step.node >= 0), 0)
        self._say_frames(range(opening))
        for index in self.bearing:
            if self.depends[index] or index not in self.stated_by or self.nodes[index].op in LEAVES:
                continue
            quantity = self.graft(index)
            self.lead_in(index)
            frame = self.frames[self.stated_by[index]] or f"The given numbers tell {SLOT}."
            self.calculates = self.calculates or SLOT not in frame
            self.say(opened(frame.replace(SLOT, self.equation(quantity))), quantity)

    def lead_in(self, index: int) -> None:
        """The sentences without a value that stand right before the step of a node, as far as they tell nothing."""
        last = self.stated_by[index]
        first = last
        while first > 0 and self.forward.steps[first - 1].node < 0 and first - 1 not in self.said:
            first -= 1
        self._say_frames(range(first, last))

    def _say_frames(self, places: Iterable[int]) -> None:
        """Sentences without a value."""
        for place in places:
            self.said.add(place)
            text = self.frames[place]
            # An equation with the unknown in it is true for one value only.
            if text and (self.unique or "=" not in text):
                self.say(text)
                self.calculates = self.calculates or "=" in text

    def complete(self, found: Quantity) -> None:
        """Put on the tape what sentences without a value have calculated."""
        if self.calculates:
            self.here.update(dict.fromkeys(self.leaves, found))
            for index in range(len(self.nodes)):
                self.graft(index)

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
