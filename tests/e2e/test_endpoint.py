"""Runs with a model behind an endpoint: text that did not lift, n samples, faults, and a killed driver."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

GOLD = {f"What is the {i}th number of the row?": 3 * i + 1 for i in range(60)}


class Model(ThreadingHTTPServer):
    """Knows every answer; answers wrongly, truncates and refuses as told; counts what it answered."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answered: Counter[str] = Counter()
        self.delay = 0.0
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Model

    def log_message(self, *_: object) -> None:
        pass

    def reply(self, status: int, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.reply(200, {"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = asked["messages"][-1]["content"]
        number = int(re.search(r"the (\d+)th", text)[1])
        time.sleep(self.server.delay)
        if number % 10 == 9:
            self.reply(400, {"error": {"message": "this one is refused"}})
            return
        right = GOLD[f"What is the {number}th number of the row?"]
        choices = []
        for sample in range(asked.get("n", 1)):
            # Every second sample of every fifth problem is wrong, in the answer or in an equation.
            wrong = number % 5 == 0 and sample % 2 == 1
            value = right + 1 if wrong else right
            equation = f"3 × {number} + 1 = {right}" if number % 7 else f"3 × {number} + 1 = {right + 2}"
            content = f"<think>let me see</think>The row grows by 3: {equation}. So it is \\boxed{{{value}}}."
            message = {"role": "assistant", "content": content}
            choices.append({"index": sample, "message": message, "finish_reason": "stop"})
        self.server.answered[text] += 1
        self.reply(200, {"choices": choices, "usage": {"prompt_tokens": 9, "completion_tokens": 40}})


@pytest.fixture
def model() -> Iterator[Model]:
    server = Model()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def workflow(tmp_path: Path, model: Model) -> Path:
    seeds = tmp_path / "rows.jsonl"
    seeds.write_text("".join(json.dumps({"q": q, "a": str(a)}) + "\n" for q, a in GOLD.items()))
    path = tmp_path / "endpoint.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "name": "endpoint",
                "seed": 1,
                "bucket_units": 10,
                "sources": [{"kind": "records", "path": str(seeds), "question": "q", "answer": "a"}],
                "mutators": [{"kind": "perturb"}],
                "teacher": {"kind": "openai", "base_url": model.url, "model": "m", "n": 2, "slots": 4, "attempts": 2},
                "validators": [{"kind": "format"}, {"kind": "answer"}, {"kind": "steps"}],
            }
        )
    )
    return path


def rows(out: Path, kind: str) -> list[dict]:
    return [r for p in sorted((out / kind).rglob("*.parquet")) for r in pq.read_table(p).to_pylist()]


def test_text_goes_to_the_teacher_and_is_judged(dsgen, workflow: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = dsgen("run", workflow, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    accepted, rejected, quarantined = (rows(out, k) for k in ("data", "rejected", "quarantine"))
    assert len(accepted) + len(rejected) + len(quarantined) == 2 * len(GOLD)
    for row in accepted:
        assert GOLD[row["statement"]] == int(row["answer"])
        assert (row["tier"], row["teacher"], row["reasoning"]) == ("agreed", "openai:m", "let me see")
    reasons = Counter((r["rejected_by"], r["reason"]) for r in rejected)
    numbers = [i for i in range(60) if i % 10 != 9]
    wrong_answers = sum(i % 5 == 0 for i in numbers)
    false_equations = sum(2 - (i % 5 == 0) for i in numbers if i % 7 == 0)
    assert reasons == {("answer", "wrong_answer"): wrong_answers, ("steps", "false_equation"): false_equations}
    assert {(q["stage"], q["reason"]) for q in quarantined} == {("teacher", "http_400")}
    assert len(quarantined) == 2 * 6
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["not_applicable"] == {"perturb:no_derivation": 60}
    assert manifest["tables"]["tier"] == {"agreed": len(accepted)}


@pytest.mark.slow
def test_after_a_kill_no_answered_request_is_sent_again(dsgen, workflow: Path, model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out"
    model.delay = 0.25
    command = [sys.executable, "-P", "-m", "dsgen", "run", str(workflow), "--out", str(out), "--executor", "local"]
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while sum(model.answered.values()) < 20 and driver.poll() is None:
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait()
    time.sleep(1.0)  # calls under way end at the server
    model.delay = 0.0
    done = dsgen("run", workflow, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    again = sum(n - 1 for n in model.answered.values())
    # Only what was in flight when the driver died, 4 slots, can have been answered without having been journaled.
    assert again <= 4
    assert len(rows(out, "data")) + len(rows(out, "rejected")) + len(rows(out, "quarantine")) == 2 * len(GOLD)
    assert re.search(r"[1-9]\d* journal", done.stderr)


def test_a_changed_validator_asks_the_teacher_nothing(dsgen, workflow: Path, model: Model, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert dsgen("run", workflow, "--out", out, "--executor", "local").returncode == 0
    asked = sum(model.answered.values())
    accepted = len(rows(out, "data"))
    data = yaml.safe_load(workflow.read_text())
    workflow.write_text(yaml.safe_dump(data | {"validators": [{"kind": "format"}, {"kind": "answer"}]}))
    done = dsgen("run", workflow, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    assert sum(model.answered.values()) == asked
    assert len(rows(out, "data")) > accepted, "false equations are no longer looked for"
