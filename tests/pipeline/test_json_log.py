"""``--log-json``: what is in a line, what is never in it, and that no run ends for a log."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dsgen.pipeline.core.errors import UserError
from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.json_log import JsonLog
from dsgen.pipeline.pace import Pace
from dsgen.pipeline.progress import Reporter

SECRET = "sk-0123456789"


def no_warning(text: str) -> None:
    pytest.fail(text)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def status(**changes: Any) -> Status:
    made = Status(stage="surveying", units=10, counts=Counter(accepted=3), engines=[EngineStatus("a", 4, 2, 0.5)])
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_the_events_of_a_run(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    state = status(note="careful")
    with (
        JsonLog.opened(str(path), {"out": "out/x"}, warn=no_warning) as log,
        Reporter(Console(file=io.StringIO()), log=log) as reporter,
    ):
        reporter(state)
        reporter.look()
        state.stage = "making rows"
        reporter(state)
        reporter.look()
        reporter.look()
        reporter.finish({"counts": {"accepted": 3}, "session": {"tokens": 1}, "files": [{"bytes": 5}, {"bytes": 6}]})
    events = read(path)
    assert [e["event"] for e in events] == ["start", "note", "stage", "progress", "stage", "end"]
    start, note, stage, progress, second, end = events
    assert start["out"] == "out/x"
    assert note["note"] == "careful"
    assert (stage["stage"], second["stage"]) == ("surveying", "making rows")
    assert progress["counts"] == {"accepted": 3}
    assert progress["engines"][0]["occupancy"] == 0.5
    assert {"elapsed_s", "rows_per_s", "tokens_per_s", "eta_s"} < set(progress)
    assert (end["counts"], end["session"], end["files"], end["bytes"]) == ({"accepted": 3}, {"tokens": 1}, 2, 11)
    for event in events:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])


def test_progress_comes_now_and_then(tmp_path: Path) -> None:
    now = [0.0]
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    log = JsonLog(descriptor, {}, warn=no_warning, every_s=5, clock=lambda: now[0])
    for _ in range(25):
        log.progress(status(), Pace())
        now[0] += 0.5
    os.close(descriptor)
    assert len(read(tmp_path / "log")) == 3


def test_a_log_goes_on_behind_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_bytes(b'{"event":"start"}\n{"event":"pro')
    with JsonLog.opened(str(path), warn=no_warning) as log:
        log.note("again")
    lines = path.read_text().splitlines()
    assert lines[1] == '{"event":"pro'
    assert json.loads(lines[2])["note"] == "again"


@pytest.mark.parametrize(
    ("error", "kind", "text"),
    [
        (UserError("mend it"), "UserError", "mend it"),
        (ValueError("the prompt: What is 2 + 2?"), "ValueError", ""),
        (KeyboardInterrupt(), "interrupted", ""),
    ],
)
def test_errors(tmp_path: Path, error: BaseException, kind: str, text: str) -> None:
    path = tmp_path / "log.jsonl"
    with (
        pytest.raises(type(error)),
        JsonLog.opened(str(path), warn=no_warning) as log,
        Reporter(Console(file=io.StringIO()), log=log),
    ):
        raise error
    assert [(e["event"], e.get("error"), e.get("text")) for e in read(path)][1:] == [("error", kind, text)]


def test_no_secret_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DSGEN_TEACHER_KEY", SECRET)
    monkeypatch.setenv("MY_TOKEN", 'with "quotes" in it')
    path = tmp_path / "log.jsonl"
    with JsonLog.opened(str(path), {"url": "redis://me:hidden-word@host/0"}, warn=no_warning) as log:
        log.start()
        log.note(f"the endpoint says: bad key {SECRET}")
        gone = EngineStatus("a", 1, gone='with "quotes" in it')
        log.progress(status(engines=[gone], reasons=Counter({f"x:{SECRET}": 1})), Pace())
        log.error(UserError(SECRET))
        log.end({"session": {"teachers": {"a": {"engines": [{"gone": SECRET}]}}}})
    text = path.read_text()
    assert "hidden-word" not in text
    assert "quotes" not in text
    assert text.count("***") == 6
    assert SECRET not in text


def test_texts_are_short_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with JsonLog.opened(str(path), warn=no_warning) as log:
        log.note("a" * 100_000)
        log.note("half a pair \ud800\n")
    first, second = read(path)
    assert len(first["note"]) == 2000
    assert second["note"] == "half a pair ?\n"


def test_tokens_by_expert_are_left_out_and_figures_stay(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    experts = {"counts": [[1, 2]] * 3, "figures": {"gini": 0.5}}
    with JsonLog.opened(str(path), warn=no_warning) as log:
        log.end({"counts": {"accepted": 1}, "session": {"teachers": {"a": {"experts": experts}}}})
    (end,) = read(path)
    assert end["counts"] == {"accepted": 1}
    assert end["session"]["teachers"]["a"]["experts"] == {"figures": {"gini": 0.5}}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with (
        pytest.raises(UserError, match=r"--log-json .*/none/log: No such file or directory; name a file"),
        JsonLog.opened(str(tmp_path / "none" / "log"), warn=no_warning),
    ):
        pass


def _full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def _nobody_reads() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(("opened", "number"), [(_full, errno.ENOSPC), (_nobody_reads, errno.EPIPE)])
def test_a_log_that_cannot_be_written_ends_no_run(opened: Callable[[], int], number: int) -> None:
    descriptor, warnings = opened(), []
    log = JsonLog(descriptor, {}, warn=warnings.append)
    for _ in range(3):
        log.note("lost")
    os.close(descriptor)
    (warning,) = warnings
    assert os.strerror(number) in warning


def test_a_slow_reader_that_does_not_block_gets_every_line_whole() -> None:
    code = """
import os
from dsgen.pipeline.json_log import JsonLog
os.set_blocking(1, False)
with JsonLog.opened("-", warn=print) as log:
    for number in range(300):
        log.note(f"{number} " + "x" * 1900)
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr == ""
    assert [json.loads(line)["note"].split()[0] for line in done.stdout.splitlines()] == [str(n) for n in range(300)]


def test_standard_output_is_the_logs_alone() -> None:
    code = """
import os, subprocess
from dsgen.pipeline.json_log import JsonLog
print("before")
with JsonLog.opened("-", warn=print) as log:
    log.note("a")
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["echo", "a child's"])
    log.note("b")
print("after")
"""
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, timeout=60)
    before, first, second, after = done.stdout.splitlines()
    assert (before, after) == ("before", "after")
    assert [json.loads(line)["note"] for line in (first, second)] == ["a", "b"]
    assert set(done.stderr.splitlines()) == {"printed", "written", "a child's"}
