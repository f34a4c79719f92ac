"""The main job as a newcomer runs it: wall time, rows, and the peak of resident memory of all its processes.

    python benchmarks/main_job.py [--workflow workflows/math.yaml] [--executor ray|local]

Resident memory is the sum over the process tree; pages that processes share are counted once for each of them, so the
true figure is lower. The sum of proportional shares (PSS) is printed beside it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil


def memory(root: psutil.Process) -> tuple[int, int]:
    """Sums of resident and of proportional memory over a process and its descendants, in bytes."""
    resident = proportional = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            info = process.memory_full_info()
            resident += info.rss
            proportional += getattr(info, "pss", info.rss)
    return resident, proportional


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workflow", default="workflows/math.yaml")
    parser.add_argument("--executor", choices=["ray", "local"], default="ray")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        command = [sys.executable, "-P", "-m", "dsgen", "run", arguments.workflow, "--out", str(out)]
        began = time.perf_counter()
        job = subprocess.Popen([*command, "--executor", arguments.executor], stderr=subprocess.DEVNULL)
        root = psutil.Process(job.pid)
        peak = (0, 0)
        while job.poll() is None:
            with contextlib.suppress(psutil.Error):
                now = memory(root)
                peak = (max(peak[0], now[0]), max(peak[1], now[1]))
            time.sleep(0.25)
        wall = time.perf_counter() - began
        counts = json.loads((out / "manifest.json").read_text())["counts"]
    print(f"exit {job.returncode}, {wall:.1f} s, {counts}")
    print(f"peak memory: {peak[0] / 1e9:.2f} GB resident, {peak[1] / 1e9:.2f} GB proportional")


if __name__ == "__main__":
    main()
