"""The parts of the vLLM teacher that need no vLLM: expert load, identity, arguments, causes of death."""

from __future__ import annotations

import json
import math
import os
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.teachers.config import VLLMConfig
from dsgen.pipeline.teachers.vllm import cpu, experts, identity
from dsgen.pipeline.teachers.vllm.experts import ExpertLoad, figures, gini, merge, shares, within
from dsgen.pipeline.teachers.vllm.faults import ErrorFile, advice
from dsgen.pipeline.teachers.vllm.launch import EXTENSION, arguments
from dsgen.pipeline.teachers.vllm.load import Routed, from_workers

rows = st.lists(st.integers(0, 10**6), min_size=1, max_size=24)


@st.composite
def loads(draw: Any) -> ExpertLoad:
    layers, width = draw(st.integers(1, 4)), draw(st.integers(1, 8))
    counts = draw(
        st.lists(
            st.lists(st.integers(0, 1000), min_size=width, max_size=width).map(tuple),
            min_size=layers,
            max_size=layers,
        )
    )
    if not draw(st.booleans()):
        return ExpertLoad(tuple(range(layers)), 1, tuple(counts))
    gated = tuple(draw(st.lists(st.integers(1, 1000), min_size=layers, max_size=layers)))
    entropy = tuple(g * draw(st.floats(0, 1)) * math.log(width) for g in gated)
    return ExpertLoad(tuple(range(layers)), 1, tuple(counts), entropy, gated)


@given(rows)
def test_gini_is_half_the_mean_difference_over_the_mean(counts: list[int]) -> None:
    total, n = sum(counts), len(counts)
    differences = sum(abs(a - b) for a in counts for b in counts)
    expected = Fraction(differences, 2 * n * total) if total else Fraction(0)
    assert gini(counts) == pytest.approx(float(expected), abs=1e-9)


@given(rows, st.floats(1.0, 4.0))
def test_what_does_not_fit_is_the_excess_over_the_limit(counts: list[int], capacity: float) -> None:
    limit = capacity * sum(counts) / len(counts)
    excess = sum(count - limit for count in counts if count > limit)
    assert within(counts, capacity) == pytest.approx(sum(counts) - excess)
    assert within(counts, capacity) <= within(counts, capacity + 1) + 1e-6


@given(rows)
def test_shares_sum_to_one(counts: list[int]) -> None:
    assert sum(shares(counts)) == pytest.approx(1.0 if sum(counts) else 0.0)


@pytest.mark.parametrize(
    ("counts", "coefficient", "used"),
    [
        pytest.param([5, 5, 5, 5], 0.0, 1.0, id="even"),
        pytest.param([20, 0, 0, 0], 0.75, 0.3125, id="one gets all"),
        pytest.param([10, 10, 0, 0], 0.5, 0.625, id="half are dead"),
        pytest.param([0, 0, 0, 0], 0.0, None, id="nothing yet"),
        pytest.param([7], 0.0, 1.0, id="a single expert"),
    ],
)
def test_known_layers(counts: list[int], coefficient: float, used: float | None) -> None:
    found = figures(ExpertLoad((0,), 1, (tuple(counts),)))
    assert found["gini"] == pytest.approx(coefficient)
    assert found["utilisation"] == (None if used is None else pytest.approx(used))
    assert found["reached"] == (None if used is None else used >= 0.92)
    assert found["dead_experts"] == (None if used is None else counts.count(0))


@given(loads())
def test_figures_recomputed(load: ExpertLoad) -> None:
    found = figures(load, 1.25)
    table = np.array(load.counts, dtype=float)
    assert found["assignments"] == table.sum()
    if table.sum():
        limits = 1.25 * table.sum(axis=1, keepdims=True) / table.shape[1]
        assert found["utilisation"] == pytest.approx(np.minimum(table, limits).sum() / table.sum())
        assert found["dead_experts"] == (table == 0).sum()
    if load.gated and table.shape[1] > 1:
        per_layer = np.array(load.entropy) / np.array(load.gated) / np.log(table.shape[1])
        assert found["gate_entropy"] == pytest.approx(per_layer.mean())
        assert -1e-9 <= found["gate_entropy"] <= 1 + 1e-9
    else:
        assert found["gate_entropy"] is None


