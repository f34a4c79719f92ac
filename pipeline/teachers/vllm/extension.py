"""Counting experts inside vLLM's workers: mixed into the worker class, its methods are called by name over RPC.

Routers hand every choice of experts to a callback, which is where counts come from: exact for every way of routing.
The gate's output, from which its entropy comes, is seen by a forward hook. Both run in the model's own Python code, so
they need eager execution; a CUDA graph replays its kernels without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

_WHY_NOT = "why_not"


class ExpertExtension:
    """Methods that a worker gains. Their names start with ``dsgen_``: a name that the worker has stops its start."""

    def dsgen_expert_layers(self) -> list[int]:
        """The numbers of this worker's layers that have experts."""
        return sorted(int(runner.layer_id) for runner in _runners(self))

    def dsgen_expert_start(self) -> dict[str, Any]:
        """Hook all routers and gates of this worker and count from 0.

        Returns:
            ``layers``, the numbers of the layers that are counted, or ``why_not`` it cannot be done.
        """
        runners = _runners(self)
        if any(not hasattr(runner.router, "set_capture_fn") for runner in runners):
            kinds = sorted({type(runner.router).__name__ for runner in runners})
            return {_WHY_NOT: f"routers of kind {', '.join(kinds)} do not tell what they choose"}
        tallies: dict[int, _Tally] = {}
        for runner in runners:
            tally = tallies[int(runner.layer_id)] = _Tally(int(runner.router.global_num_experts))
            tally.score = getattr(runner.router, "scoring_func", "softmax")
            runner.router.set_capture_fn(tally.choose)
            if runner.gate is not None:
                runner.gate.register_forward_hook(_gate_hook(tally))
            else:
                runner.register_forward_pre_hook(_logits_hook(tally), with_kwargs=True)
        vars(self)["_dsgen_tallies"] = tallies
        return {"layers": sorted(tallies)}

    def dsgen_expert_counts(self) -> list[dict[str, Any]]:
        """What was counted since the start, a record for each layer of this worker."""
        tallies: dict[int, _Tally] = vars(self).get("_dsgen_tallies", {})
        return [{"layer": layer, **tally.data()} for layer, tally in sorted(tallies.items())]


class _Tally:
    """What one layer has seen. Sums stay in tensors: turning them into numbers waits for the device."""

    def __init__(self, experts: int) -> None:
        self.experts = experts
        self.score = "softmax"
        self.counts: torch.Tensor | None = None
        self.entropy: torch.Tensor | None = None
        self.gated = 0

    def choose(self, chosen: torch.Tensor) -> None:
        """Count a choice of experts, [tokens, k]."""
        counted = torch.bincount(chosen.flatten().long(), minlength=self.experts)
        self.counts = counted if self.counts is None else self.counts + counted

    def gate(self, logits: torch.Tensor) -> None:
        """Add up the entropy of a gate's output, [tokens, experts]."""
        if logits.dim() != 2 or logits.shape[-1] != self.experts:  # a gate with something fused to it
            return
        logits = logits.detach().float()
        if self.score == "sigmoid":
            scores = logits.sigmoid()
            shares = scores / scores.sum(dim=-1, keepdim=True)
        elif self.score == "softmax":
            shares = logits.softmax(dim=-1)
        else:
            return
        entropy = torch.special.entr(shares).sum(dtype=torch.float64)
        self.entropy = entropy if self.entropy is None else self.entropy + entropy
        self.gated += logits.shape[0]

    def data(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "counts": [0] * self.experts if self.counts is None else self.counts.tolist(),
            "entropy": 0.0 if self.entropy is None else float(self.entropy),
            "gated": self.gated,
        }


def _runners(worker: Any) -> list[Any]:
    """The modules that route tokens to experts, whatever the model calls them."""
    model = worker.get_model()
    return [m for m in model.modules() if hasattr(m, "router") and hasattr(m, "layer_id") and hasattr(m, "gate")]


def _gate_hook(tally: _Tally) -> Callable[..., None]:
    def hook(_module: Any, _arguments: Any, output: Any) -> None:
        tally.gate(output[0] if isinstance(output, tuple) else output)

    return hook


def _logits_hook(tally: _Tally) -> Callable[..., None]:
    """For models that apply the gate themselves and hand its output over."""

    def hook(_module: Any, arguments: Any, named: Any) -> None:
        logits = named.get("router_logits", arguments[1] if len(arguments) > 1 else None)
        if logits is not None:
            tally.gate(logits)

    return hook
