"""A whole `dsgen run` against a mock endpoint: how well it keeps the slots busy, and what a request costs.

    python benchmarks/endpoint.py                        # 2,000 prompts, 64 slots, log-normal delays
    python benchmarks/endpoint.py --zero                 # no delays: requests a second that the client can do
    python benchmarks/endpoint.py --fail .1 --trunc .02  # faults: HTTP 500, bodies cut in half
    python benchmarks/endpoint.py --kill .5              # SIGKILL of all processes half-way, then the same command

The endpoint runs beside it on the same cores. CPU is that of all of dsgen's processes from start to end. The ideal is
the time of a client that has every prompt waiting from the first moment on, in the order of the file; another order may
be faster or slower by chance. What no order changes is the share of slots that were busy as long as prompts enough for
all of them were left.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from mock_endpoint import Delays, makespan

_STORY = (
    "a train leaves the station at noon and travels east while a second train follows along the same line; each hour "
    "its speed grows by one more unit than in the hour before, so that the gap between them closes"
)


class Run(NamedTuple):
    """One start of the command, to its end or to its kill."""

    began: float
    ended: float
    code: int
    cpu: float
    """Seconds of all processes."""
    memory: int
    """Most bytes of all processes together; pages that they share are counted once for each."""


class Watch(threading.Thread):
    """Samples a process with all its descendants."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.root = psutil.Process(root)
        self.memory = 0
        self.cpu: dict[tuple[int, float], float] = {}
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.wait(0.25):
            self.sample()

    def sample(self) -> list[psutil.Process]:
        """Look once; the processes that were there."""
        memory, processes = 0, []
        with contextlib.suppress(psutil.Error):
            processes = [self.root, *self.root.children(recursive=True)]
        for process in processes:
            with contextlib.suppress(psutil.Error), process.oneshot():
                memory += process.memory_info().rss
                times = process.cpu_times()
                self.cpu[process.pid, process.create_time()] = times.user + times.system
        self.memory = max(self.memory, memory)
        return processes


def prompt(task: int) -> str:
    """A problem of some 400 characters that carries its number."""
    drawn = random.Random(task)
    text = f"Problem #{task:06d}: Let a = {drawn.randint(2, 999)} and b = {drawn.randint(2, 999)}."
    words = _STORY.split()
    while len(text) < 330:
        text += f" {drawn.choice(words)}"
    return f"{text}. Find the value of the expression."


def write_workflow(folder: Path, url: str, given: argparse.Namespace) -> Path:
    """The records and the workflow of a measurement."""
    records = folder / "prompts.jsonl"
    with records.open("w") as file:
        for task in range(given.prompts):
            file.write(json.dumps({"question": prompt(task), "answer": "42"}) + "\n")
    workflow = {
        "name": "endpoint",
        "seed": 1,
        "bucket_units": min(500, max(10, given.prompts // 10)),
        "sources": [{"kind": "records", "path": str(records)}],
        "teacher": {"kind": "openai", "base_url": url, "model": "mock", "slots": given.slots, "max_tokens": 1024},
        "validators": [{"kind": "format"}, {"kind": "answer"}],
        "engine": {"executor": given.executor},
    }
    path = folder / "workflow.yaml"
    path.write_text(json.dumps(workflow))  # JSON is YAML
    return path


@contextlib.contextmanager
def mock(given: argparse.Namespace) -> Iterator[str]:
    """The endpoint in a process of its own; its address."""
    command = [sys.executable, str(Path(__file__).with_name("mock_endpoint.py")), "--port", "0"]
    command += ["--slots", str(given.slots), "--tasks", str(given.prompts)]
    command += ["--fail", str(given.fail), "--trunc", str(given.trunc)] + ["--zero"] * given.zero
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def stats(url: str) -> dict[str, Any]:
    """What the endpoint has seen."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url.removesuffix("/v1") + "/stats", timeout=10) as reply:
        seen: dict[str, Any] = json.load(reply)
        return seen


def carry_out(command: list[str], url: str, log: Path, kill_at: float | None = None) -> Run:
    """Run the command to its end, or kill all its processes once so many prompts are answered."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.time()
    with log.open("ab") as out:
        job = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
    watch = Watch(job.pid)
    watch.start()
    while job.poll() is None:
        time.sleep(0.05)
        if kill_at is not None and stats(url)["answered"] >= kill_at:
            for process in watch.sample():
                with contextlib.suppress(psutil.Error):
                    process.send_signal(signal.SIGKILL)
            job.wait()
    ended = time.time()
    watch.done.set()
    watch.join()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of processes that nobody waited for, such as a cluster's, the last sample counts.
    waited = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(began, ended, job.returncode, max(waited, sum(watch.cpu.values())), watch.memory)


def measure(folder: Path, url: str, given: argparse.Namespace) -> dict[str, Any]:
    """Run the workflow, and once more after a kill; the figures as JSON data."""
    path = write_workflow(folder, url, given)
    command = [sys.executable, "-P", "-m", "dsgen", "run", str(path), "--out", str(folder / "out")]
    log = folder / "log"
    run = carry_out(command, url, log, given.kill * given.prompts if given.kill else None)
    seen = stats(url)
    figures: dict[str, Any] = {"prompts": given.prompts, "slots": given.slots}
    if given.kill:
        time.sleep(1.0)  # calls under way end at the endpoint
        before = stats(url)
        run = carry_out(command, url, log)
        seen = stats(url)
        figures["answered_before_kill"] = before["answered"]
        figures["sent_after_kill"] = seen["sent"] - before["sent"]
        figures["sent_again_after_answer"] = seen["sent_again"] - before["sent_again"]
    if run.code:
        sys.exit(f"exit {run.code}:\n{log.read_text()[-2000:]}")
    counts = json.loads((folder / "out" / "manifest.json").read_text())["counts"]
    wall = run.ended - run.began
    figures |= {"wall_s": wall, "cpu_ms_a_request": 1000 * run.cpu / given.prompts, "memory_mb": run.memory / 1e6}
    figures |= {"accepted": counts["accepted"], **{k: seen[k] for k in ("sent", "failed", "truncated", "abandoned")}}
    if not given.kill:
        window = seen["last"] - seen["first"]
        figures |= {"sent_again_after_answer": seen["sent_again"]}
        figures |= {"first_request_s": seen["first"] - run.began, "after_last_answer_s": run.ended - seen["last"]}
        figures |= {"requests_a_second": given.prompts / wall, "requests_a_second_in_window": given.prompts / window}
        if not given.zero:
            delays = Delays()
            ideal = makespan([delays[task] for task in range(given.prompts)], given.slots)
            figures |= {"ideal_s": ideal, "wall_over_ideal": wall / ideal, "ideal_over_window": ideal / window}
            figures |= {"busy_while_fed": seen["busy_while_fed"]}
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=64, help="of the endpoint, and of the teacher")
    parser.add_argument("--executor", choices=["local", "ray"], default="local")
    parser.add_argument("--zero", action="store_true", help="every call is answered at once")
    parser.add_argument("--fail", type=float, default=0.0, help="share of calls answered with HTTP 500")
    parser.add_argument("--trunc", type=float, default=0.0, help="share of calls answered with half a body")
    parser.add_argument("--kill", type=float, default=0.0, help="kill once this share of the prompts is answered")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, mock(given) as url:
        figures = measure(Path(folder), url, given)
    if given.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        label = name.replace("_", " ")
        print(f"{label:28} {value:,.3f}" if isinstance(value, float) else f"{label:28} {value:,}")


if __name__ == "__main__":
    main()
