"""Reading config.json: counts against published ones, bytes, cache, and files that cannot be meant."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.sizing.errors import SizingError
from dsgen.pipeline.sizing.families import _FAMILIES
from dsgen.pipeline.sizing.model import ModelShape

TINY = Path(__file__).parents[2] / "pipeline" / "teachers" / "tiny" / "checkpoint"


def config(
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
        "max_position_embeddings": 32768,
        "tie_word_embeddings": False,
        **more,
    }


def latent(kind: str, vocab: int, hidden: int, inter: int, layers: int, heads: int, **more: Any) -> dict[str, Any]:
    mla = {"kv_lora_rank": 512, "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128}
    return config(kind, vocab, hidden, inter, layers, heads, heads, **mla, **more)


def mixture(experts: int, chosen: int, width: int, **more: Any) -> dict[str, Any]:
    return {"num_experts": experts, "num_experts_per_tok": chosen, "moe_intermediate_size": width, **more}


def deepseek(experts: int, chosen: int, width: int, shared: int, dense: int) -> dict[str, Any]:
    return {
        "n_routed_experts": experts,
        "num_experts_per_tok": chosen,
        "moe_intermediate_size": width,
        "n_shared_experts": shared,
        "first_k_dense_replace": dense,
    }


LINEAR = {
    "head_dim": 256,
    "linear_conv_kernel_dim": 4,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "linear_num_key_heads": 16,
    "linear_num_value_heads": 32,
    "full_attention_interval": 4,
    "shared_expert_intermediate_size": 512,
}
QWEN3_30B = config("qwen3_moe", 151936, 2048, 6144, 48, 32, 4, head_dim=128, **mixture(128, 8, 768))
LLAMA_8B = config("llama", 128256, 4096, 14336, 32, 32, 8)
V3 = latent("deepseek_v3", 129280, 7168, 18432, 61, 128, q_lora_rank=1536, **deepseek(256, 8, 2048, 1, 3))
V3_FP8 = V3 | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}}
OSS = {"head_dim": 64, "attention_bias": True, "experts_per_token": 4, "sliding_window": 128}
OSS_KEPT = ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]
OSS_120B = config("gpt_oss", 201088, 2880, 2880, 36, 64, 8, num_local_experts=128, **OSS) | {
    "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": OSS_KEPT}
}
OSS_20B = OSS_120B | {"num_hidden_layers": 24, "num_local_experts": 32}

# Parameters of checkpoints as published in their safetensors metadata, or counted from the layers of Transformers 5.19
# on the meta device where the metadata has MTP layers as well.
EXACT = {
    "Llama-3.1-8B": (LLAMA_8B, 8_030_261_248),
    "Llama-3.1-70B": (config("llama", 128256, 8192, 28672, 80, 64, 8), 70_553_706_496),
    "Qwen2.5-7B": (config("qwen2", 152064, 3584, 18944, 28, 28, 4), 7_615_616_512),
    "Qwen3-0.6B": (
        config("qwen3", 151936, 1024, 3072, 28, 16, 8, head_dim=128) | {"tie_word_embeddings": True},
        596_049_920,
    ),
    "Qwen3-8B": (config("qwen3", 151936, 4096, 12288, 36, 32, 8, head_dim=128), 8_190_735_360),
    "Mixtral-8x7B": (
        config("mixtral", 32000, 4096, 14336, 32, 32, 8, num_local_experts=8, num_experts_per_tok=2),
        46_702_792_704,
    ),
    "Qwen1.5-MoE-A2.7B": (
        config("qwen2_moe", 151936, 2048, 5632, 24, 16, 16, **mixture(60, 4, 1408))
        | {"shared_expert_intermediate_size": 5632},
        14_315_784_192,
    ),
    "Qwen3-30B-A3B": (QWEN3_30B, 30_532_122_624),
    "Qwen3-235B-A22B": (
        config("qwen3_moe", 151936, 4096, 12288, 94, 64, 4, head_dim=128, **mixture(128, 8, 1536)),
        235_093_634_560,
    ),
    "Qwen3-Next-80B-A3B": (
        config("qwen3_next", 151936, 2048, 5120, 48, 16, 2, **mixture(512, 10, 512), **LINEAR),
        79_674_391_296,
    ),
    "Qwen3.5-35B-A3B": (
        config("qwen3_5_moe_text", 248320, 2048, 5120, 40, 16, 2, **mixture(256, 8, 512), **LINEAR),
        34_660_610_688,
    ),
    "DeepSeek-V2-Lite": (
        latent("deepseek_v2", 102400, 2048, 10944, 27, 16, q_lora_rank=None, **deepseek(64, 6, 1408, 2, 1)),
        15_706_484_224,
    ),
    "DeepSeek-V3": (V3, 671_026_419_200),
    "GPT-OSS-20B": (OSS_20B, 20_914_757_184),
    "GPT-OSS-120B": (OSS_120B, 116_829_156_672),
    "GLM-4.5": (
        config("glm4_moe", 151552, 5120, 12288, 92, 96, 8, head_dim=128, attention_bias=True, use_qk_norm=True)
        | deepseek(160, 8, 1536, 1, 3),
        352_797_814_784 + 160 * 89,  # the routers' correction bias is a buffer there, and a parameter here
    ),
    "GLM-4.5-Air": (
        config("glm4_moe", 151552, 4096, 10944, 46, 96, 8, head_dim=128, attention_bias=True)
        | deepseek(128, 8, 1408, 1, 1),
        106_852_245_504 + 128 * 45,
    ),
}


def shape(data: dict[str, Any], folder: Path) -> ModelShape:
    (folder / "config.json").write_text(json.dumps(data))
    return ModelShape.read(folder)


@pytest.mark.parametrize("name", EXACT)
def test_parameters_are_the_published_ones(name: str, tmp_path: Path) -> None:
    data, total = EXACT[name]
    assert shape(data, tmp_path).total == total


@pytest.mark.parametrize(
    ("name", "billions", "without_embedding"),
    [
        ("Mixtral-8x7B", 12.9, False),
        ("Qwen3-30B-A3B", 3.3, False),
        ("Qwen3-235B-A22B", 22, False),
        ("DeepSeek-V3", 37, False),
        ("GPT-OSS-20B", 3.6, True),  # its card counts the head and not the embedding
        ("GPT-OSS-120B", 5.1, True),
    ],
)
def test_active_parameters_are_the_published_ones(
    name: str, billions: float, without_embedding: bool, tmp_path: Path
) -> None:
    made = shape(EXACT[name][0], tmp_path)
    active = made.active - (made.parts.embedding if without_embedding else 0)
    assert active / 1e9 == pytest.approx(billions, rel=0.02)


def test_kimi_k2_has_a_trillion_parameters(tmp_path: Path) -> None:
    kimi = latent("kimi_k2", 163840, 7168, 18432, 61, 64, q_lora_rank=1536, **deepseek(384, 8, 2048, 1, 1))
    made = shape(kimi, tmp_path)
    assert (made.total / 1e12, made.active / 1e9) == pytest.approx((1.03, 32.6), rel=0.02)


@pytest.mark.parametrize(
    ("data", "kilobytes"),
    [
        (V3, 70.272),  # the three of "Insights into DeepSeek-V3", table 1
        (config("qwen2", 152064, 8192, 29568, 80, 64, 8), 327.680),
        (config("llama", 128256, 16384, 53248, 126, 128, 8), 516.096),
    ],
    ids=["DeepSeek-V3", "Qwen2.5-72B", "Llama-3.1-405B"],
)
def test_a_token_in_the_cache_takes_the_published_bytes(data: dict[str, Any], kilobytes: float, tmp_path: Path) -> None:
    made = shape(data, tmp_path)
    assert made.kv_bytes_per_token() / 1e3 == pytest.approx(kilobytes)
    assert made.sequence_bytes(1600) == pytest.approx(1600 * made.kv_bytes_per_token())
    assert made.sequence_bytes(1601) == made.sequence_bytes(1616)  # whole blocks
    assert made.kv_bytes_per_token(value_bytes=1) == made.kv_bytes_per_token() / 2


def test_tensor_parallelism_shares_kv_heads_and_not_the_latent(tmp_path: Path) -> None:
    grouped, mla = shape(QWEN3_30B, tmp_path), shape(V3, tmp_path)
    assert [grouped.kv_bytes_per_token(tp) / grouped.kv_bytes_per_token() for tp in (2, 4, 8)] == [0.5, 0.25, 0.25]
    assert mla.kv_bytes_per_token(8) == mla.kv_bytes_per_token()


def test_windows_and_states_do_not_grow_with_the_sequence(tmp_path: Path) -> None:
    oss = shape(OSS_120B, tmp_path)
    assert sum(n for a, n in oss.attention if getattr(a, "window", None) == 128) == 18
    grown = oss.sequence_bytes(32_768) - oss.sequence_bytes(16_384)
    assert grown == 18 * 2 * 8 * 64 * 2 * 16_384
    hybrid = shape(EXACT["Qwen3-Next-80B-A3B"][0], tmp_path)
    assert hybrid.kv_bytes_per_token() == 12 * 2 * 2 * 256 * 2
    assert hybrid.sequence_bytes(16) - 16 * hybrid.kv_bytes_per_token() > 36 * 32 * 128 * 128 * 4


@pytest.mark.parametrize(
    ("data", "gb"),
    [
        (OSS_120B, 60.8 * 2**30 / 1e9),  # sizes of the files on the model cards
        (OSS_20B, 12.8 * 2**30 / 1e9),
        (LLAMA_8B, 16.06),
        # 688.59 GB of files with the MTP module: its experts in FP8, its own embedding and head
        (V3_FP8, 688.59 - 11.6 - 4 * 0.927),
    ],
    ids=["GPT-OSS-120B", "GPT-OSS-20B", "Llama-3.1-8B", "DeepSeek-V3"],
)
def test_weights_take_the_bytes_of_the_files(data: dict[str, Any], gb: float, tmp_path: Path) -> None:
    assert shape(data, tmp_path).weight_bytes() / 1e9 == pytest.approx(gb, rel=0.01)


def packed(**weights: Any) -> dict[str, Any]:
    return {"quant_method": "compressed-tensors", "config_groups": {"group_0": {"weights": weights}}}


@pytest.mark.parametrize(
    ("quantization", "name", "expert_bytes", "attention_bytes"),
    [
        (None, "none", 2, 2),
        ({"quant_method": "fp8"}, "fp8", 1, 1),
        ({"quant_method": "fp8", "weight_block_size": [128, 128]}, "fp8", 1 + 4 / 16384, 1 + 4 / 16384),
        ({"quant_method": "awq", "bits": 4, "group_size": 128}, "awq", 0.5 + 2.5 / 128, 0.5 + 2.5 / 128),
        (
            {"quant_method": "awq", "w_bit": 4, "q_group_size": 64, "modules_to_not_convert": ["self_attn"]},
            "awq",
            0.5 + 2.5 / 64,
            2,
        ),
        ({"quant_method": "gptq", "bits": 8, "group_size": -1}, "gptq", 1, 1),
        (
            packed(num_bits=4, type="int", strategy="group", group_size=32)
            | {"ignore": ["lm_head", "re:.*self_attn.*", "re:.*mlp\\.gate$"]},
            "compressed-tensors",
            0.5 + 2.5 / 32,
            2,
        ),
        (packed(num_bits=8, type="float", strategy="channel"), "compressed-tensors", 1, 1),
        (
            {"quant_method": "fp8", "ignored_layers": [f"model.layers.{i}.self_attn.q_proj" for i in range(12)]},
            "fp8",
            1,
            1.25,  # 12 of 48 layers
        ),
        ({"quant_method": "mxfp4"}, "mxfp4", 0.53125, 2),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, "modelopt", 0.5625, 0.5625),
    ],
    ids=["none", "fp8", "fp8-block", "awq", "awq-kept", "gptq8", "ct-int4", "ct-fp8", "layers", "mxfp4", "nvfp4"],
)
def test_quantised_weights(
    quantization: dict[str, Any] | None, name: str, expert_bytes: float, attention_bytes: float, tmp_path: Path
) -> None:
    made = shape(QWEN3_30B | ({"quantization_config": quantization} if quantization else {}), tmp_path)
    assert made.stored.name == name
    assert made.stored.bytes_of("experts") == pytest.approx(expert_bytes)
    assert made.stored.bytes_of("attention") == pytest.approx(attention_bytes)
    assert made.stored.bytes_of("embedding") == 2
    parts = made.parts
    rest = parts.total - parts.experts - parts.attention
    assert made.weight_bytes() == pytest.approx(
        parts.experts * expert_bytes + parts.attention * attention_bytes + rest * 2
    )


@pytest.mark.skipif(not (TINY / "model.safetensors").exists(), reason="the tiny checkpoint is not there")
def test_the_tiny_checkpoint_has_exactly_so_many_parameters() -> None:
    with (TINY / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    tensors = {name: math.prod(t["shape"]) for name, t in header.items() if name != "__metadata__"}
    made = ModelShape.read(TINY)
    assert made.total == sum(tensors.values())
    assert made.parts.experts == sum(n for name, n in tensors.items() if ".experts." in name)
    assert made.parts.attention == sum(n for name, n in tensors.items() if "_proj" in name and "self_attn" in name)
    assert made.weight_bytes() == (TINY / "model.safetensors").stat().st_size - 8 - len_header(TINY)


def len_header(folder: Path) -> int:
    with (folder / "model.safetensors").open("rb") as file:
        return int(struct.unpack("<Q", file.read(8))[0])


def test_the_language_model_within_a_vision_model(tmp_path: Path) -> None:
    inner = {k: v for k, v in QWEN3_30B.items() if k != "tie_word_embeddings"} | {"model_type": "qwen3_vl_moe_text"}
    data = {"model_type": "qwen3_vl_moe", "text_config": inner, "vision_config": {"depth": 27}}
    data |= {"tie_word_embeddings": False, "quantization_config": {"quant_method": "fp8"}}
    made = shape(data, tmp_path)
    assert (made.total, made.stored.name, made.extra_bytes) == (30_532_122_624, "fp8", 0)
    assert "vision encoder" in made.notes[0]
    index = {"metadata": {"total_size": int(made.weight_bytes()) + 1_000_000_000}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    again = ModelShape.read(tmp_path / "config.json")
    assert again.extra_bytes == pytest.approx(1_000_000_000, abs=1)
    assert again.weight_bytes() == pytest.approx(made.weight_bytes() + 1e9, abs=2)


@pytest.mark.parametrize(
    ("rope", "context"),
    [
        (None, 32768),
        ({"rope_type": "yarn", "factor": 4.0}, 32768),  # max_position_embeddings is the scaled length
        ({"rope_type": "llama3", "factor": 8.0}, 32768),
        ({"rope_type": "linear", "factor": 2}, 65536),
        ({"type": "dynamic", "factor": 2.5}, 81920),
    ],
    ids=["none", "yarn", "llama3", "linear", "dynamic"],
)
def test_the_context_is_what_the_engine_derives(rope: dict[str, Any] | None, context: int, tmp_path: Path) -> None:
    assert shape(LLAMA_8B | {"rope_scaling": rope}, tmp_path).context == context


def without(data: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k not in names}


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (without(LLAMA_8B, "model_type"), "model_type is missing"),
        (without(LLAMA_8B, "num_hidden_layers"), "num_hidden_layers is missing"),
        (without(LLAMA_8B, "intermediate_size"), "intermediate_size is missing"),
        (without(LLAMA_8B, "max_position_embeddings"), "max_position_embeddings is missing"),
        (without(QWEN3_30B, "num_key_value_heads"), "num_key_value_heads is missing"),
        (without(QWEN3_30B, "num_experts"), "num_experts is missing"),
        (without(QWEN3_30B, "moe_intermediate_size"), "moe_intermediate_size is missing"),
        (without(V3, "kv_lora_rank"), "kv_lora_rank is missing"),
        (without(V3, "first_k_dense_replace"), "first_k_dense_replace is missing"),
        (without(EXACT["Qwen3-Next-80B-A3B"][0], "linear_num_key_heads"), "linear_num_key_heads is missing"),
        (LLAMA_8B | {"model_type": "mamba"}, "'mamba' are not known here"),
        (LLAMA_8B | {"hidden_size": "4096"}, "hidden_size is '4096'"),
        (LLAMA_8B | {"hidden_size": 4096.5}, "hidden_size is 4096.5"),
        (LLAMA_8B | {"hidden_size": True}, "hidden_size is True"),
        (LLAMA_8B | {"hidden_size": -1}, "hidden_size is -1"),
        (LLAMA_8B | {"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        (LLAMA_8B | {"vocab_size": 2**60}, "vocab_size is"),
        (LLAMA_8B | {"num_key_value_heads": 5}, "not a multiple of num_key_value_heads"),
        (LLAMA_8B | {"num_attention_heads": 48}, "head_dim is missing"),
        (LLAMA_8B | {"layer_types": ["full_attention"]}, "layer_types has 1 entries for 32 layers"),
        (LLAMA_8B | {"rope_scaling": {"rope_type": "linear", "factor": -2}}, "rope_scaling.factor is -2"),
        (QWEN3_30B | {"num_experts_per_tok": 129}, "num_experts_per_tok is 129, of 128"),
        (QWEN3_30B | {"num_experts": 0}, "num_experts is missing"),
        (EXACT["Qwen3-Next-80B-A3B"][0] | {"full_attention_interval": 99}, "none of 48 layers has full attention"),
        (LLAMA_8B | {"quantization_config": {"quant_method": "bitsandbytes"}}, "'bitsandbytes'"),
        (LLAMA_8B | {"quantization_config": {"quant_method": "awq"}}, "bits is missing"),
        (LLAMA_8B | {"quantization_config": {"quant_method": "awq", "bits": 1000}}, "quantization_config.bits"),
        (
            LLAMA_8B | {"quantization_config": {"quant_method": "fp8", "weight_block_size": [1, 128]}},
            "blocks of [1, 128]",
        ),
        (LLAMA_8B | {"quantization_config": {"quant_method": "compressed-tensors"}}, "0 groups of weights"),
        (LLAMA_8B | {"quantization_config": "fp8"}, "quantization_config is 'fp8'"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_meant_is_named(data: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(SizingError) as caught:
        shape(data, tmp_path)
    assert said in str(caught.value)
    assert str(tmp_path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is not JSON"),
        (b"{", "is not JSON"),
        (b"\xff\xfe", "is not JSON"),
        (b'{"hidden_size": NaN}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1, 2]", "a JSON object is wanted"),
        (b" " * (4 * 2**20 + 1), "more than 4,194,304 bytes"),
    ],
    ids=["empty", "cut", "binary", "nan", "deep", "list", "gigantic"],
)
def test_files_that_are_no_config(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UserError, match=said):
        ModelShape.read(tmp_path)


def test_a_plan_downloads_nothing(tmp_path: Path) -> None:
    with pytest.raises(SizingError, match=r"give a folder with config\.json"):
        ModelShape.read("Qwen/Qwen3-30B-A3B")
    with pytest.raises(SizingError, match=r"no config\.json in this folder"):
        ModelShape.read(tmp_path)
    with pytest.raises(SizingError, match="no such file"):
        ModelShape.read(tmp_path / "elsewhere.json")


def test_distinct_experts_grow_from_the_chosen_to_all(tmp_path: Path) -> None:
    made = shape(QWEN3_30B, tmp_path)
    assert made.distinct_experts(1) == pytest.approx(8)
    assert made.distinct_experts(16) == pytest.approx(128 * (1 - (1 - 8 / 128) ** 16))
    assert made.distinct_experts(4096) == pytest.approx(128)
    assert shape(LLAMA_8B, tmp_path).distinct_experts(16) == 0


def test_every_known_type_is_read_somewhere_here() -> None:
    tested = {data["model_type"] for data, _ in EXACT.values()} | {"kimi_k2", "qwen3_vl_moe_text"}
    alike = {"mistral", "qwen2_5_vl", "qwen2_5_vl_text", "qwen3_vl_text", "qwen3_5_text"}
    assert tested | alike == set(_FAMILIES)
