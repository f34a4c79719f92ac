"""Whole runs with a stand-in engine: what a changed setting costs, several teachers, a judge, canaries, bad rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow.parquet as pq
import pytest

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.engine.run import resumable, run
from dsgen.pipeline.workflow import parse

pytestmark = pytest.mark.slow

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture(autouse=True)
def _stand_in_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1] / "support"))


def workflow(log: Path | None, **changes: Any) -> dict[str, Any]:
    options = {"log": str(log)} if log else {}
    data = {
        "name": "engine",
        "seed": 3,
        "bucket_units": 30,
        "sources": [{"kind": "templates", "seeds": 2}],
        "mutators": [{"kind": "perturb", "count": 1}],
        "teacher": {"kind": "python", "target": "stand_in:StandIn", "model": "seeded", "n": 2, "options": options},
        "validators": [{"kind": "format"}],
        "engine": {"executor": "local", "workers": 2},
    }
    return data | changes


def teacher(log: Path | None = None, **changes: Any) -> dict[str, Any]:
    return {**workflow(log)["teacher"], **changes}


def carry_out(data: dict[str, Any], out: Path, **options: Any) -> dict[str, Any]:
    return run(parse(data, "test"), out, **options)


def asked(log: Path) -> Counter[str]:
    """Requests that the stand-in began, by their ids."""
    lines = log.read_text().splitlines() if log.exists() else []
    return Counter(line.split()[2] for line in lines if line.startswith("begun "))


def rows(out: Path, kind: str) -> list[dict[str, Any]]:
    return [r for p in sorted((out / kind).rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]


def test_a_changed_validator_judges_again_and_asks_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = carry_out(workflow(log), tmp_path / "out")
    assert first["counts"]["rejected"] > 0
    units = len(asked(log))
    stricter = [{"kind": "format"}, {"kind": "answer"}]
    second = carry_out(workflow(log, validators=stricter), tmp_path / "out")
    assert sum(asked(log).values()) == units
    assert second["session"]["cache"]["misses"] == 0
    assert second["counts"]["planned"] == first["counts"]["planned"]
    assert second["counts"]["accepted"] < first["counts"]["accepted"]


def test_more_tokens_ask_again_for_cut_off_rows_only(tmp_path: Path) -> None:
    log = tmp_path / "log"
    carry_out(workflow(log), tmp_path / "out")
    before = asked(log)
    cut = {r["unit_id"] for r in rows(tmp_path / "out", "rejected") if r["reason"] == "truncated"}
    assert 0 < len(cut) < len(before)
    carry_out(workflow(log, teacher=teacher(log, max_tokens=9999)), tmp_path / "out")
    assert set(asked(log) - before) == cut
    # And a third start under the same settings has nothing left to do.
    after = asked(log)
    carry_out(workflow(log, teacher=teacher(log, max_tokens=9999)), tmp_path / "out")
    assert asked(log) == after


def test_a_changed_judge_only_judges_again(tmp_path: Path) -> None:
    log = tmp_path / "log"
    judged = workflow(log, validators=[{"kind": "format"}, {"kind": "judge"}])
    first = carry_out(judged, tmp_path / "out")
    solved = {i for i in asked(log) if "judge" not in i}
    questions = {i for i in asked(log) if "judge" in i}
    assert len(questions) == sum(
        1 for kind in ("data", "rejected") for r in rows(tmp_path / "out", kind) if "judge" in r["verdicts"]
    )
    assert {"judge:judged_incorrect"} < set(first["reasons"])
    before = asked(log)
    carry_out(judged | {"validators": [{"kind": "format"}, {"kind": "judge", "rubric": "Be kind."}]}, tmp_path / "out")
    again = asked(log) - before
    assert set(again) == questions
    assert not solved & set(again)


def test_a_judge_of_its_own(tmp_path: Path) -> None:
    log, bench = tmp_path / "log", tmp_path / "bench"
    judge = {"kind": "python", "target": "stand_in:StandIn", "model": "judge", "options": {"log": str(bench)}}
    data = workflow(log, validators=[{"kind": "format"}, {"kind": "judge", "votes": 3}], judge=judge)
    manifest = carry_out(data, tmp_path / "out")
    assert all("judge" not in i for i in asked(log))
    assert all(i.endswith("/judge/0") for i in asked(bench))
    assert set(manifest["session"]["teachers"]) == {"python:seeded", "judge python:judge"}


def test_the_same_bytes_without_the_cache(tmp_path: Path, contents: Contents) -> None:
    """The journal of a finished run is thrown away, and everything asked again: a stand-in says the same again."""
    carry_out(workflow(None), tmp_path / "a")
    carry_out(workflow(None), tmp_path / "b")
    for path in (tmp_path / "b" / "journal").iterdir():
        path.unlink()
    for path in (tmp_path / "b" / "commits").iterdir():
        path.unlink()
    again = carry_out(workflow(None), tmp_path / "b")
    assert again["session"]["cache"]["journal"] == 0
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_rows_go_to_the_teacher_that_takes_them(tmp_path: Path) -> None:
    logs = {name: tmp_path / name for name in ("algebra", "long", "rest")}
    teachers = [
        teacher(logs["algebra"], name="algebra", families=["algebra"]),
        teacher(logs["long"], name="long", steps=[12, 1000]),
        teacher(logs["rest"], name="rest"),
    ]
    data = workflow(None, teachers=teachers)
    del data["teacher"]
    carry_out(data, tmp_path / "out")
    made = [r for kind in ("data", "rejected") for r in rows(tmp_path / "out", kind)]
    for row in made:
        expected = "algebra" if row["family"] == "algebra" else "long" if row["operations"] >= 12 else "rest"
        assert row["teacher"] == expected
        assert row["unit_id"] in asked(logs[expected])
    assert {r["teacher"] for r in made} == set(logs)


def test_pass_rates_are_measured_once_and_decide(tmp_path: Path) -> None:
    """One teacher never boxes an answer; it comes first in the list and gets no rows after the pilot."""
    teachers = [teacher(name="mute", options={"mute": True}), teacher(name="good")]
    data = workflow(None, teachers=teachers, routing={"by_pass_rate": True, "pilot_buckets": 4})
    del data["teacher"]
    data["sources"] = [{"kind": "templates", "seeds": 6}]
    first = carry_out(data, tmp_path / "out")
    passed = {t: sum(r[t][0] for r in first["pass_rates"].values() if t in r) for t in ("mute", "good")}
    judged = {t: sum(r[t][1] for r in first["pass_rates"].values() if t in r) for t in ("mute", "good")}
    assert passed["mute"] == 0
    assert 0 < judged["mute"] < judged["good"] / 3
    state = next((tmp_path / "out").rglob("pass_rates-*"))
    kept = state.read_bytes()
    for path in sorted((tmp_path / "out" / "commits").iterdir())[3:]:
        path.unlink()
    second = carry_out(data, tmp_path / "out")
    assert state.read_bytes() == kept
    assert second["pass_rates"] == first["pass_rates"]


def test_a_teacher_that_fails_its_canaries_gets_no_rows(tmp_path: Path) -> None:
    data = workflow(None, teacher=teacher(canaries=4, canary_floor=1.0), validators=[{"kind": "answer"}])
    with pytest.raises(UserError, match=r"no engine is left \(\d of 4 canaries right, 100% are wanted\)"):
        carry_out(data, tmp_path / "out")


def test_a_bad_row_is_set_aside_alone_and_can_be_tried_again(tmp_path: Path, contents: Contents) -> None:
    """One prompt kills every engine that sees it."""
    plain = carry_out(workflow(None), tmp_path / "plain")
    statement = rows(tmp_path / "plain", "data")[7]["statement"]
    poisoned = workflow(None, teacher=teacher(engines=2, options={"poison": statement}))
    manifest = carry_out(poisoned, tmp_path / "out")
    (bad, _) = rows(tmp_path / "out", "quarantine")
    assert manifest["counts"]["quarantined"] == 2
    assert (bad["stage"], bad["reason"]) == ("teacher", "engine_lost")
    assert manifest["counts"]["accepted"] + 2 >= plain["counts"]["accepted"]
    # The cause is mended: the folder's own workflow, with a teacher that survives the prompt.
    stored = resumable(tmp_path / "out")
    mended = stored.model_copy(update={"teacher": stored.teacher.model_copy(update={"options": {}})})
    again = run(mended, tmp_path / "out", retry_quarantine=True)
    assert again["counts"] == plain["counts"]
    assert contents(tmp_path / "out") == contents(tmp_path / "plain")


def test_a_run_that_only_fills_the_quarantine_ends(tmp_path: Path) -> None:
    data = workflow(None, teacher=teacher(options={"fail": 1.0, "always": True}))
    data["engine"] |= {"max_error_rate": 0.2}
    data["sources"] = [{"kind": "templates", "seeds": 4}]
    with pytest.raises(UserError, match=r"more than max_error_rate 0.2 allows; most: scripted.*retry-quarantine"):
        carry_out(data, tmp_path / "out")
    assert list((tmp_path / "out" / "commits").glob("bucket-*.json"))


def test_failures_that_pass_cost_nothing(tmp_path: Path, contents: Contents) -> None:
    carry_out(workflow(None), tmp_path / "plain")
    carry_out(workflow(None, teacher=teacher(options={"fail": 0.3})), tmp_path / "moody")
    assert contents(tmp_path / "plain") == contents(tmp_path / "moody")


def test_the_sum_is_kept_in_every_commit(tmp_path: Path) -> None:
    manifest = carry_out(workflow(None), tmp_path / "out")
    records = [orjson.loads(p.read_bytes()) for p in (tmp_path / "out" / "commits").glob("bucket-*.json")]
    total = sum(sum(r["counts"].values()) for r in records)
    assert total + manifest["counts"]["duplicate"] == manifest["counts"]["planned"]
