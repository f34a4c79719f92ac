"""Layouts of engines over GPUs, and which of them vLLM runs: the rules that do not depend on memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from dsgen.pipeline.sizing.attention import Delta, Grouped
from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import Scheme


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a layout is not to be run."""

    reason: str
    """One of ``REASONS``."""
    detail: str

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


REASONS = {
    "uncoordinated_ranks": "ranks of one expert-parallel group as engines that do not know of each other",
    "expert_parallel_alone": "expert parallelism over a single rank",
    "expert_parallel_without_experts": "expert parallelism for a dense model",
    "data_parallel_without_experts": "data-parallel ranks in one engine for a dense model",
    "more_ranks_than_experts": "ranks that would own no expert",
    "uneven_experts": "experts that do not divide evenly where the engine needs it",
    "heads_not_divisible": "attention heads that do not divide by tensor_parallel",
    "kv_heads_not_divisible": "KV heads that neither divide by tensor_parallel nor repeat evenly",
    "width_not_divisible": "a width that does not divide by the ranks that share it",
    "quantised_width_not_divisible": "a rank's share of a width that is no whole number of quantisation groups",
    "pipeline_too_deep": "more stages than layers",
    "tensor_across_nodes": "tensor parallelism over the network",
    "not_enough_gpus": "more GPUs than there are",
    "beyond_one_node": "an engine over several nodes without the setting that lets it",
    "context_too_long": "a longer context than the model has positions for",
    "quantisation_mismatch": "a method that the checkpoint is not made for",
    "does_not_fit": "weights or one sequence's cache beyond the memory",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """Independent engines, and the ranks of each."""

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False
    engines: int = 1

    @property
    def per_engine(self) -> int:
        """GPUs of one engine."""
        return self.tensor * self.pipeline * self.data

    @property
    def gpus(self) -> int:
        """GPUs of all engines."""
        return self.per_engine * self.engines

    @property
    def group(self) -> int:
        """Ranks that share the experts of a layer: vLLM spans TP x DP, with and without expert parallelism.

        ``FusedMoEParallelConfig.make`` (``model_executor/layers/fused_moe/config.py``) flattens TP over DP: without
        expert parallelism each expert's width is cut into TP x DP pieces, with it each rank owns whole experts.
        """
        return self.tensor * self.data

    @property
    def sequence_parallel(self) -> bool:
        """Experts see each token once though TP ranks hold copies, and shared experts are on every rank.

        ``ParallelConfig.use_sequence_parallel_moe``, with the default ``all2all_backend``.
        """
        return self.expert_parallel and self.tensor > 1 and self.data > 1

    def nodes(self, cluster: Cluster) -> int:
        """Nodes that one engine takes a part of, or all of."""
        return max(1, math.ceil(self.per_engine / cluster.gpus_per_node))

    def __str__(self) -> str:
        parts = [f"TP {self.tensor}"]
        parts += [f"PP {self.pipeline}"] if self.pipeline > 1 else []
        parts += [f"DP {self.data}"] if self.data > 1 else []
        parts += [f"EP {self.group}"] if self.expert_parallel else []
        return " x ".join(parts) + ("" if self.engines == 1 else f", {self.engines} engines")


def room_for(per_engine: int, cluster: Cluster) -> int:
    """Engines of so many GPUs that a cluster holds: small ones within a node, larger ones on whole nodes."""
    if per_engine <= cluster.gpus_per_node:
        return cluster.nodes * (cluster.gpus_per_node // per_engine)
    return cluster.nodes // math.ceil(per_engine / cluster.gpus_per_node)


def candidates(shape: ModelShape, cluster: Cluster) -> Iterator[Layout]:
    """Layouts to look at: tensor parallelism within a node, engines within a node or on whole nodes.

    Stages and data-parallel ranks together are left out: vLLM takes them, but few run them.
    """
    node = cluster.gpus_per_node
    sizes = {*_divisors(node), *(2**i for i in range(node.bit_length()) if 2**i <= node)}
    sizes |= {n * node for n in range(2, min(cluster.nodes, 16) + 1)}
    for per_engine in sorted(sizes):
        engines = room_for(per_engine, cluster)
        for tensor in _divisors(per_engine):
            if tensor > cluster.gpus_per_node or shape.heads % tensor:
                continue
            for pipeline in _divisors(per_engine // tensor):
                data = per_engine // tensor // pipeline
                if pipeline > min(16, shape.layers) or (data > 1 and (shape.experts is None or pipeline > 1)):
                    continue
                yield Layout(tensor, pipeline, data, False, engines)
                if shape.experts is not None and tensor * data > 1:
                    yield Layout(tensor, pipeline, data, True, engines)


def faults(shape: ModelShape, layout: Layout, cluster: Cluster, scheme: Scheme) -> list[Refusal]:
    """What speaks against a layout, memory aside; each with the rule of vLLM that would stop or spoil it."""
    return [*_over_gpus(shape, layout, cluster), *_over_heads(shape, layout), *_over_widths(shape, layout, scheme)]


def _over_gpus(shape: ModelShape, layout: Layout, cluster: Cluster) -> Iterator[Refusal]:
    if layout.tensor > cluster.gpus_per_node:
        yield Refusal(
            "tensor_across_nodes",
            f"tensor_parallel {layout.tensor} on nodes of {cluster.gpus_per_node}: two all-reduces a layer would go "
            "over the network; use pipeline_parallel, or data_parallel with expert_parallel, across nodes",
        )
    held = room_for(layout.per_engine, cluster)
    if layout.engines > held:
        yield Refusal(
            "not_enough_gpus",
            f"{layout.engines} engines of {layout.per_engine} GPUs; {cluster} holds {held}",
        )
    if layout.pipeline > shape.layers:
        yield Refusal("pipeline_too_deep", f"pipeline_parallel {layout.pipeline} for {shape.layers} layers")
    if shape.experts is None and layout.data > 1:
        yield Refusal(
            "data_parallel_without_experts",
            f"data_parallel {layout.data}, but the model is dense: vLLM runs such ranks as separate copies behind one "
            f"front end; use engines: {layout.engines * layout.data}, which fail and restart one by one",
        )
    if not layout.expert_parallel:
        return
    if shape.experts is None:
        yield Refusal(
            "expert_parallel_without_experts",
            "the model has no experts; vLLM stops with 'Number of experts in the model must be greater than 0'",
        )
    elif layout.group == 1:
        yield Refusal(
            "expert_parallel_alone",
            "expert_parallel needs ranks that share experts: tensor_parallel or data_parallel, within one engine. "
            "More engines are more copies of the model and share nothing",
        )
    elif layout.group > shape.experts.number:
        yield Refusal(
            "more_ranks_than_experts",
            f"{layout.group} ranks (tensor_parallel x data_parallel) for {shape.experts.number} experts",
        )


def _over_heads(shape: ModelShape, layout: Layout) -> Iterator[Refusal]:
    tp = layout.tensor
    if shape.heads % tp:
        yield Refusal(
            "heads_not_divisible",
            f"{shape.heads} attention heads by tensor_parallel {tp}; vLLM wants them to divide",
        )
    for attention, _ in shape.attention:
        if isinstance(attention, Grouped):
            kv = attention.kv_heads
            if (kv % tp) if kv >= tp else (tp % kv):
                yield Refusal(
                    "kv_heads_not_divisible",
                    f"{kv} KV heads by tensor_parallel {tp}; one has to divide the other",
                )
                return
        if isinstance(attention, Delta) and (attention.key_heads % tp or attention.value_heads % tp):
            yield Refusal(
                "heads_not_divisible",
                f"{attention.key_heads} key and {attention.value_heads} value heads of the linear attention by "
                f"tensor_parallel {tp}",
            )


def _over_widths(shape: ModelShape, layout: Layout, scheme: Scheme) -> Iterator[Refusal]:
    e, tp = shape.experts, layout.tensor
    yield from _kv_columns(shape, tp, scheme)
    if shape.dense_layers:
        yield from _rows("dense_mlp", "the MLP's width", shape.dense_width, tp, scheme)
    for attention, _ in shape.attention:
        if not isinstance(attention, Delta):
            width = attention.heads * (attention.head_dim if isinstance(attention, Grouped) else attention.value)
            yield from _rows("attention", "the output projection's input", width, tp, scheme)
            break
    if e is None:
        return
    if e.shared_width and not layout.sequence_parallel:
        yield from _rows("shared_experts", "the shared experts' width", e.shared_width, tp, scheme)
    if layout.expert_parallel:
        return
    ranks = layout.group
    if e.width % ranks:
        yield Refusal(
            "width_not_divisible",
            f"an expert's width of {e.width} by {ranks} ranks (tensor_parallel x data_parallel); expert_parallel keeps "
            "experts whole",
        )
    elif "experts" in scheme.parts and scheme.kept.get("experts", 0.0) < 1:
        yield from _expert_shard(shape, e.width // ranks, ranks, scheme)


def _expert_shard(shape: ModelShape, share: int, ranks: int, scheme: Scheme) -> Iterator[Refusal]:
    """A rank's share of an expert in quantised pieces.

    vLLM 0.32 refines FP8 blocks that a share does not fill, as long as the finer block has 32 rows or more
    (``refine_fp8_moe_block_shape``); AWQ and GPTQ halve their groups down to 32 (``moe_wna16.py``);
    compressed-tensors wants whole groups; MXFP4 pads.
    """
    advice = "lower tensor_parallel, or use expert_parallel, which keeps experts whole"
    if scheme.block is not None and not scheme.online:
        finer = math.gcd(scheme.block, share, shape.hidden)
        if share % scheme.block and finer < 32:
            yield Refusal(
                "quantised_width_not_divisible",
                f"{share} of an expert's width on each of {ranks} ranks; FP8 blocks of {scheme.block} cannot be cut "
                f"to fit it: {advice}",
            )
    elif scheme.group is not None and scheme.name in ("awq", "gptq"):
        if math.gcd(scheme.group, share, shape.hidden) < min(32, scheme.group):
            yield Refusal(
                "quantised_width_not_divisible",
                f"{share} of an expert's width on each of {ranks} ranks; groups of {scheme.group} cannot be halved "
                f"to fit it without going below 32: {advice}",
            )
    elif scheme.group is not None and share % scheme.group:
        yield Refusal(
            "quantised_width_not_divisible",
            f"{share} of an expert's width on each of {ranks} ranks is not a multiple of the groups of "
            f"{scheme.group}: {advice}",
        )


def _kv_columns(shape: ModelShape, tp: int, scheme: Scheme) -> Iterator[Refusal]:
    """Keys and values of a rank are a matrix of their own within the merged projection, in whole FP8 blocks."""
    kv = next((a for a, _ in shape.attention if isinstance(a, Grouped)), None)
    if kv is None or tp == 1 or scheme.block is None or scheme.online or scheme.kept.get("attention", 0.0) >= 1:
        return
    columns = max(1, kv.kv_heads // tp) * kv.head_dim
    if columns % scheme.block:
        yield Refusal(
            "quantised_width_not_divisible",
            f"keys are {columns} columns on each of {tp} ranks, not a multiple of the FP8 blocks of {scheme.block}: "
            "lower tensor_parallel",
        )


def _rows(part: str, what: str, width: int, tp: int, scheme: Scheme) -> Iterator[Refusal]:
    if width % tp:
        yield Refusal("width_not_divisible", f"{what} of {width} by tensor_parallel {tp}")
        return
    step = scheme.block or scheme.group
    if tp == 1 or step is None or scheme.online or part not in scheme.parts or scheme.kept.get(part, 0.0) >= 1:
        return
    if width // tp % step:
        yield Refusal(
            "quantised_width_not_divisible",
            f"{what} is {width // tp} on each of {tp} ranks, not a multiple of the "
            f"{'blocks' if scheme.block else 'groups'} of {step} that share a scale: lower tensor_parallel",
        )


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]
