"""SIGKILL of the driver at any time, then the same command: the same bytes, nothing done twice, no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

WORKFLOW = {
    "name": "chaos",
    "seed": 5,
    "bucket_units": 40,
    "sources": [{"kind": "templates", "seeds": 8}, {"kind": "gsm8k", "limit": 40}],
    "mutators": [{"kind": "perturb", "count": 4}, {"kind": "invert_backward", "count": 1}],
    "teacher": "derivation",
    "validators": [{"kind": "format"}, {"kind": "answer"}, {"kind": "steps"}, {"kind": "second_solver"}],
}
LEFT_AFTER_S = 15


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*.parquet"))}


def commits(folder: Path) -> dict[str, int]:
    return {p.name: p.stat().st_mtime_ns for p in (folder / "commits").glob("bucket-*.json")}


@pytest.fixture(scope="module")
def workflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chaos") / "chaos.yaml"
    path.write_text(yaml.safe_dump(WORKFLOW))
    return path


_STARTED: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True, scope="module")
def _no_driver_outlives_the_tests() -> Iterator[None]:
    yield
    for driver in _STARTED:
        if driver.poll() is None:
            driver.kill()
            driver.communicate()


def start(workflow: Path, out: Path, executor: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-P", "-m", "dsgen", "run", str(workflow), "--out", str(out), "--executor", executor]
    # A shell that starts tests in the background has them ignore SIGINT, and so would the driver.
    driver = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    _STARTED.append(driver)
    return driver


def finish(workflow: Path, out: Path, executor: str = "local") -> None:
    driver = start(workflow, out, executor)
    _, said = driver.communicate(timeout=110)
    assert driver.returncode == 0, said


@pytest.fixture(scope="module")
def undisturbed(workflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    finish(workflow, out)
    return out


def kill_at(workflow: Path, out: Path, executor: str, wanted: int) -> list[psutil.Process]:
    """Run until so many buckets are committed, kill the driver, and return what it had started."""
    driver = start(workflow, out, executor)
    family: dict[int, psutil.Process] = {}
    deadline = time.monotonic() + 90
    while driver.poll() is None and (len(commits(out)) < wanted or not family) and time.monotonic() < deadline:
        for process in psutil.Process(driver.pid).children(recursive=True):
            family[process.pid] = process
        time.sleep(0.02)
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    return list(family.values())


def alive(processes: list[psutil.Process]) -> list[str]:
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline())[:100])
        except psutil.NoSuchProcess:
            pass
    return found


def assert_gone(processes: list[psutil.Process]) -> None:
    assert processes, "the driver had started nothing: it was killed too early to show anything"
    deadline = time.monotonic() + LEFT_AFTER_S
    while alive(processes) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert alive(processes) == []


@pytest.mark.slow
def test_killed_again_and_again_the_local_run_ends_as_if_undisturbed(
    workflow: Path, undisturbed: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    known: dict[str, int] = {}
    for wanted in (0, 1, 3, 8):
        assert_gone(kill_at(workflow, out, "local", wanted))
        now = commits(out)
        assert {k: now.get(k) for k in known} == known, "a committed bucket was written again"
        known = now
    assert len(known) >= 8
    finish(workflow, out)
    assert {k: commits(out)[k] for k in known} == known
    assert contents(out) == contents(undisturbed)
    assert not (out / "tmp").exists()


@pytest.mark.slow
def test_a_killed_ray_run_leaves_no_process_and_resumes(workflow: Path, undisturbed: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert_gone(kill_at(workflow, out, "ray", 3))
    known = commits(out)
    finish(workflow, out, "ray")
    assert {k: commits(out)[k] for k in known} == known
    assert contents(out) == contents(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("executor", "number"), [("local", signal.SIGINT), ("local", signal.SIGTERM), ("ray", signal.SIGTERM)]
)
def test_an_interrupt_ends_everything_and_says_how_to_go_on(
    tmp_path: Path, executor: str, number: signal.Signals
) -> None:
    """Ray puts a handler of its own in place of SIGTERM's, which would exit on the spot."""
    out, lasting = tmp_path / "out", tmp_path / "lasting.yaml"
    # Long enough that it is not done before the signal comes.
    sources = [{"kind": "templates", "seeds": 60}]
    lasting.write_text(yaml.safe_dump({**WORKFLOW, "sources": sources}))
    driver = start(lasting, out, executor)
    while len(commits(out)) < 2 and driver.poll() is None:
        time.sleep(0.05)
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(number)
    _, said = driver.communicate(timeout=30)
    assert driver.returncode == 130, said
    assert "the same command goes on from there" in said
    assert "Traceback" not in said
    assert_gone(family)


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_one_message_and_the_run_goes_on_later(
    workflow: Path, undisturbed: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: the kernel refuses the write in the same place."""
    out = tmp_path / "out"
    command = [sys.executable, "-P", "-m", "dsgen", "run", str(workflow), "--out", str(out), "--executor", "local"]
    sizes = sorted(len(content) for content in contents(undisturbed).values())
    kilobytes = sizes[len(sizes) // 2] // 1024
    limited = ["bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "run", *command]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=110, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("dsgen: ")]
    assert "cannot write" in message
    assert "what was committed is intact" in message
    known = commits(out)
    finish(workflow, out)
    assert {k: commits(out)[k] for k in known} == known
    assert contents(out) == contents(undisturbed)