@given(loads())
def test_json_there_and_back(load: ExpertLoad) -> None:
    assert ExpertLoad.of(json.loads(json.dumps(load.data()))) == load
    json.dumps(figures(load), allow_nan=False)


@given(loads(), st.integers(1, 5))
def test_engines_add_up(load: ExpertLoad, engines: int) -> None:
    both = merge([load] * engines)
    assert both is not None
    assert (np.array(both.counts) == engines * np.array(load.counts)).all()
    one, many = figures(load), figures(both)
    for name in ("utilisation", "gini", "gate_entropy"):
        assert many[name] == (None if one[name] is None else pytest.approx(one[name], abs=1e-9))


def test_merging_needs_one_shape_and_keeps_entropy_only_when_all_have_it() -> None:
    seen = ExpertLoad((0,), 2, ((3, 1),), (1.0,), (2,))
    unseen = ExpertLoad((0,), 2, ((1, 1),))
    assert merge([]) is None
    assert merge([seen, unseen]) == ExpertLoad((0,), 2, ((4, 2),))
    with pytest.raises(ValueError, match="different shape"):
        merge([seen, ExpertLoad((1,), 2, ((3, 1),))])
    with pytest.raises(ValueError, match="rows of counts"):
        ExpertLoad.of({"layers": [0, 1], "top_k": 2, "counts": [[1, 2]]})


def test_workers_of_stages_and_of_ranks() -> None:
    """Two pipeline stages of two tensor-parallel ranks: ranks repeat what their stage saw."""

    def record(layer: int, *counts: int) -> dict[str, Any]:
        return {"layer": layer, "counts": list(counts), "entropy": 0.5, "gated": sum(counts)}

    first, second = [record(1, 2, 0)], [record(3, 1, 1)]
    load = from_workers([second, second, first, first], 1)
    assert load == ExpertLoad((1, 3), 1, ((2, 0), (1, 1)), (0.5, 0.5), (2, 2))
    assert from_workers([[], []], 1) is None
    blind = [{"layer": 0, "counts": [1], "entropy": 0.0, "gated": 0}]
    assert from_workers([blind], 1) == ExpertLoad((0,), 1, ((1,),))


async def test_choices_that_replies_carry() -> None:
    """Layer 0 has no experts and carries zeros; the prompt of 3 tokens is counted once for both samples."""
    draw = np.random.default_rng(3)
    chosen = [draw.integers(0, 5, size=(length, 3, 2), dtype=np.uint8) for length in (6, 4)]
    for choice in chosen:
        choice[:, 0, :] = 0
    samples = [SimpleNamespace(index=i, routed_experts=c) for i, c in enumerate(chosen)]
    routed = Routed(5, 2, [1, 2])
    routed.add(SimpleNamespace(prompt_token_ids=[7, 8, 9], outputs=samples))
    routed.add(SimpleNamespace(prompt_token_ids=[7], outputs=[SimpleNamespace(index=0, routed_experts=None)]))
    load = await routed.load()
    assert load is not None
    expected = [[0] * 5, [0] * 5]
    for kept in (chosen[0], chosen[1][3:]):
        for token in kept.tolist():
            for row, layer in enumerate((1, 2)):
                for expert in token[layer]:
                    expected[row][expert] += 1
    assert load == ExpertLoad((1, 2), 2, tuple(map(tuple, expected)))
    assert figures(load)["tokens"] == 7
    assert figures(load)["gate_entropy"] is None


