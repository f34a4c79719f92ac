"""The command line as a person meets it: what it prints, and what it says when one types it wrong."""

import json
import time
from pathlib import Path

import pytest
import yaml


@pytest.mark.parametrize("name", ["mutators", "validators", "patterns", "templates", "--help", "--version"])
def test_listings_print_something_and_exit_0(dsgen, name: str) -> None:
    done = dsgen(name)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout) > 5


def test_listings_name_what_there_is(dsgen) -> None:
    assert "invert_backward" in dsgen("mutators").stdout
    assert "second_solver" in dsgen("validators").stdout
    assert "chinese_remainder" in dsgen("patterns", "--family", "number_theory").stdout
    assert "geometry/fenced_garden" in dsgen("templates").stdout


def test_preview_is_quick_and_needs_no_ray(dsgen, tmp_path: Path) -> None:
    began = time.monotonic()
    done = dsgen("preview", "math.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("statement") >= 3
    assert "\\boxed{" in done.stdout
    assert not list(tmp_path.iterdir()), "a preview leaves nothing behind"
    assert time.monotonic() - began < 30


def test_validate_says_how_much_there_is(dsgen, small: Path) -> None:
    done = dsgen("validate", small)
    assert done.returncode == 0
    assert "is valid: seeds templates:" in done.stdout


def test_show_prints_rows_and_finds_one_by_id(dsgen, dataset: Path) -> None:
    done = dsgen("show", dataset, "-n", 2)
    assert done.returncode == 0
    assert done.stdout.count("statement\n") == 2
    row_id = done.stdout.split()[1]
    assert row_id in dsgen("show", dataset, "--id", row_id[:12]).stdout
    assert "no_derivation" in dsgen("show", dataset, "--rejected").stdout


def user_error(done, *told: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    for text in told:
        assert text in done.stderr, done.stderr


def test_a_broken_workflow_lists_all_faults(dsgen, tmp_path: Path, settings) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(settings | {"seed": -1, "mutators": [{"kind": "pertrub"}]}))
    for arguments in (("validate", path), ("preview", path), ("run", path, "--out", tmp_path / "out")):
        user_error(dsgen(*arguments), "is not a valid workflow", "seed:", "mutators", "pertrub")
    assert not (tmp_path / "out").exists()


def test_unknown_seed_file(dsgen, tmp_path: Path, settings) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(settings | {"sources": [{"kind": "gsm8k", "path": "missing.jsonl"}]}))
    user_error(dsgen("run", path, "--out", tmp_path / "out"), "missing.jsonl: no such seed file")


def test_unreadable_line(dsgen, tmp_path: Path, settings) -> None:
    seeds = tmp_path / "seeds.jsonl"
    seeds.write_text('{"question": "a", "answer": "#### 1"}\n{oops\n')
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(settings | {"sources": [{"kind": "gsm8k", "path": str(seeds)}]}))
    user_error(dsgen("run", path, "--out", tmp_path / "out"), "seeds.jsonl, line 2: not a JSON object")


def test_a_folder_of_another_workflow_is_left_alone(dsgen, dataset: Path, tmp_path: Path, settings) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(settings | {"seed": 18}))
    before = {p: p.stat().st_mtime_ns for p in dataset.rglob("*") if p.is_file()}
    done = dsgen("run", path, "--out", dataset, "--executor", "local")
    user_error(done, "belongs to another run (`small`; different: ", "seed)")
    assert {p: p.stat().st_mtime_ns for p in dataset.rglob("*") if p.is_file()} == before


def test_an_unreachable_endpoint(dsgen, tmp_path: Path, settings) -> None:
    path = tmp_path / "w.yaml"
    teacher = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    path.write_text(yaml.safe_dump(settings | {"teacher": teacher}))
    done = dsgen("run", path, "--out", tmp_path / "out", "--executor", "local")
    user_error(done, "127.0.0.1:9")


def test_show_of_what_is_no_dataset(dsgen, tmp_path: Path) -> None:
    user_error(dsgen("show", tmp_path), "is not a dataset of dsgen")


def test_text_from_files_cannot_command_a_terminal(dsgen, tmp_path: Path, settings) -> None:
    seeds = tmp_path / "seeds.jsonl"
    question = "Ben has 5 apples \x1b[31m[red]and eats 2[/red]. How many apples are left?"
    seeds.write_text(json.dumps({"question": question, "answer": "#### 3"}) + "\n")
    path = tmp_path / "w.yaml"
    path.write_text(yaml.safe_dump(settings | {"sources": [{"kind": "gsm8k", "path": str(seeds)}], "mutators": []}))
    done = dsgen("preview", path)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "[red]and eats 2[/red]" in done.stdout
