"""Whether memory stays flat: peak resident memory of a whole run at two sizes, a stand-in teacher, duplicates checked.

    python benchmarks/memory.py [--rows 100000 1000000]

Every row goes the full way: survey, request, stand-in engine in a process of its own, journal, validators, Parquet.
The figure is the sum of resident memory over all processes of the run; its growth is printed as a ratio.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import yaml

TEMPLATES = [
    "algebra/ticket_prices",
    "algebra/two_tariffs",
    "arithmetic/market_change",
    "arithmetic/shared_prize",
    "code/stack_machine",
    "geometry/corner_cut_room",
    "geometry/fenced_garden",
    "geometry/gable_wall",
    "tables/best_quarter",
    "tables/stock_value",
]
CHILDREN = 4


def workflow(rows: int) -> dict[str, object]:
    seeds = -(-rows // (len(TEMPLATES) * (1 + CHILDREN)))
    return {
        "name": "memory",
        "seed": 3,
        "bucket_units": 2000,
        "sources": [{"kind": "templates", "seeds": seeds, "only": TEMPLATES}],
        "mutators": [{"kind": "perturb", "count": CHILDREN}],
        "teacher": {
            "kind": "python",
            "target": "stand_in:StandIn",
            "model": "seeded",
            "slots": 256,
            "options": {"words": 200},
        },
        "validators": [{"kind": "format"}],
        "engine": {"executor": "local"},
    }


def resident(root: psutil.Process) -> int:
    total = 0
    for process in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.Error):
            total += process.memory_info().rss
    return total


def measure(rows: int) -> tuple[int, float, dict[str, int]]:
    folder = Path(tempfile.mkdtemp(prefix="dsgen-memory-"))
    try:
        path = folder / "memory.yaml"
        path.write_text(yaml.safe_dump(workflow(rows)))
        support = str(Path(__file__).parents[1] / "tests" / "support")
        command = [sys.executable, "-P", "-m", "dsgen", "run", str(path), "--out", str(folder / "out")]
        began = time.perf_counter()
        job = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": support}
        )
        root, peak = psutil.Process(job.pid), 0
        while job.poll() is None:
            with contextlib.suppress(psutil.Error):
                peak = max(peak, resident(root))
            time.sleep(0.5)
        wall = time.perf_counter() - began
        if job.returncode:
            sys.exit(f"the run failed with {job.returncode}")
        return peak, wall, json.loads((folder / "out" / "manifest.json").read_text())["counts"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    first = None
    for rows in parser.parse_args().rows:
        peak, wall, counts = measure(rows)
        first = first or peak
        print(
            f"{counts['planned']:,} rows: peak {peak / 1e6:,.0f} MB resident ({peak / first:.2f} x the first), "
            f"{wall:.0f} s; {counts}",
            flush=True,
        )


if __name__ == "__main__":
    main()
