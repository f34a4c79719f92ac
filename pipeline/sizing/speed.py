"""Tokens a second, roughly: what a decoding step reads, multiplies and sends, whichever takes longest.

A roofline with fixed shares of the peaks, meant to order layouts and to plan hours, not to promise rates: count on
half of it until a run has measured more.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.layout import Layout
from dsgen.pipeline.sizing.memory import Demand, Memory
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import Scheme

READ = 0.7
"""Share of the memory bandwidth that decoding kernels reach."""
MULTIPLY = 0.45
"""Share of the tensor cores' peak."""
SEND = 0.6
"""Share of a link's bandwidth."""
STEP_S = 2e-3
"""Of a step, besides the layers: scheduling and sampling."""
LAYER_S = 15e-6
"""Of a layer: launching its kernels."""
FULL = 8192
"""Tokens of a prefill step, which share the cost of its collectives."""
LOCAL_S, REMOTE_S = 12e-6, 40e-6
"""Of one collective, besides its bytes: within a node, and between nodes."""


@dataclass(frozen=True, slots=True)
class Speed:
    """One decoding step of one rank with its batch, and what follows from it."""

    batch: float
    """Sequences in a step of one rank."""
    distinct: float
    """Experts of a layer that the step uses, over all ranks that share them."""
    read_s: float
    multiply_s: float
    send_s: float
    overhead_s: float
    prefill_s: float
    """Of one prompt, on one rank."""
    tokens_per_s: float
    """Of output, all GPUs of the layout together, prefill included."""

    @property
    def step_s(self) -> float:
        """The step."""
        return max(self.read_s, self.multiply_s) + self.send_s + self.overhead_s


def speed(
    shape: ModelShape,
    layout: Layout,
    cluster: Cluster,
    scheme: Scheme,
    demand: Demand,
    taken: Memory,
    sequences: int,
) -> Speed:
    """The rate of a layout whose ranks each run so many sequences."""
    # With stages, the running sequences are in as many batches as there are stages, one on each.
    batch = max(1.0, sequences / layout.pipeline)
    gpu, e = cluster.gpu, shape.experts
    distinct = shape.distinct_experts(batch * layout.data)
    used = distinct / e.number if e else 0.0
    resting = taken.weights - taken.experts - taken.embedding * (0 if shape.tied else 0.5) - shape.extra_bytes
    caches = batch * shape.sequence_bytes(round(demand.context), layout.tensor, demand.kv_value_bytes) / layout.pipeline
    moved = _moved(shape, layout, batch)
    read = (resting + used * taken.experts + caches + moved) / (gpu.bandwidth * READ)

    looked = sum(a.flops(demand.context, layout.tensor) * n for a, n in shape.attention) / layout.pipeline
    rate = gpu.flops8 if scheme.fp8 and gpu.flops8 else gpu.flops16
    per_token = _flops(shape, layout, batch)
    multiply = batch * (per_token / rate + looked / gpu.flops16) / MULTIPLY
    send = _collectives(shape, layout, cluster, batch)
    overhead = STEP_S + LAYER_S * shape.layers / layout.pipeline
    step = max(read, multiply) + send + overhead

    halfway = sum(a.flops(demand.prompt_tokens / 2, layout.tensor) * n for a, n in shape.attention) / layout.pipeline
    sent = _collectives(shape, layout, cluster, FULL) / FULL
    multiplied = (_flops(shape, layout, FULL) / rate + halfway / gpu.flops16) / MULTIPLY
    prefill = demand.prompt_tokens * (multiplied + sent)
    # One rank's seconds for one sample: its share of the steps, its own prompt, and, in lockstep, those of the other
    # ranks, as far as they do not come at the same time.
    decode = step / batch * demand.output_tokens
    waits = 1 + (layout.data - 1) * decode / (decode + prefill)
    seconds = decode + prefill * waits
    ranks = layout.data * layout.engines
    return Speed(batch, distinct, read, multiply, send, overhead, prefill, ranks * demand.output_tokens / seconds)


def _moved(shape: ModelShape, layout: Layout, batch: float) -> float:
    """Bytes of activations that the experts of one GPU read and write in a step.

    Cut experts get every token, whole ones (expert parallelism) only those routed to them.
    """
    e = shape.experts
    if e is None:
        return 0.0
    pairs = batch * layout.data * e.per_token
    if layout.expert_parallel:
        return pairs / layout.group * (2 * shape.hidden + 3 * e.width) * 2 * e.layers / layout.pipeline
    return pairs * (2 * shape.hidden + 3 * e.width / layout.group) * 2 * e.layers / layout.pipeline


def _flops(shape: ModelShape, layout: Layout, batch: float) -> float:
    """Multiplications and additions with weights for one of a rank's tokens, on one GPU of one stage."""
    e, parts = shape.experts, shape.parts
    everywhere = parts.attention + parts.dense_mlp + (parts.embedding if shape.tied else parts.head)
    chosen = e.per_token * shape.expert * e.layers if e else 0
    shared = parts.shared_experts
    # Routed tokens land unevenly on ranks even if the router is fair: the fullest of n has about this much more.
    mean = batch * layout.data * e.per_token / layout.group if e else 1.0
    uneven = 1 + math.sqrt(2 * math.log(layout.group) / mean) if layout.expert_parallel else 1.0
    return 2 * (everywhere + shared + chosen * uneven) / layout.tensor / layout.pipeline


def _collectives(shape: ModelShape, layout: Layout, cluster: Cluster, batch: float) -> float:
    """Seconds of a step's communication on one stage.

    Tensor parallelism all-reduces twice a layer. With data parallelism the experts' input is gathered from all ranks
    and their output reduced and scattered (``all2all_backend: allgather_reducescatter``, the default).
    """
    e = shape.experts
    inside, across = cluster.gpu.link * SEND, cluster.network_bytes * SEND
    tokens = batch * shape.hidden * 2.0
    layers, sparse = shape.layers / layout.pipeline, (e.layers if e else 0) / layout.pipeline
    seconds = 0.0
    if layout.tensor > 1:
        each = 2 * (layout.tensor - 1) / layout.tensor * tokens / inside + LOCAL_S
        reduced = 2 * layers - (sparse if layout.data > 1 else 0)
        seconds += reduced * each
    if layout.data > 1:
        remote = layout.per_engine > cluster.gpus_per_node
        # Each GPU takes in what the others hold; a TP rank holds its share of the rank's tokens.
        taken_in = (layout.data - 1) * tokens / (layout.tensor if layout.sequence_parallel else 1)
        each = 2 * (taken_in / (across if remote else inside) + (REMOTE_S if remote else LOCAL_S))
        seconds += sparse * each
    if layout.pipeline > 1:
        remote = layout.tensor * layout.pipeline > cluster.gpus_per_node
        seconds += tokens / (across if remote else inside) + (REMOTE_S if remote else LOCAL_S)
    return seconds