@pytest.mark.parametrize(
    ("settings", "places", "told"),
    [
        pytest.param({}, 256, "", id="plain"),
        pytest.param({"revision": "main", "n": 8}, 32, "main", id="samples take places"),
        pytest.param({"max_num_seqs": 3, "n": 8}, 1, "", id="never none"),
        pytest.param({"data_parallel": 2}, 512, "", id="places of each rank"),
        pytest.param(
            {"revision": "r1", "reasoning_parser": "qwen3", "thinking_budget": 9, "dtype": "float32"},
            256,
            'r1, dtype="float32", reasoning_parser="qwen3", thinking_budget=9',
            id="what changes replies",
        ),
        pytest.param(
            {"engine_args": {"hf_overrides": {"b": 1, "a": 2}, "block_size": 32}},
            256,
            'hf_overrides={"a":2,"b":1}',
            id="engine arguments that change replies",
        ),
    ],
)
def test_identity(settings: dict[str, Any], places: int, told: str) -> None:
    config = VLLMConfig(model="m", **settings)
    assert identity.slots(config) == places
    assert identity.revision(config) == told


def test_arguments_of_the_engine() -> None:
    gpu = arguments(VLLMConfig(model="m", tensor_parallel=2, expert_parallel=True, revision="r"), "m", on_cpu=False)
    assert (gpu["tensor_parallel_size"], gpu["enable_expert_parallel"], gpu["revision"]) == (2, True, "r")
    assert gpu["trust_remote_code"] is False
    assert gpu["scheduling_policy"] == "priority"
    assert "worker_extension_cls" not in gpu  # CUDA graphs replay their kernels without hooks
    assert arguments(VLLMConfig(model="m", enforce_eager=True), "m", on_cpu=False)["worker_extension_cls"] == EXTENSION
    here = arguments(VLLMConfig(model="m", engine_args={"block_size": 32}), "m", on_cpu=True)
    assert (here["enforce_eager"], here["enable_chunked_prefill"], here["block_size"]) == (True, False, 32)
    assert here["worker_extension_cls"] == EXTENSION
    assert "worker_extension_cls" not in arguments(VLLMConfig(model="m", expert_load="off"), "m", on_cpu=True)


def test_threads_are_shared_among_engines() -> None:
    one, many = cpu.environment(VLLMConfig(model="m")), cpu.environment(VLLMConfig(model="m", engines=1000))
    assert int(one["OMP_NUM_THREADS"]) >= int(many["OMP_NUM_THREADS"]) == 1
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in cpu.environment(VLLMConfig(model="m", tensor_parallel=2))


def test_the_cause_is_the_first_exception_of_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VLLM_LOGGING_CONFIG_PATH", raising=False)
    monkeypatch.delenv("VLLM_CONFIGURE_LOGGING", raising=False)
    errors = ErrorFile()
    assert errors.cause() == ""
    errors.open()
    settings = json.loads(Path(os.environ["VLLM_LOGGING_CONFIG_PATH"]).read_text())
    file = Path(settings["handlers"]["errors"]["filename"])
    assert settings["handlers"]["stderr"]["stream"] == "ext://sys.stderr"
    assert errors.cause() == ""
    file.write_text(
        "AsyncLLM output_handler failed.\nTraceback (most recent call last):\n  raise\n"
        "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.\n"
        'EngineCore failed to start.\nTraceback (most recent call last):\n  File "x", line 1, in f\n'
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB.\nRuntimeError: Engine core\n"
    )
    assert errors.cause() == "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."
    errors.close()
    assert not file.exists()
    assert "VLLM_LOGGING_CONFIG_PATH" not in os.environ
    monkeypatch.setenv("VLLM_LOGGING_CONFIG_PATH", "own.json")
    errors.open()
    errors.close()
    assert os.environ["VLLM_LOGGING_CONFIG_PATH"] == "own.json"


@pytest.mark.parametrize(
    ("cause", "on_cpu", "words"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory.", False, "raise tensor_parallel"),
        ("ValueError: No available memory for the cache blocks.", True, "VLLM_CPU_KVCACHE_SPACE"),
        ("LocalEntryNotFoundError: Cannot find", False, "name the model's folder"),
        ("AssertionError", False, "standard error"),
    ],
)
def test_advice(cause: str, on_cpu: bool, words: str) -> None:
    assert words in advice(cause, cpu=on_cpu)


def test_the_target_is_the_articles() -> None:
    assert (experts.TARGET, experts.CAPACITY) == (0.92, 1.25)
