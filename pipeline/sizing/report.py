"""The arithmetic of a proposal in words: GB are 10^9 bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsgen.pipeline.sizing import speed as rates
from dsgen.pipeline.sizing.memory import batched_tokens
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.requirements import GB, sequence_bytes

if TYPE_CHECKING:
    from dsgen.pipeline.sizing.fit import Plan, Proposal


def lines_of(p: Proposal) -> list[str]:
    """One line for each step from the config to tokens a second."""
    return [_heading(p), *_model(p.shape), *_memory(p), *_cache(p), *_speed(p), *(f"note: {n}" for n in _notes(p))]


def overview(plan: Plan, top: int) -> list[str]:
    """The best proposal in full, the headings of the next ones, and what was refused."""
    lines = []
    for place, proposal in enumerate(plan.proposals[: max(1, top)], 1):
        first, *rest = lines_of(proposal)
        lines += [f"{place}. {first}", *(f"   {line}" for line in rest if place == 1)]
    if len(plan.proposals) > top:
        lines.append(f"{len(plan.proposals) - top} more layouts run and fit")
    if not plan.proposals:
        lines.append(f"nothing runs {plan.shape.family} on {plan.cluster}:")
    return lines + [f"refused, {refusal}" for refusal in plan.refusals]


def _heading(p: Proposal) -> str:
    layout, cluster = p.layout, p.cluster
    used = f" ({layout.gpus} of {cluster.gpus} GPUs)" if layout.gpus < cluster.gpus else ""
    return f"{layout} on {cluster}{used}: about {p.tokens_per_s:,.0f} output tokens/s, max_num_seqs {p.max_num_seqs}"


def _model(shape: ModelShape) -> list[str]:
    e, parts = shape.experts, shape.parts
    named = [
        ("experts", parts.experts),
        ("shared experts", parts.shared_experts),
        ("attention", parts.attention),
        ("dense MLP", parts.dense_mlp),
        ("embeddings", parts.embedding + parts.head),
        ("router", parts.router),
    ]
    counts = ", ".join(f"{n} {_count(v)}" for n, v in named if v)
    mixture = f", {e.per_token} of {e.number} experts a token in {e.layers} of {shape.layers} layers" if e else ""
    return [
        f"model: {shape.family}, {_count(shape.total)} parameters, {_count(shape.active)} active"
        f"{mixture} (config.json)",
        f"parameters by part: {counts}",
    ]


def _memory(p: Proposal) -> list[str]:
    m, layout, gpu = p.memory, p.layout, p.cluster.gpu
    how = p.scheme.name if p.scheme.parts else "16 bits"
    stored = f"{_size(p.shape.weight_bytes(p.scheme, p.demand.plain_bytes))} in all, {how}"
    shares = [
        ("attention", m.attention, f"/ TP {layout.tensor}"),
        ("absorbed MLA matrices", m.absorbed, f"/ TP {layout.tensor}, 16 bits"),
        ("dense MLP", m.dense_mlp, f"/ TP {layout.tensor}"),
        ("experts", m.experts, _experts_by(p)),
        ("shared experts", m.shared_experts, "whole" if layout.sequence_parallel else f"/ TP {layout.tensor}"),
        ("embeddings", m.embedding, f"/ TP {layout.tensor}"),
        ("router, norms, other", m.replicated, "whole"),
    ]
    weights = " + ".join(f"{n} {_size(b)} ({by})" for n, b, by in shares if b)
    tokens = batched_tokens(layout)
    rank = "rank" if layout.data > 1 else "step"
    return [
        f"weights on a GPU: {_size(m.weights)} = {weights}; {stored}",
        f"budget of a GPU: {m.budget / GB:.1f} GB = {p.demand.utilization:g} (gpu_memory_utilization) x "
        f"{gpu.memory_bytes / GB:.1f} GB ({gpu.name})",
        f"reserve: {m.reserve / GB:.1f} GB = activations {m.activations / GB:.1f} ({tokens:,} tokens a {rank}) + "
        f"sampling {m.logits / GB:.1f} + CUDA graphs {m.graphs / GB:.1f} + communication {m.communication / GB:.1f}",
        f"room for the KV cache: {m.kv_room / GB:.1f} GB = {m.budget / GB:.1f} - {m.weights / GB:.1f} - "
        f"{m.reserve / GB:.1f}, on each GPU",
    ]


def _experts_by(p: Proposal) -> str:
    e, layout = p.shape.experts, p.layout
    if e is None:
        return ""
    if layout.expert_parallel:
        return (
            f"{-(-e.number // layout.group)} of {e.number}, EP {layout.group} = TP {layout.tensor} x DP {layout.data}"
        )
    return f"/ {layout.group}" + (f" = TP {layout.tensor} x DP {layout.data}" if layout.data > 1 else "")


def _cache(p: Proposal) -> list[str]:
    shape, demand, layout = p.shape, p.demand, p.layout
    one = sequence_bytes(shape, layout, demand, demand.sequence_tokens)
    token = shape.kv_bytes_per_token(layout.tensor, demand.kv_value_bytes)
    rank = " of each rank" if layout.data > 1 else ""
    total = p.max_num_seqs * layout.data * layout.engines
    return [
        f"a sequence: {token / 1e3:.1f} kB a token on a GPU; {_size(one)} at {demand.sequence_tokens:,} tokens "
        f"(prompt {demand.prompt_tokens:,.0f} + output {demand.output_tokens:,.0f} in the mean)",
        f"sequences{rank}: {p.sequences:,} of mean length, {p.longest_sequences:,} of max_model_len "
        f"{demand.max_model_len:,}; max_num_seqs {p.max_num_seqs}, {total:,} at the same time in all",
    ]


def _speed(p: Proposal) -> list[str]:
    s, layout = p.speed, p.layout
    experts = ""
    if p.shape.experts is not None:
        tokens = s.batch * layout.data
        experts = f", {s.distinct:.0f} of {p.shape.experts.number} experts of a layer used by {tokens:,.0f} tokens"
    ranks = layout.data * layout.engines
    several = f"{ranks} ranks x " if ranks > 1 else ""
    decoding = s.batch / s.step_s
    held = " and those of the ranks in lockstep" if layout.data > 1 else ""
    return [
        f"a decoding step of {s.batch:,.0f} sequences: {s.step_s * 1e3:.1f} ms = the longer of reading "
        f"{s.read_s * 1e3:.1f} ({rates.READ:.0%} of {p.cluster.gpu.bandwidth / GB:,.0f} GB/s{experts}) and multiplying "
        f"{s.multiply_s * 1e3:.1f} ({rates.MULTIPLY:.0%} of peak), + communication {s.send_s * 1e3:.1f} + overhead "
        f"{s.overhead_s * 1e3:.1f}",
        f"rate: {p.tokens_per_s:,.0f} output tokens/s = {several}{decoding:,.0f} while decoding, "
        f"less {s.prefill_s * 1e3:.1f} ms a prompt{held}; {p.tokens_per_s_per_gpu:,.0f} a GPU",
    ]


def _notes(p: Proposal) -> list[str]:
    notes = list(p.shape.notes)
    if not p.cluster.gpu.catalogued:
        notes.append(f"{p.cluster.gpu.name} is not in the catalogue: rates are those of an A100 and only order layouts")
    e = p.shape.experts
    if e is not None and p.layout.expert_parallel and e.number % p.layout.group:
        notes.append(
            f"{e.number} experts over {p.layout.group} ranks: some own one more; enable_eplb would refuse this"
        )
    share = e.width // p.layout.group if e is not None and not p.layout.expert_parallel else 0
    if p.scheme.block and not p.scheme.online and share % p.scheme.block:
        notes.append(
            f"experts of {share} rows a rank: FP8 blocks of {p.scheme.block} are made finer, on slower kernels"
        )
    if p.layout.per_engine > p.cluster.gpus_per_node:
        notes.append("an engine over several nodes: its ranks are placed by Ray, and the network decides the rate")
    return notes


def _count(number: float) -> str:
    return f"{number / 1e9:.2f} billion" if number >= 1e8 else f"{number / 1e6:.2f} million"


def _size(number: float) -> str:
    if number >= 1e9:
        return f"{number / 1e9:.1f} GB"
    return f"{number / 1e6:.0f} MB" if number >= 1e7 else f"{number / 1e6:.2f} MB"
