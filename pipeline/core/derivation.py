"""The step DAG: every value of a worked solution, how it arises and the sentence that states it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dsgen.pipeline.core import exact, units
from dsgen.pipeline.core.arith import LEAVES, Degenerate, evaluate
from dsgen.pipeline.core.exact import Exact


class Node(NamedTuple):
    """One value: a leaf (``given`` or ``const``) or the result of an operation on earlier nodes."""

    op: str
    inputs: tuple[int, ...]
    value: Exact
    unit: units.Unit = ()
    name: str = ""
    """A leaf's parameter name; elsewhere the role that the template gives the step, such as ``prob_ratio``."""


class Step(NamedTuple):
    """A sentence of the solution and the node that it states (-1: it states no value)."""

    text: str
    node: int


@dataclass(frozen=True, slots=True)
class Derivation:
    """A worked solution as data: nodes in order of dependence, sentences, and the node that answers the question."""

    nodes: tuple[Node, ...]
    steps: Sequence[Step]
    answer: int
    symbols: Mapping[str, Exact] = field(default_factory=dict)
    """Values of the unknowns that the sentences name, as in ``4 × x + 12 = 68``."""

    @property
    def value(self) -> Exact:
        """The value of the answer node."""
        return self.nodes[self.answer].value

    def faults(self) -> list[str]:
        """What a re-execution of every node finds wrong; empty when the derivation holds."""
        found = []
        for index, node in enumerate(self.nodes):
            if node.op in LEAVES:
                continue
            if any(i >= index for i in node.inputs):
                found.append(f"node {index} ({node.op}) depends on a later node")
                continue
            try:
                value = evaluate(node.op, tuple(self.nodes[i].value for i in node.inputs))
            except (Degenerate, KeyError, TypeError, ArithmeticError) as error:
                found.append(f"node {index} ({node.op}) cannot be executed: {error}")
                continue
            if value != node.value:
                found.append(f"node {index} ({node.op}) holds {node.value}, re-execution gives {value}")
        return found

    def load_bearing(self) -> list[int]:
        """The answer node and its ancestors, ascending: what the answer cannot do without."""
        wanted = {self.answer}
        for index in range(self.answer, -1, -1):
            if index in wanted:
                wanted.update(self.nodes[index].inputs)
        return sorted(wanted)

    def depth(self) -> int:
        """Operations on the longest path from a leaf to the answer."""
        depths: list[int] = []
        for node in self.nodes:
            depths.append(1 + max([depths[i] for i in node[1]]) if node[1] else 0)
        return depths[self.answer]

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data, and back with :meth:`from_data`."""
        return {
            "nodes": [
                [n.op, list(n.inputs), exact.to_data(n.value), [list(u) for u in n.unit], n.name] for n in self.nodes
            ],
            "steps": [list(step) for step in self.steps],
            "answer": self.answer,
            "symbols": {name: exact.to_data(value) for name, value in self.symbols.items()},
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Derivation:
        """The derivation that :meth:`to_data` wrote."""
        return cls(
            nodes=tuple(
                Node(op, tuple(inputs), exact.from_data(value), tuple((n, p) for n, p in unit), name)
                for op, inputs, value, unit, name in data["nodes"]
            ),
            steps=tuple(Step(text, node) for text, node in data["steps"]),
            answer=data["answer"],
            symbols={name: exact.from_data(value) for name, value in data["symbols"].items()},
        )
