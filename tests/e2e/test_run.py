"""A run from workflow to dataset: what comes out is all there, true, different and readable by others."""

import json
from fractions import Fraction
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from dsgen.pipeline.core.derivation import Derivation
from dsgen.seeds.catalog import templates


def rows_of(dataset: Path, kind: str = "data") -> list[dict]:
    return [row for path in sorted((dataset / kind).rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]


def test_every_planned_sample_is_accounted_for(dataset: Path, contents) -> None:
    manifest = json.loads((dataset / "manifest.json").read_text())
    counts = manifest["counts"]
    assert counts["planned"] == sum(n for k, n in counts.items() if k != "planned")
    assert len(rows_of(dataset)) == counts["accepted"] > 100
    assert len(rows_of(dataset, "rejected")) == counts["rejected"]
    assert {f["path"] for f in manifest["files"]} == set(contents(dataset))


def test_no_statement_twice_and_ids_are_unique(dataset: Path) -> None:
    rows = rows_of(dataset)
    assert len({" ".join(r["statement"].split()).casefold() for r in rows}) == len(rows)
    assert len({r["id"] for r in rows}) == len(rows)


def test_template_answers_agree_with_the_second_solver_and_derivations_hold(dataset: Path) -> None:
    checked = 0
    for row in rows_of(dataset):
        derivation = Derivation.from_data(json.loads(row["derivation"]))
        assert derivation.faults() == []
        if row["lineage"] and json.loads(row["lineage"])["source"] == "templates" and row["form"] == "forward":
            assert row["seed_id"].partition("#")[0] in templates()
            assert json.loads(row["verdicts"])["second_solver"]["status"] == "pass"
            checked += 1
    assert checked > 50


def test_every_row_carries_its_tags_with_evidence(dataset: Path) -> None:
    rows = rows_of(dataset)
    tagged = [r for r in rows if r["patterns"]]
    assert len(tagged) > len(rows) / 2
    for row in tagged:
        assert set(json.loads(row["pattern_evidence"])) == set(row["patterns"])


def test_text_without_derivation_is_rejected_with_the_reason(dataset: Path) -> None:
    rejected = rows_of(dataset, "rejected")
    unlifted = [r for r in rejected if r["reason"] == "no_derivation"]
    funnel = json.loads((dataset / "manifest.json").read_text())["funnel"]["gsm8k"]
    assert len(unlifted) == funnel["read"] - funnel["lifted"] > 0
    assert funnel["lifted"] > 0


@pytest.mark.slow
def test_ray_and_local_write_the_same_bytes(dsgen, small: Path, dataset: Path, tmp_path: Path, contents) -> None:
    done = dsgen("run", small, "--out", tmp_path / "out", "--workers", 2)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(dataset)


def test_one_worker_writes_the_same_bytes_as_two(dsgen, small: Path, dataset: Path, tmp_path: Path, contents) -> None:
    done = dsgen("run", small, "--out", tmp_path / "out", "--executor", "local", "--workers", 1)
    assert done.returncode == 0, done.stderr
    assert contents(tmp_path / "out") == contents(dataset)


def test_a_finished_run_is_not_done_again(dsgen, small: Path, dataset: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in (dataset / "data").rglob("*.parquet")}
    done = dsgen("run", small, "--out", dataset, "--executor", "local")
    assert done.returncode == 0, done.stderr
    assert {p: p.stat().st_mtime_ns for p in (dataset / "data").rglob("*.parquet")} == before


def test_changed_validators_judge_again_in_the_same_folder(dsgen, tmp_path: Path, settings) -> None:
    path, out = tmp_path / "w.yaml", tmp_path / "out"
    workflow = settings | {"sources": [{"kind": "templates", "seeds": 2, "families": ["geometry"]}]}
    path.write_text(yaml.safe_dump(workflow))
    assert dsgen("run", path, "--out", out, "--executor", "local").returncode == 0
    accepted, rejected = len(rows_of(out)), len(rows_of(out, "rejected"))
    path.write_text(yaml.safe_dump(workflow | {"validators": [{"kind": "format", "max_characters": 60}]}))
    done = dsgen("run", path, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    assert "judged again" in done.stderr
    assert len(rows_of(out)) < accepted
    assert len(rows_of(out)) + len(rows_of(out, "rejected")) == accepted + rejected


def test_datasets_reads_it_offline(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(str(dataset), split="train", cache_dir=str(tmp_path))
    rows = rows_of(dataset)
    assert len(loaded) == len(rows)
    for column in ("id", "statement", "solution", "answer"):
        assert loaded.features[column].dtype == "string"
    assert sorted(loaded["id"]) == sorted(r["id"] for r in rows)


def test_answers_stand_in_their_solutions(dataset: Path) -> None:
    for row in rows_of(dataset):
        boxed = row["answer"].replace("{", r"\{").replace("}", r"\}")
        assert row["solution"].endswith(f"The answer is \\boxed{{{boxed}}}.")
        if row["answer_type"] in ("integer", "rational"):
            Fraction(row["answer"])


def test_three_length_buckets_are_filled(dsgen, tmp_path: Path, settings) -> None:
    """Long traces of a loop fill 2k, 16k and 64k; a row's bucket is the smallest that holds its tokens."""
    path, out = tmp_path / "w.yaml", tmp_path / "out"
    records = tmp_path / "long.jsonl"
    filler = "The sky over the harbour was grey that day. "
    with records.open("w") as file:
        for index, repeats in enumerate((1, 400, 1500, 3000)):
            question = f"{filler * repeats}Ben has {index + 5} apples and eats 2. How many apples are left?"
            apples, left = index + 5, index + 3
            answer = f"Ben has {apples} - 2 = <<{apples}-2={left}>>{left} apples left.\n#### {left}"
            file.write(json.dumps({"question": question, "answer": answer}) + "\n")
    workflow = settings | {"sources": [{"kind": "gsm8k", "path": str(records)}], "mutators": []}
    path.write_text(yaml.safe_dump(workflow))
    done = dsgen("run", path, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    buckets = {p.parent.name for p in (out / "data").rglob("*.parquet")}
    assert len(buckets) >= 3
    bounds = {"2k": (0, 2048), "16k": (2048, 16384), "64k": (16384, 65536)}
    for row in rows_of(out):
        low, high = bounds[row["length_bucket"]]
        assert low < row["statement_tokens"] + row["solution_tokens"] <= high
