"""What an engine needs to start: a method the checkpoint is made for, positions, memory; and how many GPUs would do."""

from __future__ import annotations

from dataclasses import replace

from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.layout import Layout, Refusal, candidates, faults
from dsgen.pipeline.sizing.memory import Demand, Memory, memory
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import ONLINE, SAME, Scheme

GB = 1e9
SEARCHED_NODES = 16


def scheme_for(shape: ModelShape, quantization: str | None) -> Scheme | Refusal:
    """How the weights will be kept: as the checkpoint has them, or made 8-bit while loading."""
    stored = shape.stored
    if quantization is None:
        return stored
    if not stored.parts:
        if quantization in ONLINE:
            return ONLINE[quantization]
        if quantization == "fp8":
            detail = "`fp8` is for checkpoints that are FP8 already; for this 16-bit one write fp8_per_tensor"
        else:
            detail = (
                f"the checkpoint is not quantised, and {quantization} is no method that vLLM applies while loading "
                f"that can be sized here ({', '.join(ONLINE)})"
            )
        return Refusal("quantisation_mismatch", detail)
    if quantization in SAME.get(stored.name, {stored.name}):
        return stored
    return Refusal(
        "quantisation_mismatch",
        f"the checkpoint is {stored.name}, quantization says {quantization}; leave quantization out, and the "
        "checkpoint's own method is used",
    )


def positions(shape: ModelShape, max_model_len: int) -> list[Refusal]:
    """The refusal of a context beyond the model's positions, if it is."""
    if max_model_len <= shape.context:
        return []
    return [
        Refusal(
            "context_too_long",
            f"max_model_len {max_model_len:,}; the model has positions for {shape.context:,} "
            "(max_position_embeddings, scaled where rope_scaling says so)",
        )
    ]


def sequence_bytes(shape: ModelShape, layout: Layout, demand: Demand, tokens: int) -> float:
    """Bytes that a sequence takes on the fullest GPU of an engine."""
    stage = -(-shape.layers // layout.pipeline) / shape.layers
    return shape.sequence_bytes(tokens, layout.tensor, demand.kv_value_bytes) * stage


def missing(shape: ModelShape, layout: Layout, taken: Memory, demand: Demand) -> float:
    """Bytes by which one sequence of ``max_model_len`` does not fit; negative: it does, with so much to spare.

    vLLM does not start otherwise (``check_enough_kv_cache_memory``).
    """
    return sequence_bytes(shape, layout, demand, demand.max_model_len) - taken.kv_room


def smallest(shape: ModelShape, cluster: Cluster, scheme: Scheme, demand: Demand) -> Layout | None:
    """The fewest GPUs of the same kind, on nodes like these, that hold one engine; ``None``: not on 16 nodes."""
    wide = replace(cluster, nodes=max(cluster.nodes, SEARCHED_NODES))
    small = replace(demand, max_num_seqs=1)
    for layout in candidates(shape, wide):  # engines come by size, the smallest first
        if faults(shape, replace(layout, engines=1), wide, scheme):
            continue
        if missing(shape, layout, memory(shape, layout, wide, scheme, small), small) <= 0:
            return replace(layout, engines=1)
    return None


def no_room(
    shape: ModelShape, layout: Layout, cluster: Cluster, scheme: Scheme, demand: Demand, taken: Memory
) -> Refusal:
    """The refusal of a layout that does not fit, with what is missing and what would do."""
    short = missing(shape, layout, taken, demand)
    one = sequence_bytes(shape, layout, demand, demand.max_model_len)
    enough = smallest(shape, cluster, scheme, demand)
    if enough is None:
        advice = f"{SEARCHED_NODES} nodes of {cluster.gpus_per_node} would not do either: use a quantised checkpoint"
    else:
        nodes = enough.nodes(cluster)
        where = f" ({nodes} nodes)" if nodes > 1 else ""
        advice = f"the smallest engine that fits has {enough.per_engine} x {cluster.gpu.name}{where}: {enough}"
    return Refusal(
        "does_not_fit",
        f"{layout}: {short / GB:.1f} GB short on each GPU (weights {taken.weights / GB:.1f} + reserve "
        f"{taken.reserve / GB:.1f} + one sequence of {demand.max_model_len:,} tokens {one / GB:.1f}, of "
        f"{taken.budget / GB:.1f} GB); {advice}",
    )
