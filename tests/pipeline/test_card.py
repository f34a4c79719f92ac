"""The dataset card: what ``load_dataset`` finds by it, and what it says."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from dsgen.pipeline.dataset.card import card, configs, write_card
from dsgen.pipeline.dataset.schema import QUARANTINE, REJECTED, SCHEMA

Load = Callable[..., Any]

MANIFEST: dict[str, Any] = {
    "name": "tiny | *set*\n---\n# <b>not a title</b>",
    "seed": 7,
    "dsgen_version": "0.1.0",
    "identity": "abc123",
    "workflow": {"name": "tiny", "note": "```\n# breaks out"},
    "teacher": {"name": "derivation", "why": "no GPU and no endpoint"},
    "tokenizer": {"name": "cl100k_base", "sha256": "00ff"},
    "validators": ["answer/v1:{}", 'steps/v1:{"cap":2}'],
    "counts": {"planned": 16, "accepted": 9, "rejected": 3, "quarantined": 1, "duplicate": 3},
    "reasons": {"steps:wrong|equation": 2, "answer:wrong_answer": 1},
    "tables": {
        "source": {"templates": 8, "gsm8k": 1, "own_file": 1},
        "mutator": {"seed": 4, "perturb+invert_backward": 5},
        "form": {"forward": 3, "backward": 6, "odd form": 1},
        "tier": {"exact": 5, "lifted": 4},
        "family": {"algebra": 9},
        "length_bucket": {"16k": 4, "2k": 5},
        "answer_type": {"integer": 9},
    },
    "patterns": {"gcd_lcm_reasoning": [120, 3], "chinese_remainder": [120, 2], "unheard_of": [1, 1]},
    "funnel": {"gsm8k": {"read": 500, "lifted": 287}},
    "files": [{"path": "data/2k/part-000000.parquet", "rows": 3, "bytes": 1000, "sha256": "a", "kind": "data"}],
}


def rows(schema: pa.Schema, numbers: range, **fixed: str) -> pa.Table:
    def value(field: pa.Field, number: int) -> Any:
        if pa.types.is_list(field.type):
            return [f"{field.name} {number}"]
        return number if pa.types.is_integer(field.type) else fixed.get(field.name, f"{field.name} {number}")

    return pa.Table.from_pylist([{f.name: value(f, n) for f in schema} for n in numbers], schema=schema)


def put(out: Path, path: str, table: pa.Table) -> None:
    (out / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, out / path)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Load]]:
    """A dataset's folder and ``load_dataset``, offline and with a cache of its own."""
    out = tmp_path_factory.mktemp("datasets") / "tiny"
    put(out, "data/2k/part-000000.parquet", rows(SCHEMA, range(3), form="forward", tier="exact"))
    put(out, "data/2k/part-000001.parquet", rows(SCHEMA, range(3, 5), form="backward", tier="exact"))
    put(out, "data/16k/part-000000.parquet", rows(SCHEMA, range(5, 9), form="backward", tier="lifted"))
    put(out, "rejected/part-000000.parquet", rows(REJECTED, range(20, 23)))
    put(out, "quarantine/part-000000.parquet", rows(QUARANTINE, range(30, 31)))
    for stray in ("commits/bucket-000000.json", "journal/replies.jsonl", "manifest.json"):
        (out / stray).parent.mkdir(exist_ok=True)
        (out / stray).write_text('{"id": "stray"}\n', encoding="utf-8")
    write_card(out, MANIFEST)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("HF_HOME", str(out.parent / "home"))
        patch.setenv("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
        warnings.simplefilter("ignore")
        datasets = pytest.importorskip("datasets")

        def load(*config: str, **more: Any) -> Any:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return datasets.load_dataset(
                    str(out), *config, split="train", cache_dir=str(out.parent / "cache"), **more
                )

        yield out, load


@pytest.mark.parametrize(
    ("config", "numbers"),
    [
        ((), range(9)),
        (("default",), range(9)),
        (("length_2k",), range(5)),
        (("length_16k",), range(5, 9)),
        (("form_forward",), range(3)),
        (("form_backward",), range(3, 9)),
        (("tier_exact",), range(5)),
        (("tier_lifted",), range(5, 9)),
        (("rejected",), range(20, 23)),
    ],
)
def test_every_config_loads_offline(dataset: tuple[Path, Load], config: tuple[str, ...], numbers: range) -> None:
    found = dataset[1](*config)
    for column in ("id", "statement", "solution", "answer"):
        assert sorted(found[column]) == sorted(f"{column} {n}" for n in numbers)
        assert found.features[column].dtype == "string"
    assert ("rejected_by" in found.column_names) is (config == ("rejected",))


def test_the_snippets_of_the_card_work(dataset: tuple[Path, Load]) -> None:
    load = dataset[1]
    assert len(load(filters=[("depth", ">=", 6), ("form", "==", "backward")])) == 3
    assert sum(1 for _ in load("form_forward", streaming=True)) == 3


def test_only_the_listed_configs_exist(dataset: tuple[Path, Load]) -> None:
    with pytest.raises(ValueError, match="quarantine"):
        dataset[1]("quarantine")


def test_new_rows_are_seen_in_spite_of_the_cache(dataset: tuple[Path, Load]) -> None:
    out, load = dataset
    assert len(load()) == 9
    new = out / "data/2k/part-000002.parquet"
    try:
        put(out, "data/2k/part-000002.parquet", rows(SCHEMA, range(40, 42), form="forward", tier="exact"))
        file = {"path": "data/2k/part-000002.parquet", "rows": 2, "bytes": 900, "sha256": "b", "kind": "data"}
        write_card(out, MANIFEST | {"files": [*MANIFEST["files"], file]})
        assert len(load()) == 11
        assert len(load("form_forward")) == 5
    finally:
        new.unlink()
        write_card(out, MANIFEST)


def test_front_matter() -> None:
    front, body = card(MANIFEST).removeprefix("---\n").split("\n---\n", 1)
    data = yaml.safe_load(front)
    names = [config["config_name"] for config in data["configs"]]
    # The first names the reader; a value that is no name for a config is left to a filter.
    assert names == [
        *("default", "length_2k", "length_16k", "form_backward", "form_forward", "tier_exact", "tier_lifted"),
        "rejected",
    ]
    assert data["configs"][0]["default"] is True
    assert data["size_categories"] == ["n<1K"]
    assert data["pretty_name"] == "tiny | *set* --- # <b>not a title</b>"
    assert body.startswith("\n# tiny \\| \\*set\\* --- \\# \\<b\\>not a title\\</b\\>\n")


@pytest.mark.parametrize(
    "text",
    [
        "They add up.",
        "| **planned** | 16 |",
        "| perturb+invert\\_backward | 5 |",
        "| steps:wrong\\|equation | 2 |",
        "**1 of 206 patterns are covered**",
        "| gcd\\_lcm\\_reasoning | Number theory | 120 | 3 | yes |",
        "| chinese\\_remainder | Number theory | 120 | 2 | no |",
        "Solutions are rendered from exact derivations. No model wrote or rewrote them.",
        '* `steps/v1:{"cap":2}`',
        "| tokenizer SHA-256 | `00ff` |",
        "| run seed | `7` |",
        "Only the tiers `exact` and `certified` count towards an error-rate claim. No independent oracle has been run, "
        "so no bound is claimed.",
        "| gsm8k | lifted | 287 |",
        "MIT, © 2021 OpenAI",
        "own\\_file: the terms of its publisher",
        "````yaml\n",
    ],
)
def test_what_the_card_says(text: str) -> None:
    assert text in card(MANIFEST)


def test_a_model_is_named_as_the_teacher() -> None:
    text = card({"teacher": {"name": "some-org/model"}})
    assert "**Teacher: some-org/model.**" in text
    assert "No model wrote" not in text


def test_counts_that_do_not_add_up_are_said() -> None:
    assert "They do not add up: 1 are accounted for." in card({"counts": {"planned": 2, "accepted": 1}})


@pytest.mark.parametrize("missing", sorted(MANIFEST))
def test_missing_keys_do_no_harm(missing: str) -> None:
    manifest = {key: value for key, value in MANIFEST.items() if key != missing}
    assert "# " in card(manifest)
    assert configs(manifest)[0]["config_name"] == "default"


def test_an_empty_manifest_has_a_card(tmp_path: Path) -> None:
    write_card(tmp_path, {})
    assert [p.name for p in tmp_path.iterdir()] == ["README.md"]
    assert [c["config_name"] for c in configs({})] == ["default"]
