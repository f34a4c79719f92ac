"""What vLLM needs where there is no GPU, against its own defaults. Whatever the user sets wins."""

from __future__ import annotations

import os
from typing import Any

from dsgen.pipeline.teachers.config import VLLMConfig


def environment(config: VLLMConfig) -> dict[str, str]:
    """Environment variables, to be set before an engine starts."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = max(1, (cores - 1) // config.engines)
    made = {
        # Binding threads to cores collapses the throughput three- to fivefold when anything else wants one of them.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        # One core stays with templates, tokenizer and text; without a number every engine takes all cores.
        "OMP_NUM_THREADS": str(threads),
        # In GiB. Otherwise a share of the machine's whole memory, which other engines and workers have a use for.
        "VLLM_CPU_KVCACHE_SPACE": "1",
        # Otherwise the first request for log-probabilities stops everything for 13 s, as its kernel is compiled.
        "TORCHDYNAMO_DISABLE": "1",
    }
    if _one_process(config):
        # Lets the engine's core keep the worker in its own process: one import of vLLM less, 10 s of each start.
        made["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    return made


def arguments(config: VLLMConfig) -> dict[str, Any]:
    """Engine arguments by vLLM's names."""
    made: dict[str, Any] = {
        # Compiling takes longer than most runs on a CPU, and hooks see nothing of compiled code.
        "enforce_eager": True,
        # A seeded request whose prompt is split over two steps ends the engine: a CPU generator has no offset.
        "enable_chunked_prefill": False,
    }
    if _one_process(config):
        made["distributed_executor_backend"] = "uni"
    return made


def _one_process(config: VLLMConfig) -> bool:
    return config.tensor_parallel * config.pipeline_parallel * config.data_parallel == 1
