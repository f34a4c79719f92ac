"""A whole run with the teacher that ships, on a real engine: rows accepted and refused, experts counted."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest
import yaml

pytest.importorskip("vllm")
pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]


def dsgen(*arguments: object) -> str:
    command = [sys.executable, "-P", "-m", "dsgen", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=380, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("moe")
    data: dict[str, Any] = yaml.safe_load((ROOT / "workflows" / "math_cpu_moe.yaml").read_text())
    data["sources"][0]["seeds"] = 2
    data["mutators"] = data["mutators"][:1]
    (folder / "moe.yaml").write_text(yaml.safe_dump(data))
    dsgen("run", folder / "moe.yaml", "--out", folder / "out")
    return folder / "out"


def rows(out: Path, kind: str) -> list[dict[str, Any]]:
    return [r for p in sorted((out / kind).rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]


def test_most_rows_are_right_and_some_are_refused_with_reasons(out: Path) -> None:
    counts = orjson.loads((out / "manifest.json").read_bytes())["counts"]
    assert counts["planned"] == 2 * 8 * 2 * 4
    assert counts["quarantined"] == 0
    assert counts["accepted"] > 0.7 * counts["planned"]
    refused = rows(out, "rejected")
    assert 0 < len(refused) < 0.3 * counts["planned"]
    assert {r["rejected_by"] for r in refused} <= {"answer", "steps", "format"}


def test_accepted_rows_prove_themselves(out: Path) -> None:
    accepted = rows(out, "data")
    assert f"{len(accepted)} rows proved" in dsgen("verify", out)
    for row in accepted:
        assert row["reasoning"], "the reasoning is kept apart"
        assert "<think>" not in row["solution"]
        assert row["solution"].endswith(f"\\boxed{{{row['answer']}}}.")
        assert row["teacher"] == "vllm:dsgen/tiny"


def test_experts_and_canaries_are_reported(out: Path) -> None:
    session = orjson.loads((out / "manifest.json").read_bytes())["session"]
    teacher = session["teachers"]["vllm:dsgen/tiny"]
    assert 0 < teacher["experts"]["figures"]["utilisation"] <= 1
    right, asked = session["canaries"]["vllm:dsgen/tiny"]
    assert asked == 8
    assert right >= 4
    assert "Experts of vllm:dsgen/tiny" in (out / "README.md").read_text()
