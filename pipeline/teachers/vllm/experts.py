"""How the experts of a mixture-of-experts model share the work: figures from counts of tokens.

With L layers of E experts, of which every token takes k, a layer that T tokens went through made T·k assignments.
``counts[l][e]`` is how many of them expert e of layer l got. All figures follow from counts alone but for the entropy
of the gate, which needs the gate's probabilities.

* share of an expert: count / (T·k), 1/E when the load is even;
* Gini coefficient of a layer: (2·Σ i·x_i) / (E·Σ x_i) - (E+1)/E over its counts x_1 ≤ ... ≤ x_E; 0 is even, 1 - 1/E is
  one expert that gets everything;
* dead expert: one that got no token;
* utilisation at a capacity factor c: each expert of a layer takes at most c·T·k/E assignments, and utilisation is the
  share of assignments that fit, Σ min(count, c·T·k/E) / (T·k); over all layers, both sums run over all of them;
* entropy of the gate: -Σ p·ln p over the gate's probabilities of one token, as its mean over tokens, divided by ln E; 1
  is a gate that prefers no expert, 0 one that is always sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CAPACITY = 1.25
"""The capacity factor that is usual for training with token dropping."""
TARGET = 0.92
"""The utilisation that a balanced mixture should reach."""


@dataclass(frozen=True, slots=True)
class ExpertLoad:
    """What one or more engines counted."""

    layers: tuple[int, ...]
    """The numbers of the layers that have experts, ascending."""
    top_k: int
    """Experts that a token takes."""
    counts: tuple[tuple[int, ...], ...]
    """Tokens of each expert, by layer."""
    entropy: tuple[float, ...] = ()
    """Sum of the gate's entropy over tokens, in nats, by layer; empty where gates were not seen."""
    gated: tuple[int, ...] = ()
    """Tokens whose gate was seen, by layer."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> ExpertLoad:
        """The load that :meth:`data` wrote.

        Raises:
            ValueError: its parts do not fit each other.
        """
        load = cls(
            tuple(data["layers"]),
            data["top_k"],
            tuple(tuple(row) for row in data["counts"]),
            tuple(data.get("entropy", ())),
            tuple(data.get("gated", ())),
        )
        widths = {len(row) for row in load.counts}
        if len(load.counts) != len(load.layers) or len(widths) > 1 or 0 in widths or load.top_k < 1:
            raise ValueError(f"{len(load.layers)} layers, {len(load.counts)} rows of counts of width {sorted(widths)}")
        if len(load.entropy) not in (0, len(load.layers)) or len(load.entropy) != len(load.gated):
            raise ValueError(f"{len(load.entropy)} entropies, {len(load.gated)} counts, {len(load.layers)} layers")
        return load

    def data(self) -> dict[str, Any]:
        """Plain JSON data, from which loads of several engines can be added up."""
        made: dict[str, Any] = {
            "layers": list(self.layers),
            "top_k": self.top_k,
            "counts": [list(row) for row in self.counts],
        }
        if self.entropy:
            made |= {"entropy": list(self.entropy), "gated": list(self.gated)}
        return made


def merge(loads: Iterable[ExpertLoad]) -> ExpertLoad | None:
    """The load of several engines of one model together; ``None`` of none.

    Entropy is kept when every engine saw its gates.

    Raises:
        ValueError: the loads are of models of different shape.
    """
    every = list(loads)
    if not every:
        return None
    first = every[0]
    shape = (first.layers, first.top_k, [len(row) for row in first.counts])
    if any((load.layers, load.top_k, [len(row) for row in load.counts]) != shape for load in every):
        raise ValueError("the loads are of models of different shape")
    counts = tuple(
        tuple(map(sum, zip(*rows, strict=True))) for rows in zip(*(load.counts for load in every), strict=True)
    )
    if not all(load.entropy for load in every):
        return ExpertLoad(first.layers, first.top_k, counts)
    entropy = tuple(map(sum, zip(*(load.entropy for load in every), strict=True)))
    gated = tuple(map(sum, zip(*(load.gated for load in every), strict=True)))
    return ExpertLoad(first.layers, first.top_k, counts, entropy, gated)


def shares(counts: Sequence[int]) -> list[float]:
    """Each expert's share of one layer's assignments; all 0 when there are none."""
    total = sum(counts)
    return [count / total if total else 0.0 for count in counts]


def gini(counts: Sequence[int]) -> float:
    """The Gini coefficient of one layer's counts; 0 when there are none."""
    total, experts = sum(counts), len(counts)
    if not total:
        return 0.0
    ranked = sum(rank * count for rank, count in enumerate(sorted(counts), 1))
    return 2 * ranked / (experts * total) - (experts + 1) / experts


def within(counts: Sequence[int], capacity: float = CAPACITY) -> float:
    """The assignments of one layer that fit when every expert takes ``capacity`` times an even share."""
    limit = capacity * sum(counts) / len(counts)
    return sum(min(count, limit) for count in counts)


def figures(load: ExpertLoad, capacity: float = CAPACITY) -> dict[str, Any]:
    """The figures of a load, by layer and as means over layers; utilisation and entropy are ``None`` when unknown."""
    totals = [sum(row) for row in load.counts]
    assigned = sum(totals)
    fitting = [within(row, capacity) for row in load.counts]
    ginis = [gini(row) for row in load.counts]
    used = sum(fitting) / assigned if assigned else None
    entropies = _entropies(load)
    known = [e for e in entropies if e is not None]
    return {
        "experts": len(load.counts[0]) if load.counts else 0,
        "tokens": max(totals, default=0) // load.top_k,
        "assignments": assigned,
        "capacity_factor": capacity,
        "utilisation": used,
        "utilisation_by_layer": [fit / total if total else None for fit, total in zip(fitting, totals, strict=True)],
        "target": TARGET,
        "reached": None if used is None else used >= TARGET,
        "gini": math.fsum(ginis) / len(ginis) if ginis else None,
        "gini_by_layer": ginis,
        "largest_share_by_layer": [max(shares(row)) for row in load.counts],
        "dead_experts": sum(row.count(0) for row in load.counts) if assigned else None,
        "gate_entropy": math.fsum(known) / len(known) if known else None,
        "gate_entropy_by_layer": entropies,
    }


def _entropies(load: ExpertLoad) -> list[float | None]:
    found: list[float | None] = []
    for total, tokens, row in zip(load.entropy, load.gated, load.counts, strict=False):
        # With a single expert there is nothing to be unsure of.
        found.append(total / tokens / math.log(len(row)) if tokens and len(row) > 1 else None)
    return found
