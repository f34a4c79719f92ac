"""Workflows: every fault at once and by its path, what ships loads, identity is what it should be."""

from pathlib import Path

import pytest
import yaml

from dsgen.pipeline.core.errors import SourceError, WorkflowError
from dsgen.pipeline.workflow import load, parse

ROOT = Path(__file__).parents[2]
GOOD = {
    "name": "small",
    "seed": 3,
    "sources": [{"kind": "templates", "seeds": 2, "only": ["geometry/fenced_garden"]}],
    "mutators": [{"kind": "perturb", "count": 2}],
    "validators": [{"kind": "answer"}],
}


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.yaml")), ids=lambda p: p.name)
def test_shipped_workflows_load_and_plan(path: Path) -> None:
    assert len(load(path).plan()) > 0


def test_a_shipped_workflow_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(Path("math.yaml")).name == "math"


def test_all_faults_are_told_at_once_with_their_paths(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "Not a name",
                "seed": -1,
                "sources": [{"kind": "template"}, {"kind": "gsm8k", "limit": 0}],
                "mutators": [{"kind": "perturb", "profil": "same"}, {"kind": "perturb", "profile": "hardest"}],
                "teacher": {"kind": "openai", "model": "m"},
                "validators": [{"kind": "answr"}],
                "engine": {"workers": 0},
                "extra": 1,
            }
        )
    )
    with pytest.raises(WorkflowError) as caught:
        load(path)
    faults = "\n".join(caught.value.faults)
    for expected in (
        "name: ",
        "seed: ",
        "sources[0]: unknown kind 'template'; known: ",
        "sources[1].limit: ",
        "mutators[0].profil: unknown key",
        "mutators[1].profile: ",
        "teacher.base_url: is missing",
        "validators[0]: unknown kind 'answr'; known: 'answer', ",
        "engine.workers: ",
        "extra: unknown key",
    ):
        assert expected in faults, f"{expected!r} is not told in\n{faults}"
    assert len(caught.value.faults) == 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("name: [", "not a YAML file", id="broken YAML"),
        pytest.param("- a\n- b", "must be a mapping", id="a list"),
        pytest.param("", "must be a mapping", id="empty"),
    ],
)
def test_files_that_are_no_workflow(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(text)
    with pytest.raises(WorkflowError, match=told):
        load(path)


def test_a_missing_file_names_what_ships(tmp_path: Path) -> None:
    with pytest.raises(WorkflowError, match=r"no such file; workflows that ship with dsgen: .*math\.yaml"):
        load(tmp_path / "nothing.yaml")


def test_an_unknown_seed_file_names_what_ships() -> None:
    workflow = parse(GOOD | {"sources": [{"kind": "gsm8k", "path": "gsm9k.jsonl"}]}, "w")
    with pytest.raises(SourceError, match=r"sources\[0\]: gsm9k\.jsonl: no such seed file; .*gsm8k_train_500\.jsonl"):
        workflow.plan()


def test_unreadable_lines_are_all_named(tmp_path: Path) -> None:
    path = tmp_path / "seeds.jsonl"
    path.write_text('{"question": "1 + 1?", "answer": "2"}\n{"question": \n[1]\n{"question": "no answer"}\n')
    workflow = parse(GOOD | {"sources": [{"kind": "records", "path": str(path)}]}, "w")
    with pytest.raises(SourceError) as caught:
        workflow.plan()
    text = str(caught.value)
    assert "line 2: not a JSON object" in text
    assert "line 3: a JSON object is wanted" in text
    assert "line 4: no field `answer`" in text


def test_asking_for_more_than_there_is_says_how_much_there_is() -> None:
    workflow = parse(
        GOOD | {"sources": [{"kind": "templates", "seeds": 10**7, "only": ["geometry/fenced_garden"]}]}, "w"
    )
    with pytest.raises(WorkflowError, match=r"geometry/fenced_garden has [\d,]+ different instances of profile `same`"):
        workflow.plan()


def test_the_same_mutator_twice_is_told() -> None:
    with pytest.raises(WorkflowError, match=r"mutators\[1\] is mutators\[0\] again: raise that one's `count`"):
        parse(GOOD | {"mutators": [{"kind": "perturb", "count": 2}, {"kind": "perturb", "count": 3}]}, "w")


def test_an_unknown_template_is_told() -> None:
    workflow = parse(GOOD | {"sources": [{"kind": "templates", "only": ["geometry/nothing"]}]}, "w")
    with pytest.raises(SourceError, match="unknown template geometry/nothing"):
        workflow.plan()


def test_identity_is_name_seed_sources_mutators() -> None:
    base = parse(GOOD, "w").identity()
    same = parse(GOOD | {"validators": [{"kind": "format"}], "engine": {"workers": 7}}, "w").identity()
    assert same == base
    for change in ({"name": "other"}, {"seed": 4}, {"mutators": []}, {"sources": [{"kind": "templates"}]}):
        assert parse(GOOD | change, "w").identity() != base, change


def test_a_workflow_survives_its_own_json() -> None:
    workflow = parse(GOOD, "w")
    assert parse(workflow.model_dump(mode="json"), "w") == workflow


def test_the_documentation_names_every_field() -> None:
    from dsgen.pipeline import workflow
    from dsgen.pipeline.teachers import config

    text = (ROOT / "docs" / "workflow.md").read_text(encoding="utf-8")
    operators = [*workflow.sources().values(), *workflow.mutators().values(), *workflow.validators().values()]
    models = [*operators, workflow.Workflow, workflow.Engine, config.OpenAIConfig, config.VLLMConfig, config.AutoConfig]
    missing = {f"{m.__name__}.{f}" for m in models for f in m.model_fields if f"`{f}`" not in text and f != "kind"}
    assert missing - {"Workflow.teacher", "Workflow.validators", "Workflow.sources", "Workflow.engine"} == set()
