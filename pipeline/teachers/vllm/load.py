"""Where an engine's counts of experts come from: its workers' hooks, or what its replies bring along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dsgen.pipeline.teachers.vllm.experts import ExpertLoad


class Source(Protocol):
    """Knows the load of an engine's experts."""

    async def load(self) -> ExpertLoad | None:
        """The load until now; ``None`` when the engine has not told."""
        ...

    def add(self, output: Any) -> None:
        """Take a finished request's output into account."""
        ...


class Hooks:
    """Workers count in hooks, see :mod:`dsgen.pipeline.teachers.vllm.extension`.

    What is counted is what was computed: prompts and replies, but neither the part of a prompt that came out of the
    prefix cache nor a reply's last token, which goes through no layer.
    """

    def __init__(self, engine: Any, top_k: int) -> None:
        self._engine = engine
        self._top_k = top_k

    async def start(self) -> str:
        """Begin to count; says why that is not possible, or nothing."""
        answers = await self._engine.collective_rpc("dsgen_expert_start")
        return next((a["why_not"] for a in answers if "why_not" in a), "")

    async def load(self) -> ExpertLoad | None:
        return from_workers(await self._engine.collective_rpc("dsgen_expert_counts"), self._top_k)

    def add(self, output: Any) -> None:
        """Workers count for themselves."""


class Routed:
    """Adds up the choices of experts that replies carry, [tokens, layers, k], the prompt's tokens first.

    Gates are not seen this way: their entropy stays unknown. Prompts count whole, whatever the prefix cache held of
    them, and once for all samples.
    """

    def __init__(self, experts: int, top_k: int, layers: Sequence[int]) -> None:
        self._experts = experts
        self._top_k = top_k
        self._layers = list(layers)
        self._counts: npt.NDArray[np.int64] = np.zeros((len(self._layers), experts), dtype=np.int64)

    async def load(self) -> ExpertLoad | None:
        counts = tuple(tuple(row) for row in self._counts.tolist())
        return ExpertLoad(tuple(self._layers), self._top_k, counts) if counts else None

    def add(self, output: Any) -> None:
        prompt = len(output.prompt_token_ids or ())
        for sample in output.outputs:
            if sample.routed_experts is not None:
                self._count(np.asarray(sample.routed_experts)[prompt if sample.index else 0 :])

    def _count(self, chosen: npt.NDArray[Any]) -> None:
        # Layers without experts stand in there as well, filled with zeros.
        kept = chosen[:, self._layers, :].astype(np.int64)
        kept += (np.arange(len(self._layers)) * self._experts)[None, :, None]
        found = np.bincount(kept.ravel(), minlength=self._counts.size)
        self._counts += found.reshape(self._counts.shape)


def from_workers(answers: Iterable[Sequence[Mapping[str, Any]]], top_k: int) -> ExpertLoad | None:
    """The load that workers counted; ``None`` when none of them has a layer with experts.

    Workers of one pipeline stage see the same tokens through the same gates, so the first one speaks for its stage.
    """
    layers: dict[int, Mapping[str, Any]] = {}
    for answer in answers:
        for record in answer:
            layers.setdefault(record["layer"], record)
    if not layers:
        return None
    records = [layers[number] for number in sorted(layers)]
    counts = tuple(tuple(record["counts"]) for record in records)
    if not all(record["gated"] for record in records):
        return ExpertLoad(tuple(sorted(layers)), top_k, counts)
    return ExpertLoad(
        tuple(sorted(layers)),
        top_k,
        counts,
        tuple(record["entropy"] for record in records),
        tuple(record["gated"] for record in records),
    )
