"""Proposals: every layout that runs and fits, the fastest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.layout import Layout, Refusal, candidates, faults
from dsgen.pipeline.sizing.memory import MOST_SEQUENCES, Demand, Memory, batched_tokens, memory
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import Scheme
from dsgen.pipeline.sizing.report import lines_of, overview
from dsgen.pipeline.sizing.requirements import missing, no_room, positions, scheme_for, sequence_bytes
from dsgen.pipeline.sizing.speed import Speed, speed

_STEP = 8


@dataclass(frozen=True, slots=True)
class Proposal:
    """One layout with its arithmetic."""

    shape: ModelShape
    cluster: Cluster
    layout: Layout
    scheme: Scheme
    quantization: str | None
    """As it is to be written; ``None``: what the checkpoint says."""
    demand: Demand
    memory: Memory
    max_num_seqs: int
    """Of one data-parallel rank, as vLLM counts."""
    sequences: int
    """Mean ones that a rank's KV cache holds."""
    longest_sequences: int
    """Ones of ``max_model_len``."""
    speed: Speed

    @property
    def tokens_per_s(self) -> float:
        """Output tokens a second of all engines together."""
        return self.speed.tokens_per_s

    @property
    def tokens_per_s_per_gpu(self) -> float:
        """The same for each GPU of the cluster, idle ones included."""
        return self.tokens_per_s / self.cluster.gpus

    @property
    def kv_tokens(self) -> int:
        """Tokens of mean sequences that the KV cache of a rank holds."""
        return self.sequences * self.demand.sequence_tokens

    def hours(self, samples: float) -> float:
        """Time for so many samples of mean length, with all sequences running throughout."""
        return samples * self.demand.output_tokens / self.tokens_per_s / 3600

    def explain(self) -> list[str]:
        """The arithmetic, line by line, each number with its unit and where it comes from."""
        return lines_of(self)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything there is to say about a model on a cluster."""

    shape: ModelShape
    cluster: Cluster
    proposals: list[Proposal]
    """Fastest first; empty: nothing runs, and ``refusals`` say why."""
    refusals: list[Refusal]
    """One for each reason, of the layout that came closest."""

    def explain(self, top: int = 3) -> list[str]:
        """The best proposal with its arithmetic, the first line of the next ones, and what was refused."""
        return overview(self, top)


def plan(
    shape: ModelShape,
    cluster: Cluster,
    *,
    max_model_len: int | None = None,
    mean_prompt_tokens: float = 300.0,
    mean_output_tokens: float | None = None,
    gpu_memory_utilization: float = 0.9,
    quantization: str | None = None,
    max_num_seqs: int | None = None,
    kv_cache_dtype: str = "auto",
    enforce_eager: bool = False,
) -> Plan:
    """Proposals for a model on a cluster, and why other layouts are not among them.

    Args:
        shape: the model.
        cluster: the hardware.
        max_model_len: tokens of the longest sequence; absent: what the model has positions for.
        mean_prompt_tokens: of a request.
        mean_output_tokens: of a sample, reasoning included; absent: 4,000, or half of what the context leaves.
        gpu_memory_utilization: the share of a GPU's memory that an engine may take.
        quantization: as in a workflow's teacher; absent: as the checkpoint is.
        max_num_seqs: sequences of a rank at most; absent: what memory holds, up to 1,024.
        kv_cache_dtype: as in a workflow's teacher.
        enforce_eager: without CUDA graphs.

    Raises:
        SizingError: a number that cannot be meant.
    """
    length = shape.context if max_model_len is None else max_model_len
    _positive(max_model_len=length, mean_prompt_tokens=mean_prompt_tokens)
    if mean_output_tokens is None:
        mean_output_tokens = max(1.0, min(4000.0, (length - mean_prompt_tokens) / 2))
    _positive(mean_output_tokens=mean_output_tokens)
    _positive(max_num_seqs=1 if max_num_seqs is None else max_num_seqs)
    if not 0 < gpu_memory_utilization <= 1:
        raise SizingError(
            f"gpu_memory_utilization is {gpu_memory_utilization:g}; a share above 0 and up to 1 is wanted"
        )
    if mean_prompt_tokens + mean_output_tokens > length:
        raise SizingError(
            f"prompts of {mean_prompt_tokens:,.0f} and outputs of {mean_output_tokens:,.0f} tokens in the mean do not "
            f"fit into max_model_len {length:,}"
        )
    demand = Demand(
        max_model_len=length,
        prompt_tokens=mean_prompt_tokens,
        output_tokens=mean_output_tokens,
        utilization=gpu_memory_utilization,
        max_num_seqs=max_num_seqs,
        kv_value_bytes=value_bytes(kv_cache_dtype),
        eager=enforce_eager,
    )
    scheme = scheme_for(shape, quantization)
    if isinstance(scheme, Refusal):
        return Plan(shape, cluster, [], [scheme])
    if refused := positions(shape, length):
        return Plan(shape, cluster, [], refused)
    found: list[Proposal] = []
    against: dict[str, Refusal] = {}
    closest: tuple[float, Layout, Memory] | None = None
    for layout in candidates(shape, cluster):
        if faulty := faults(shape, layout, cluster, scheme):
            for fault in faulty:
                against.setdefault(fault.reason, Refusal(fault.reason, f"{layout}: {fault.detail}"))
            continue
        sequences, taken = _fill(shape, layout, cluster, scheme, demand)
        short = missing(shape, layout, taken, demand)
        if short > 0:
            closest = min(closest, (short, layout, taken), key=lambda c: c[0]) if closest else (short, layout, taken)
            continue
        running = _round(min(sequences, max_num_seqs or MOST_SEQUENCES, batched_tokens(layout)))
        longest = int(taken.kv_room / sequence_bytes(shape, layout, demand, length))
        rate = speed(shape, layout, cluster, scheme, demand, taken, running)
        made = Proposal(shape, cluster, layout, scheme, quantization, demand, taken, running, sequences, longest, rate)
        found.append(made)
    if closest is not None:
        _, layout, taken = closest
        against["does_not_fit"] = no_room(shape, layout, cluster, scheme, demand, taken)
    found.sort(key=lambda p: (-p.tokens_per_s, p.layout.per_engine, p.layout.pipeline, p.layout.tensor))
    return Plan(shape, cluster, found, list(against.values()))


def propose(shape: ModelShape, cluster: Cluster, **settings: Any) -> list[Proposal]:
    """The proposals of ``plan``, with its settings; empty when nothing runs.

    Raises:
        SizingError: a number that cannot be meant.
    """
    return plan(shape, cluster, **settings).proposals


def to_teacher(proposal: Proposal, *, model: str | None = None) -> dict[str, Any]:
    """The ``teacher`` block of a workflow that runs a proposal; ``model``: another name for the same files."""
    layout, source = proposal.layout, Path(proposal.shape.source)
    folder = str(source.parent) if source.suffix == ".json" else str(source)
    block: dict[str, Any] = {
        "kind": "vllm",
        "model": model or folder,
        "engines": layout.engines,
        "tensor_parallel": layout.tensor,
        "pipeline_parallel": layout.pipeline,
        "data_parallel": layout.data,
        "expert_parallel": layout.expert_parallel,
        "max_model_len": proposal.demand.max_model_len,
        "max_num_seqs": proposal.max_num_seqs,
        "gpu_memory_utilization": proposal.demand.utilization,
        "engine_args": {"max_num_batched_tokens": batched_tokens(layout)},
    }
    if proposal.quantization is not None:
        block["quantization"] = proposal.quantization
    if proposal.demand.kv_value_bytes == 1:
        block["kv_cache_dtype"] = "fp8"
    if proposal.demand.eager:
        block["enforce_eager"] = True
    if layout.per_engine > proposal.cluster.gpus_per_node:
        world = layout.tensor * layout.pipeline
        if world > proposal.cluster.gpus_per_node:
            block["engine_args"]["distributed_executor_backend"] = "ray"
        if layout.data > 1:
            # Ray places so many ranks on each node; without it vLLM wants all of them on the first one.
            local = max(1, proposal.cluster.gpus_per_node // world)
            block["engine_args"] |= {"data_parallel_backend": "ray", "data_parallel_size_local": local}
    return block


def value_bytes(kv_cache_dtype: str) -> float:
    """Bytes of one number in the KV cache."""
    return 1.0 if kv_cache_dtype.startswith("fp8") else 4.0 if kv_cache_dtype in ("float32", "float") else 2.0


def _fill(shape: ModelShape, layout: Layout, cluster: Cluster, scheme: Scheme, demand: Demand) -> tuple[int, Memory]:
    """Mean sequences that fit, and the memory with the reserve that so many need.

    Sampling takes memory for every sequence, so on small cards a lower bound leaves room for more of them.
    """
    one = sequence_bytes(shape, layout, demand, demand.sequence_tokens)
    bounds = [demand.max_num_seqs] if demand.max_num_seqs else [MOST_SEQUENCES >> i for i in range(11)]
    best: tuple[int, int, Memory] | None = None
    for bound in bounds:
        taken = memory(shape, layout, cluster, scheme, replace(demand, max_num_seqs=bound))
        held = max(0, int(taken.kv_room / one))
        running = min(held, bound)
        if best is None or running > best[0]:
            best = (running, held, taken)
        if running == bound:
            break
    if best is None or best[0] == 0:
        return 0, memory(shape, layout, cluster, scheme, replace(demand, max_num_seqs=bounds[-1]))
    return best[1], best[2]


def _round(sequences: int) -> int:
    return sequences // _STEP * _STEP if sequences >= 2 * _STEP else max(1, sequences)


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not 1 <= number <= 1e12:
            raise SizingError(f"{name} is {number:g}; a number from 1 on is wanted")
