"""`dsgen verify`: an honest dataset is proved row by row, and each kind of tampering is found."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest


def test_every_row_of_an_honest_dataset_is_proved(dsgen, dataset: Path) -> None:
    done = dsgen("verify", dataset)
    assert done.returncode == 0, done.stdout + done.stderr
    accepted = json.loads((dataset / "manifest.json").read_text())["counts"]["accepted"]
    assert done.stdout.strip() == f"{accepted:,} rows proved"


def test_a_sample_is_a_sample(dsgen, dataset: Path) -> None:
    assert dsgen("verify", dataset, "--sample", 7).stdout.strip() == "7 rows proved"


def _other_answer(row: dict) -> None:
    row["answer"] = row["answer"] + "1"


def _other_number_in_statement(row: dict) -> None:
    digit = next(c for c in row["statement"] if c.isdigit())
    row["statement"] = row["statement"].replace(digit, str((int(digit) + 1) % 10), 1)


def _other_solution(row: dict) -> None:
    row["solution"] = row["solution"].replace("=", "= 0 +", 1)


def _other_node(row: dict) -> None:
    derivation = json.loads(row["derivation"])
    derivation["nodes"][-1][2] = 424242
    row["derivation"] = json.dumps(derivation)


def _other_seed(row: dict) -> None:
    lineage = json.loads(row["lineage"])
    lineage["seed_hash"] = "0" * 16
    row["lineage"] = json.dumps(lineage)


@pytest.mark.parametrize(
    ("tamper", "outcome", "fault"),
    [
        pytest.param(_other_answer, "wrong", "answer", id="answer"),
        pytest.param(_other_number_in_statement, "wrong", "statement", id="statement"),
        pytest.param(_other_solution, "wrong", "solution", id="solution"),
        pytest.param(_other_node, "wrong", "derivation", id="derivation"),
        pytest.param(_other_seed, "unverifiable", "seed_changed", id="seed of another version"),
    ],
)
def test_a_changed_row_is_found(
    dsgen, dataset: Path, tmp_path: Path, tamper: Callable[[dict], None], outcome: str, fault: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    path = sorted((copy / "data" / "2k").glob("*.parquet"))[0]
    table = pq.read_table(path)
    rows = table.to_pylist()
    tamper(rows[3])
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    done = dsgen("verify", copy)
    assert done.returncode == 1
    assert f"1 rows {outcome}" in done.stdout
    assert f"1 × {fault}, first: {rows[3]['id']}" in done.stdout
    assert "1 × file_changed" in done.stdout


def test_a_folder_without_a_manifest_is_told(dsgen, tmp_path: Path) -> None:
    done = dsgen("verify", tmp_path)
    assert done.returncode == 2
    assert "is not a dataset of dsgen" in done.stderr
