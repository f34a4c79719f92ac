"""Proposals: laws that hold for every layout, known models on known hardware, and the block of a workflow."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.fit import Proposal, plan, propose, to_teacher
from dsgen.pipeline.sizing.hardware import CATALOGUE, Cluster
from dsgen.pipeline.sizing.layout import REASONS, Layout, candidates, faults
from dsgen.pipeline.sizing.memory import Demand, memory
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.sizing.quantization import ONLINE
from dsgen.pipeline.sizing.requirements import sequence_bytes
from dsgen.pipeline.teachers.config import VLLMConfig

FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128]}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128}


def _config(
    kind: str, vocab: int, hidden: int, inter: int, layers: int, heads: int, kv: int, **more: Any
) -> dict[str, Any]:
    return {
        "model_type": kind,
        "vocab_size": vocab,
        "hidden_size": hidden,
        "intermediate_size": inter,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "max_position_embeddings": 40960,
        **more,
    }


QWEN3 = {"head_dim": 128, "num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768}
MLA = {"kv_lora_rank": 512, "q_lora_rank": 1536, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
V3 = {"n_routed_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 2048, "n_shared_experts": 1}
NEXT = {
    "head_dim": 256,
    "num_experts": 512,
    "num_experts_per_tok": 10,
    "moe_intermediate_size": 512,
    "shared_expert_intermediate_size": 512,
    "full_attention_interval": 4,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
}
OSS = {"head_dim": 64, "num_local_experts": 128, "num_experts_per_tok": 4, "sliding_window": 128}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama-8b": _config("llama", 128256, 4096, 14336, 32, 32, 8),
    "llama-70b": _config("llama", 128256, 8192, 28672, 80, 64, 8),
    "qwen2.5-7b": _config("qwen2", 152064, 3584, 18944, 28, 28, 4),
    "qwen3-30b": _config("qwen3_moe", 151936, 2048, 6144, 48, 32, 4, **QWEN3),
    "qwen3-30b-fp8": _config("qwen3_moe", 151936, 2048, 6144, 48, 32, 4, **QWEN3, quantization_config=FP8),
    "qwen3-30b-awq": _config("qwen3_moe", 151936, 2048, 6144, 48, 32, 4, **QWEN3, quantization_config=AWQ),
    "qwen3-next": _config("qwen3_next", 151936, 2048, 5120, 48, 16, 2, **NEXT),
    "deepseek-v3": _config(
        "deepseek_v3", 129280, 7168, 18432, 61, 128, 128, **MLA, **V3, first_k_dense_replace=3, quantization_config=FP8
    ),
    "gpt-oss-120b": _config(
        "gpt_oss", 201088, 2880, 2880, 36, 64, 8, **OSS, quantization_config={"quant_method": "mxfp4"}
    ),
}


@cache
def shape(name: str) -> ModelShape:
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(CONFIGS[name]))
        return replace(ModelShape.read(folder), source=name)


@cache
def proposed(name: str, cluster: str, **settings: Any) -> list[Proposal]:
    return propose(shape(name), Cluster.parse(cluster), **{"max_model_len": 16384, **settings})


SHAPES = st.sampled_from(sorted(CONFIGS)).map(shape)
CLUSTERS = st.builds(
    Cluster,
    gpu=st.sampled_from(sorted(CATALOGUE)).map(CATALOGUE.__getitem__),
    gpus_per_node=st.sampled_from([1, 2, 3, 4, 5, 8, 16]),
    nodes=st.integers(1, 6),
)
SETTINGS = st.fixed_dictionaries(
    {
        "max_model_len": st.integers(2048, 40960),
        "mean_prompt_tokens": st.floats(1, 1000),
        "mean_output_tokens": st.floats(1, 1000),
        "gpu_memory_utilization": st.floats(0.2, 1.0),
    },
    optional={
        "max_num_seqs": st.integers(1, 4000),
        "kv_cache_dtype": st.sampled_from(["auto", "fp8"]),
        "enforce_eager": st.booleans(),
    },
)


@examples(deadline=None)
@given(made=SHAPES, cluster=CLUSTERS, settings=SETTINGS)
def test_every_proposal_keeps_the_laws(made: ModelShape, cluster: Cluster, settings: dict[str, Any]) -> None:
    found = plan(made, cluster, **settings)
    assert bool(found.proposals) or bool(found.refusals)
    rates = [p.tokens_per_s for p in found.proposals]
    assert rates == sorted(rates, reverse=True)
    for p in found.proposals:
        m, demand = p.memory, p.demand
        assert not faults(made, p.layout, cluster, p.scheme)
        assert p.layout.gpus <= cluster.gpus
        # Nothing is lost when weights are shared out: all GPUs of an engine hold the model at least once.
        held = m.weights * p.layout.per_engine
        assert held >= made.weight_bytes(p.scheme) * (1 - 1e-9)
        # What runs at the same time fits, and so does the longest sequence alone.
        running = p.max_num_seqs * sequence_bytes(made, p.layout, demand, demand.sequence_tokens)
        assert m.weights + m.reserve + running <= m.budget * (1 + 1e-9)
        assert m.budget <= cluster.gpu.memory_bytes
        assert sequence_bytes(made, p.layout, demand, demand.max_model_len) <= m.kv_room
        assert 1 <= p.max_num_seqs <= min(settings.get("max_num_seqs", 1024), p.sequences)
        assert p.max_num_seqs < 16 or p.max_num_seqs % 8 == 0
        assert 0 < p.tokens_per_s < math.inf
        config = VLLMConfig(**to_teacher(p))
        assert config.engine_args["max_num_batched_tokens"] >= config.max_num_seqs  # vLLM wants it so
        assert config.gpus * config.engines == p.layout.gpus
        assert all(math.isfinite(len(line)) and line for line in p.explain())
    assert {r.reason for r in found.refusals} <= set(REASONS)


@examples(deadline=None)
@given(made=SHAPES, gpu=st.sampled_from(sorted(CATALOGUE)), data=st.data())
def test_more_gpus_in_an_engine_never_leave_less_room(made: ModelShape, gpu: str, data: st.DataObject) -> None:
    cluster = Cluster(CATALOGUE[gpu], 8)
    demand = Demand(4096, 100, 100)
    layouts = [x for x in candidates(made, cluster) if not faults(made, x, cluster, made.stored)]
    small = data.draw(st.sampled_from(layouts))
    larger = replace(small, tensor=small.tensor * 2, engines=1)
    assume(not faults(made, larger, cluster, made.stored))
    before, after = (memory(made, x, cluster, made.stored, demand) for x in (small, larger))
    assume(before.kv_room > 0)
    assert after.weights <= before.weights * (1 + 1e-9)
    assert after.kv_room * larger.per_engine >= before.kv_room * small.per_engine


@examples(deadline=None)
@given(made=SHAPES, gpu=st.sampled_from(sorted(CATALOGUE)), tensor=st.sampled_from([1, 2, 4, 8]))
def test_fewer_bytes_a_weight_take_less_memory(made: ModelShape, gpu: str, tensor: int) -> None:
    cluster, demand = Cluster(CATALOGUE[gpu], 8), Demand(4096, 100, 100)
    for scheme in ONLINE.values():
        wide = memory(made, Layout(tensor), cluster, replace(scheme, parts=frozenset()), demand)
        assert memory(made, Layout(tensor), cluster, scheme, demand).weights < wide.weights


def test_experts_are_shared_over_tensor_and_data_ranks() -> None:
    made, cluster, demand = shape("qwen3-30b"), Cluster.parse("8xH100"), Demand(4096, 100, 100)
    all_experts = made.parts.experts * 2
    for tensor, data in ((8, 1), (4, 2), (1, 8)):
        for whole in (False, True):
            taken = memory(made, Layout(tensor, 1, data, whole), cluster, made.stored, demand)
            assert taken.experts == pytest.approx(all_experts / 8)
            assert tensor == 8 or taken.attention == pytest.approx(made.parts.attention * 2 / tensor)
    # KV heads beyond their number are repeated: 4 of them on 8 ranks.
    eight = memory(made, Layout(8), cluster, made.stored, demand)
    assert eight.attention > made.parts.attention * 2 / 8
    # 128 experts over 6 ranks: the fullest owns 22.
    six = memory(made, Layout(1, 1, 6, True), cluster, made.stored, demand)
    assert six.experts == pytest.approx(all_experts * 22 / 128)


def test_shared_experts_are_whole_where_tokens_are_split() -> None:
    made, cluster, demand = shape("deepseek-v3"), Cluster.parse("8xH200"), Demand(4096, 100, 100)
    split = memory(made, Layout(4, 1, 2, True), cluster, made.stored, demand).shared_experts
    assert split == pytest.approx(4 * memory(made, Layout(4, 1, 2), cluster, made.stored, demand).shared_experts)
    assert split == pytest.approx(4 * memory(made, Layout(4, 1, 1, True), cluster, made.stored, demand).shared_experts)


def test_stages_hold_their_layers() -> None:
    made, demand = shape("llama-70b"), Demand(4096, 100, 100)
    cluster = Cluster.parse("2x8xA100-80G")
    one, two = (memory(made, Layout(8, pp), cluster, made.stored, demand) for pp in (1, 2))
    assert two.dense_mlp == pytest.approx(one.dense_mlp / 2)
    assert two.embedding == pytest.approx(one.embedding / 2)  # first stage: embedding, last: head
    assert sequence_bytes(made, Layout(8, 2), demand, 1600) * 2 == sequence_bytes(made, Layout(8), demand, 1600)
    three = memory(made, Layout(8, 3), cluster, made.stored, demand)
    assert three.dense_mlp == pytest.approx(one.dense_mlp * 27 / 80)


@pytest.mark.parametrize(
    ("name", "cluster", "fits"),
    [
        ("llama-8b", "1xH100", True),
        ("llama-8b", "1xL4", True),
        ("llama-70b", "1xH200", False),  # 141 GB of weights
        ("llama-70b", "2xH200", True),
        ("llama-70b", "1xH100", False),
        ("llama-70b", "4xH100", True),
        ("qwen3-30b", "1xH100", True),
        ("qwen3-30b", "1xA100-40G", False),
        ("qwen3-30b-awq", "1xRTX4090", True),
        ("deepseek-v3", "8xH100", False),  # 671 GB of weights in 680 GB
        ("deepseek-v3", "8xH200", True),
        ("deepseek-v3", "2x8xH100", True),
        ("deepseek-v3", "8xMI300X", True),
        ("gpt-oss-120b", "1xH100", True),
        ("gpt-oss-120b", "1xA100-40G", False),
    ],
)
def test_what_people_run_where(name: str, cluster: str, fits: bool) -> None:
    found = plan(shape(name), Cluster.parse(cluster), max_model_len=8192)
    assert bool(found.proposals) is fits
    assert ("does_not_fit" in {r.reason for r in found.refusals}) or fits


def test_what_is_missing_and_what_would_do() -> None:
    (refusal,) = plan(shape("deepseek-v3"), Cluster.parse("8xH100"), max_model_len=16384).refusals
    assert refusal.reason == "does_not_fit"
    assert "GB short on each GPU" in refusal.detail
    assert "16 x H100 (2 nodes)" in refusal.detail
    (alone,) = plan(shape("deepseek-v3"), Cluster.parse("1xT4"), max_model_len=16384).refusals
    assert "16 nodes of 1 would not do either" in alone.detail


def test_the_models_of_the_workflows() -> None:
    best = proposed("qwen3-30b", "8xH100")[0]
    assert best.layout.gpus == 8
    assert best.memory.kv_room > 10e9
    v3 = proposed("deepseek-v3", "8xH200")[0]
    # The latent is on every tensor rank, so attention by data parallelism holds the most sequences.
    assert (v3.layout.tensor, v3.layout.data, v3.layout.expert_parallel) == (1, 8, True)
    assert v3.memory.weights / 1e9 == pytest.approx(103, rel=0.02)
    text = "\n".join(v3.explain())
    for part in ("671.03 billion", "32 of 256, EP 8 = TP 1 x DP 8", "0.9 (gpu_memory_utilization)", "70.3 kB a token"):
        assert part in text


def test_an_engine_over_nodes_says_how_its_ranks_are_placed() -> None:
    found = proposed("deepseek-v3", "2x8xH100")
    wide = next(p for p in found if p.layout.data > 1)
    arguments = to_teacher(wide)["engine_args"]
    assert arguments["data_parallel_backend"] == "ray"
    assert arguments["data_parallel_size_local"] * wide.layout.tensor == 8
    stages = next(p for p in found if p.layout.pipeline == 2 and p.layout.tensor == 8)
    assert to_teacher(stages)["engine_args"]["distributed_executor_backend"] == "ray"
    assert "data_parallel_backend" not in to_teacher(stages)["engine_args"]
    one = to_teacher(proposed("qwen3-30b", "8xH100")[0])
    assert set(one["engine_args"]) == {"max_num_batched_tokens"}


def test_the_block_names_the_model_and_its_settings(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIGS["qwen3-30b"]))
    settings = {"quantization": "fp8_per_tensor", "kv_cache_dtype": "fp8", "enforce_eager": True, "max_model_len": 8192}
    for path in (tmp_path, tmp_path / "config.json"):
        best = propose(ModelShape.read(path), Cluster.parse("8xH100"), **settings)[0]
        config = VLLMConfig(**to_teacher(best))
        assert config.model == str(tmp_path)
        assert (config.quantization, config.kv_cache_dtype, config.enforce_eager) == ("fp8_per_tensor", "fp8", True)
    assert to_teacher(best, model="Qwen/Qwen3-30B-A3B")["model"] == "Qwen/Qwen3-30B-A3B"


def test_a_plan_is_told_from_the_best_on() -> None:
    found = plan(shape("deepseek-v3"), Cluster.parse("8xH200"), max_model_len=16384)
    lines = found.explain(top=2)
    assert lines[0] == "1. " + found.proposals[0].explain()[0]
    assert lines[len(found.proposals[0].explain())] == "2. " + found.proposals[1].explain()[0]
    assert f"{len(found.proposals) - 2} more layouts run and fit" in lines
    assert lines[-1].startswith("refused, does_not_fit: TP 4, 2 engines: ")
    none = plan(shape("deepseek-v3"), Cluster.parse("8xH100"), max_model_len=16384).explain()
    assert none[0] == "nothing runs deepseek_v3 on 8xH100:"
    assert len(none) == 2


def test_hours_follow_from_the_rate() -> None:
    best = proposed("qwen3-30b", "8xH100")[0]
    assert best.hours(1e6) == pytest.approx(1e6 * best.demand.output_tokens / best.tokens_per_s / 3600)


@examples(deadline=None, max_examples=30)
@given(made=SHAPES, cluster=CLUSTERS)
def test_faster_hardware_is_never_slower(made: ModelShape, cluster: Cluster) -> None:
    faster = (
        replace(cluster, gpu=replace(cluster.gpu, bandwidth=cluster.gpu.bandwidth * 2)),
        replace(cluster, gpu=replace(cluster.gpu, flops16=cluster.gpu.flops16 * 2)),
        replace(cluster, gpu=replace(cluster.gpu, link=cluster.gpu.link * 2)),
        replace(cluster, network=cluster.network_bytes * 2),
    )
    before = {p.layout: p.tokens_per_s for p in propose(made, cluster, max_model_len=4096, mean_output_tokens=2000.0)}
    for better in faster:
        after = {p.layout: p.tokens_per_s for p in propose(made, better, max_model_len=4096, mean_output_tokens=2000.0)}
        assert after.keys() == before.keys()
        assert all(after[x] >= before[x] * (1 - 1e-9) for x in before)


def test_quantisation_makes_room() -> None:
    plain, online = (
        next(p for p in proposed("qwen3-30b", "8xH100", **kw) if p.layout == Layout(1, engines=8))
        for kw in ({}, {"quantization": "fp8_per_tensor"})
    )
    assert online.memory.weights == pytest.approx(plain.memory.weights / 2, rel=0.03)
    assert online.sequences > 3 * plain.sequences
    assert online.tokens_per_s > plain.tokens_per_s


def test_longer_outputs_mean_fewer_sequences_and_tokens() -> None:
    short, long = (proposed("qwen3-30b", "8xH100", mean_output_tokens=n)[0] for n in (1000.0, 12_000.0))
    assert long.sequences * long.layout.data < short.sequences * short.layout.data
    assert long.tokens_per_s < short.tokens_per_s


def test_an_unknown_gpu_is_said_to_be_one() -> None:
    cluster = Cluster.parse("4xB999", gpu_memory=96)
    best = propose(shape("llama-8b"), cluster, max_model_len=8192)[0]
    assert any("not in the catalogue" in line for line in best.explain())


@pytest.mark.parametrize(
    ("settings", "reason", "said"),
    [
        ({"max_model_len": 65536}, "context_too_long", "positions for 40,960"),
        ({"quantization": "fp8"}, "quantisation_mismatch", "write fp8_per_tensor"),
        ({"quantization": "awq"}, "quantisation_mismatch", "is not quantised"),
        ({"quantization": "bitsandbytes"}, "quantisation_mismatch", "no method that vLLM applies while loading"),
    ],
)
def test_what_no_layout_mends(settings: dict[str, Any], reason: str, said: str) -> None:
    found = plan(shape("qwen3-30b"), Cluster.parse("8xH100"), **settings)
    assert found.proposals == []
    assert [r.reason for r in found.refusals] == [reason]
    assert said in found.refusals[0].detail


@pytest.mark.parametrize(
    "settings",
    [
        {"max_model_len": 0},
        {"mean_prompt_tokens": -1},
        {"mean_output_tokens": float("nan")},
        {"gpu_memory_utilization": 1.5},
        {"max_num_seqs": 0},
        {"max_model_len": 1000, "mean_prompt_tokens": 900, "mean_output_tokens": 200},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_meant(settings: dict[str, Any]) -> None:
    with pytest.raises(SizingError):
        plan(shape("qwen3-30b"), Cluster.parse("8xH100"), **settings)
