"""The forecast of a run against the run itself, and the sizing of a teacher on GPUs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.engine.run import run
from dsgen.pipeline.forecast import bootstrap, forecast, lines, wilson
from dsgen.pipeline.workflow import parse

pytestmark = pytest.mark.slow


def workflow(tmp_path: Path) -> dict[str, Any]:
    teacher = {"kind": "python", "target": "stand_in:StandIn", "model": "seeded", "n": 2, "options": {"seconds": 0.01}}
    return {
        "name": "forecast",
        "seed": 11,
        "bucket_units": 200,
        "sources": [{"kind": "templates", "seeds": 8}],
        "mutators": [{"kind": "perturb", "count": 2}, {"kind": "invert_backward", "count": 1}],
        "teacher": teacher,
        "validators": [{"kind": "format"}],
        "engine": {"executor": "local", "workers": 2},
    }


def test_the_intervals_hold_what_the_whole_run_brings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))
    made = parse(workflow(tmp_path), "test")
    guess = forecast(made, 200)
    manifest = run(made, tmp_path / "out")
    accepted = manifest["counts"]["accepted"]
    generated = manifest["session"]["teachers"]["python:seeded"]["tokens"]
    assert guess.accepted.low < accepted < guess.accepted.high
    assert guess.accepted.high - guess.accepted.low < 0.35 * accepted
    assert guess.teacher_tokens.low < generated < guess.teacher_tokens.high
    assert guess.hours.low < guess.hours.mid < guess.hours.high
    assert any("accepted rows" in line for line in lines(guess))


@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_the_share(hits: int, misses: int) -> None:
    interval = wilson(hits, hits + misses)
    assert 0 <= interval.low <= interval.mid <= interval.high + 1e-12
    assert interval.high <= 1
    if hits + misses:
        # The ends solve (share - p)² = z² p (1 - p) / n, which is how the interval is defined.
        n, share = hits + misses, interval.mid
        for end in (interval.low, interval.high):
            assert (share - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / n, abs=1e-9)


def test_the_bootstrap_knows_no_spread_of_equal_values() -> None:
    import numpy as np

    assert bootstrap(np.array([7.0] * 50)) == (7.0, 7.0, 7.0)
    low, mid, high = bootstrap(np.arange(1000.0))
    assert low < mid == 499.5 < high
    assert high - low == pytest.approx(2 * 1.96 * 288.7 / 1000**0.5, rel=0.1)


MOE = {
    "architectures": ["Qwen3MoeForCausalLM"],
    "model_type": "qwen3_moe",
    "hidden_size": 2048,
    "num_hidden_layers": 48,
    "num_attention_heads": 32,
    "num_key_value_heads": 4,
    "head_dim": 128,
    "intermediate_size": 6144,
    "moe_intermediate_size": 768,
    "num_experts": 128,
    "num_experts_per_tok": 8,
    "decoder_sparse_step": 1,
    "mlp_only_layers": [],
    "norm_topk_prob": True,
    "vocab_size": 151936,
    "max_position_embeddings": 40960,
    "tie_word_embeddings": False,
    "torch_dtype": "bfloat16",
}


def test_the_command_sizes_a_teacher(tmp_path: Path, dsgen: Callable[..., Any]) -> None:
    (tmp_path / "config.json").write_bytes(orjson.dumps(MOE))
    data = workflow(tmp_path) | {"teacher": {"kind": "vllm", "model": str(tmp_path), "max_model_len": 16384}}
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(data))
    done = dsgen("plan", path, "--gpus", "8xH100", "--pilot", 0)
    assert done.returncode == 0, done.stderr
    assert "expert" in done.stdout
    assert "max_num_seqs" in done.stdout
    short = dsgen("plan", path, "--gpus", "1xL4", "--pilot", 0)
    assert short.returncode == 2
    assert "short" in short.stdout
    unknown = dsgen("plan", path, "--gpus", "8xH999", "--pilot", 0)
    assert unknown.returncode == 2
    assert "--gpu-memory" in unknown.stderr
