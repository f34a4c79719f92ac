"""What can be said of a vLLM teacher without vLLM: how many rows it takes, and what tells its replies apart."""

from __future__ import annotations

import math

import orjson

from dsgen.pipeline.teachers.config import VLLMConfig

_SHAPING = ("quantization", "reasoning_parser", "thinking_budget")
_SHAPING_ARGUMENTS = frozenset(
    {
        *("tokenizer", "tokenizer_revision", "tokenizer_mode", "hf_overrides", "hf_config_path"),
        *("generation_config", "override_generation_config", "reasoning_config", "structured_outputs_config"),
        *("speculative_config", "logits_processors", "enable_lora", "lora_modules", "mm_processor_kwargs"),
    }
)
"""Engine arguments that change what a model says, as opposed to how fast it says it."""


def slots(config: VLLMConfig) -> int:
    """Rows that one engine works on at the same time; each of a row's samples takes a place in the engine's batch."""
    return max(1, math.ceil(config.max_num_seqs * config.data_parallel / config.n))


def revision(config: VLLMConfig) -> str:
    """The model's revision with all settings that change its replies, as part of the cache key.

    A reply that was cut at another thinking budget, or came from weights quantised otherwise, is another reply.
    """
    shaping = {name: getattr(config, name) for name in _SHAPING if getattr(config, name) is not None}
    shaping |= {name: getattr(config, name) for name in ("dtype", "kv_cache_dtype") if getattr(config, name) != "auto"}
    shaping |= {name: config.engine_args[name] for name in config.engine_args if name in _SHAPING_ARGUMENTS}
    told = [f"{name}={orjson.dumps(shaping[name], option=orjson.OPT_SORT_KEYS).decode()}" for name in sorted(shaping)]
    return ", ".join(filter(None, [config.revision, *told]))
