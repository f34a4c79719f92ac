"""Memory of one GPU: what a layout puts there, and what is left for sequences.

The budget is vLLM's: ``gpu_memory_utilization`` times the card's memory, from which weights, the peak of the profiling
run and the CUDA graphs are taken; the KV cache gets the rest (``GPUWorker.determine_available_memory``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsgen.pipeline.sizing.hardware import GIB, Cluster
from dsgen.pipeline.sizing.layout import Layout
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import SIXTEEN, Scheme

GRAPHS = 1.0 * GIB
"""CUDA graphs and what libraries allocate; a rule of thumb."""
COMMUNICATION = 0.75 * GIB
"""Buffers of NCCL and of the all-reduce kernel in an engine of several GPUs; a rule of thumb."""
LOGIT_BYTES = 10
"""Of one logit while sampling: 16 bits, 32 bits, and a sorted copy."""
MOST_SEQUENCES = 1024
"""vLLM's own bound for large cards; beyond it, sampling and graphs cost more than a larger batch brings."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of an engine."""

    max_model_len: int
    prompt_tokens: float
    """Mean."""
    output_tokens: float
    """Mean."""
    utilization: float = 0.9
    max_num_seqs: int | None = None
    kv_value_bytes: float = 2.0
    plain_bytes: float = SIXTEEN
    eager: bool = False

    @property
    def sequence_tokens(self) -> int:
        """Tokens of a mean sequence at its end."""
        return min(self.max_model_len, max(1, round(self.prompt_tokens + self.output_tokens)))

    @property
    def context(self) -> float:
        """Tokens that a token of the output looks back on, in the mean."""
        return min(self.max_model_len, self.prompt_tokens + self.output_tokens / 2)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on the fullest GPU of an engine."""

    budget: float
    embedding: float
    """Embedding and head, cut by vocabulary."""
    attention: float
    absorbed: float
    dense_mlp: float
    experts: float
    shared_experts: float
    replicated: float
    """Routers, norms, and what is beside the language model: whole on every rank."""
    activations: float
    logits: float
    graphs: float
    communication: float

    @property
    def weights(self) -> float:
        """All weights."""
        mlp = self.dense_mlp + self.experts + self.shared_experts
        return self.embedding + self.attention + self.absorbed + mlp + self.replicated

    @property
    def reserve(self) -> float:
        """What a step needs besides weights and cache."""
        return self.activations + self.logits + self.graphs + self.communication

    @property
    def kv_room(self) -> float:
        """Left for sequences; negative: so much is missing."""
        return self.budget - self.weights - self.reserve


def batched_tokens(layout: Layout) -> int:
    """``max_num_batched_tokens`` of a rank: fewer where the experts of a rank see the tokens of all of them."""
    return max(2048, 8192 // layout.data)


def memory(shape: ModelShape, layout: Layout, cluster: Cluster, scheme: Scheme, demand: Demand) -> Memory:
    """What a layout puts on the fullest GPU of an engine."""
    tp, e = layout.tensor, shape.experts
    parts, plain = shape.parts, demand.plain_bytes
    share = _stage(shape.layers, layout.pipeline) / shape.layers
    dense_share = _at_most(shape.dense_layers, shape, layout)
    sparse_share = _at_most(e.layers if e else 0, shape, layout)
    # The first stage holds the embedding and the last one the head; a tied matrix is on both.
    table = parts.embedding if layout.pipeline > 1 else parts.embedding + parts.head
    attention = sum(a.matrices(tp) * n for a, n in shape.attention) * share
    owned = (-(-e.number // layout.group) if layout.expert_parallel else e.number / layout.group) if e else 0.0
    shared = parts.shared_experts * sparse_share / (1 if layout.sequence_parallel else tp)
    return Memory(
        budget=demand.utilization * cluster.gpu.memory_bytes,
        embedding=table * plain / tp,
        attention=attention * scheme.bytes_of("attention", plain),
        absorbed=sum(a.absorbed(tp) * n for a, n in shape.attention) * share * SIXTEEN,
        dense_mlp=parts.dense_mlp * dense_share / tp * scheme.bytes_of("dense_mlp", plain),
        experts=shape.expert
        * owned
        * (e.layers if e else 0)
        * sparse_share
        * scheme.bytes_of("experts", plain)
        * _padding(shape, layout, scheme),
        shared_experts=shared * scheme.bytes_of("shared_experts", plain),
        replicated=(parts.router + parts.small) * plain + shape.extra_bytes,
        activations=_activations(shape, layout),
        logits=(demand.max_num_seqs or MOST_SEQUENCES) * shape.vocabulary * LOGIT_BYTES,
        graphs=0.0 if demand.eager else GRAPHS,
        communication=COMMUNICATION if layout.per_engine > 1 else 0.0,
    )


def _padding(shape: ModelShape, layout: Layout, scheme: Scheme) -> float:
    """What MXFP4 kernels add to an expert: rows to 128, columns to 256.

    ``mxfp4_round_up_hidden_size_and_intermediate_size`` in ``fused_moe/oracle/mxfp4.py``, its widest case.
    """
    e = shape.experts
    if e is None or scheme.name != "mxfp4":
        return 1.0
    width = e.width if layout.expert_parallel else e.width / layout.group
    return math.ceil(width / 128) * 128 * math.ceil(shape.hidden / 256) * 256 / (width * shape.hidden)


def _activations(shape: ModelShape, layout: Layout) -> float:
    """The peak of a forward pass over a full batch.

    A mixture's kernels hold two buffers of tokens x experts-a-token x the wider of both matrices, over the tokens of
    all data-parallel ranks (``workspace_shapes`` in ``fused_moe/experts/triton_moe.py``; nothing is cut in chunks).
    """
    tokens = batched_tokens(layout)
    wide = max((shape.hidden, 2 * shape.dense_width // layout.tensor, shape.heads * 128 * 3 // layout.tensor))
    passing = tokens * (4 * shape.hidden + 2 * wide) * 2
    if shape.experts is None:
        return float(passing)
    e = shape.experts
    width = e.width if layout.expert_parallel else e.width / layout.group
    workspace = 2 * tokens * layout.data * e.per_token * max(2 * width, shape.hidden) * 2
    return passing + workspace + tokens * layout.data * shape.hidden * 2 * 2


def _stage(layers: int, pipeline: int) -> int:
    """Layers of the largest stage (vLLM's ``get_pp_indices`` differ by one at most)."""
    return -(-layers // pipeline)


def _at_most(layers: int, shape: ModelShape, layout: Layout) -> float:
    """The largest share of some layers that one stage can get."""
    return min(layers, _stage(shape.layers, layout.pipeline)) / layers if layers else 0.0
