"""Teachers as written, against a model and a cluster: each reason to refuse one, and those that are sound."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from dsgen.pipeline.sizing.check import check
from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.fit import propose, to_teacher
from dsgen.pipeline.sizing.hardware import Cluster
from dsgen.pipeline.sizing.layout import REASONS
from dsgen.pipeline.sizing.model import ModelShape
from dsgen.pipeline.teachers.config import VLLMConfig

LLAMA = {
    "model_type": "llama",
    "vocab_size": 128256,
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
}
QWEN = LLAMA | {
    "model_type": "qwen3_moe",
    "vocab_size": 151936,
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "moe_intermediate_size": 768,
    "max_position_embeddings": 40960,
}
FP8 = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
GROUPS = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 128}
MODELS: dict[str, dict[str, Any]] = {
    "llama": LLAMA,
    "qwen": QWEN,
    "qwen-fp8": QWEN | FP8,
    "qwen-awq": QWEN | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}},
    "qwen-awq-96": QWEN
    | {"quantization_config": {"quant_method": "awq", "bits": 4, "group_size": 128}, "moe_intermediate_size": 784},
    "qwen-packed": QWEN
    | {"quantization_config": {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": GROUPS}}}},
    "flash-fp8": QWEN | FP8 | {"moe_intermediate_size": 320, "num_key_value_heads": 8},
    "eight-experts": QWEN | {"num_experts": 8, "num_experts_per_tok": 2},
    "llama-fp8": LLAMA | FP8 | {"intermediate_size": 11008},
    "llama-fp8-kv": LLAMA | FP8 | {"num_key_value_heads": 4, "head_dim": 64},
    "odd-heads": LLAMA | {"num_attention_heads": 36, "num_key_value_heads": 12, "head_dim": 128},
}


@cache
def shape(name: str) -> ModelShape:
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(MODELS[name]))
        return ModelShape.read(folder)


def asked(name: str, cluster: str, **fields: Any) -> dict[str, str]:
    config = VLLMConfig(model="m", **{"max_model_len": 8192, **fields}).model_dump()
    return {r.reason: r.detail for r in check(config, shape(name), Cluster.parse(cluster))}


@pytest.mark.parametrize(
    ("model", "cluster", "fields"),
    [
        ("llama", "1xH100", {}),
        ("llama", "8xH100", {"engines": 8}),
        ("llama", "8xH100", {"tensor_parallel": 8}),
        ("qwen", "8xH100", {"engines": 4, "tensor_parallel": 2, "expert_parallel": True}),
        ("qwen", "8xH100", {"data_parallel": 8, "expert_parallel": True}),
        ("qwen", "8xH100", {"tensor_parallel": 4, "data_parallel": 2}),
        ("qwen", "8xH100", {"tensor_parallel": 2, "pipeline_parallel": 2, "expert_parallel": True}),
        ("qwen", "1xH100", {"quantization": "fp8_per_tensor"}),
        ("qwen-fp8", "8xH100", {"tensor_parallel": 4}),  # 192 of 768: blocks of 64 fit
        ("qwen-fp8", "8xH100", {"quantization": "fp8"}),
        ("qwen-awq", "8xH100", {"tensor_parallel": 4, "quantization": "awq_marlin"}),
        ("llama", "1xH100", {"engine_args": {"hf_overrides": {"rope_parameters": {}}}, "max_model_len": 200_000}),
        (
            "qwen",
            "2x8xH100",
            {"data_parallel": 16, "engine_args": {"data_parallel_backend": "ray", "data_parallel_size_local": 8}},
        ),
        (
            "llama",
            "2x8xH100",
            {"tensor_parallel": 8, "pipeline_parallel": 2, "engine_args": {"distributed_executor_backend": "ray"}},
        ),
        ("qwen", "8xH100", {"data_parallel": 8, "expert_parallel": True, "engine_args": {"enable_eplb": True}}),
    ],
    ids=str,
)
def test_sound_teachers(model: str, cluster: str, fields: dict[str, Any]) -> None:
    assert asked(model, cluster, **fields) == {}


RANKS = {"data_parallel": 2, "expert_parallel": True}
REFUSED = [
    # An engine that believes to be one rank of several: nobody starts the others.
    ("qwen", "8xH100", RANKS | {"engine_args": {"data_parallel_rank": 0}}, "uncoordinated_ranks", "data_parallel_rank"),
    ("qwen", "8xH100", RANKS | {"engine_args": {"data_parallel_external_lb": True}}, "uncoordinated_ranks", "lockstep"),
    ("qwen", "8xH100", RANKS | {"engine_args": {"data_parallel_hybrid_lb": True}}, "uncoordinated_ranks", "hybrid"),
    ("qwen", "8xH100", RANKS | {"engine_args": {"data_parallel_start_rank": 1}}, "uncoordinated_ranks", "start_rank"),
    ("qwen", "8xH100", RANKS | {"engine_args": {"data_parallel_size_local": 1}}, "uncoordinated_ranks", "size_local"),
    ("qwen", "8xH100", {"engine_args": {"nnodes": 2, "node_rank": 0}}, "uncoordinated_ranks", "node_rank"),
    (
        "qwen",
        "8xH100",
        {"engine_args": {"distributed_executor_backend": "external_launcher"}},
        "uncoordinated_ranks",
        "external_launcher",
    ),
    (
        "qwen",
        "8xH100",
        {"engines": 4, "tensor_parallel": 2, "expert_parallel": True, "environment": {"VLLM_DP_SIZE": "4"}},
        "uncoordinated_ranks",
        "environment.VLLM_DP_SIZE",
    ),
    ("qwen", "8xH100", {"expert_parallel": True}, "expert_parallel_alone", "share nothing"),
    (
        "llama",
        "8xH100",
        {"tensor_parallel": 2, "expert_parallel": True},
        "expert_parallel_without_experts",
        "no experts",
    ),
    ("llama", "8xH100", {"data_parallel": 4, "engines": 2}, "data_parallel_without_experts", "engines: 8"),
    (
        "eight-experts",
        "2x8xH100",
        {"data_parallel": 16, "expert_parallel": True},
        "more_ranks_than_experts",
        "16 ranks (tensor_parallel x data_parallel) for 8 experts",
    ),
    (
        "qwen",
        "8xH100",
        {"data_parallel": 6, "expert_parallel": True, "engine_args": {"enable_eplb": True}},
        "uneven_experts",
        "num_redundant_experts to 4",
    ),
    ("odd-heads", "8xH100", {"tensor_parallel": 8}, "heads_not_divisible", "36 attention heads"),
    ("odd-heads", "9xH100", {"tensor_parallel": 9}, "kv_heads_not_divisible", "12 KV heads"),
    ("qwen", "8xH100", {"data_parallel": 5}, "width_not_divisible", "768 by 5 ranks"),
    ("flash-fp8", "8xL40S", {"tensor_parallel": 4}, "quantised_width_not_divisible", "80 of an expert's width"),
    ("qwen-packed", "8xH100", {"tensor_parallel": 4}, "quantised_width_not_divisible", "192 of an expert's width"),
    ("qwen-awq-96", "8xH100", {"tensor_parallel": 2}, "quantised_width_not_divisible", "below 32"),
    ("llama-fp8", "8xH100", {"tensor_parallel": 4}, "quantised_width_not_divisible", "2752 on each of 4 ranks"),
    ("llama-fp8-kv", "8xH100", {"tensor_parallel": 4}, "quantised_width_not_divisible", "keys are 64 columns"),
    ("llama", "8xH100", {"tensor_parallel": 1, "pipeline_parallel": 33}, "pipeline_too_deep", "33 for 32 layers"),
    ("llama", "2x8xH100", {"tensor_parallel": 16}, "tensor_across_nodes", "over the network"),
    ("llama", "8xH100", {"engines": 9}, "not_enough_gpus", "holds 8"),
    ("llama", "2x8xH100", {"engines": 3, "tensor_parallel": 4, "pipeline_parallel": 2}, "not_enough_gpus", "holds 2"),
    (
        "llama",
        "2x8xH100",
        {"tensor_parallel": 8, "pipeline_parallel": 2},
        "beyond_one_node",
        "distributed_executor_backend: ray",
    ),
    ("qwen", "2x8xH100", {"data_parallel": 16}, "beyond_one_node", "data_parallel_size_local: 8"),
    (
        "qwen",
        "2x8xH100",
        {"data_parallel": 16, "engine_args": {"data_parallel_backend": "ray"}},
        "beyond_one_node",
        "the ranks of one node",
    ),
    ("llama", "8xH100", {"max_model_len": 131073}, "context_too_long", "positions for 131,072"),
    ("qwen", "8xH100", {"quantization": "fp8"}, "quantisation_mismatch", "fp8_per_tensor"),
    ("qwen-awq", "8xH100", {"quantization": "gptq"}, "quantisation_mismatch", "the checkpoint is awq"),
    ("qwen", "1xA100-40G", {}, "does_not_fit", "the smallest engine that fits has 2 x A100-40G"),
    ("llama", "1xL4", {"max_model_len": 131072}, "does_not_fit", "GB short"),
    ("llama", "1xL4", {"gpu_memory_utilization": 0.5}, "does_not_fit", "GB short"),
    ("llama", "1xL4", {"dtype": "float32"}, "does_not_fit", "weights 32.1"),
]


@pytest.mark.parametrize(
    ("model", "cluster", "fields", "reason", "said"), REFUSED, ids=[f"{r[3]}-{r[4]}".replace(" ", "_") for r in REFUSED]
)
def test_refusals(model: str, cluster: str, fields: dict[str, Any], reason: str, said: str) -> None:
    config = {"max_model_len": 8192, **fields}
    found = {r.reason: r.detail for r in check(config, shape(model), Cluster.parse(cluster))}
    assert reason in found
    assert said in found[reason]


def test_every_reason_is_refused_somewhere() -> None:
    assert {r[3] for r in REFUSED} == set(REASONS)


@pytest.mark.parametrize("model", ["llama", "qwen", "qwen-fp8", "qwen-awq", "flash-fp8", "eight-experts", "odd-heads"])
@pytest.mark.parametrize("cluster", ["8xH100", "2x8xH100", "3x4xA100-80G", "8xL40S"])
def test_what_is_proposed_is_not_refused(model: str, cluster: str) -> None:
    for proposal in propose(shape(model), Cluster.parse(cluster), max_model_len=8192):
        assert check(to_teacher(proposal), shape(model), Cluster.parse(cluster)) == []


@pytest.mark.parametrize(
    "fields", [{"tensor_parallel": 0}, {"engine_args": "none"}, {"gpu_memory_utilization": 7}], ids=str
)
def test_fields_that_no_teacher_can_have(fields: dict[str, Any]) -> None:
    with pytest.raises(SizingError, match="teacher"):
        check(fields, shape("llama"), Cluster.parse("8xH100"))
