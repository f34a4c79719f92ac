"""Exact rows per core-second, end to end, beside reasoning-gym in the same run.

    python benchmarks/exact_rows.py [--rows 40000] [--no-gym] [--no-profile]

The figure is that of a real `dsgen run --executor local` in a fresh folder: accepted rows divided by the CPU seconds
(user and system) of the driver and all its worker processes, start-up and survey included. Every row is drawn by
`perturb`, derived, solved a second time (templates), checked by all four validators, counted in tokens, tagged and
written to Parquet. Half of the rows come from all templates in equal shares, half from all lifted GSM8K records.

reasoning-gym generates and scores its own answers for comparable tasks; it writes no solutions, no tags and no files.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import harmonic_mean, median

import pyarrow.parquet as pq

from dsgen.pipeline.engine.work import Task, Workbench
from dsgen.pipeline.workflow import Workflow, parse
from dsgen.seeds.catalog import templates

VALIDATORS = [{"kind": k} for k in ("format", "answer", "steps", "second_solver")]
GYM_TASKS = (
    "basic_arithmetic", "chain_sum", "gcd", "lcm", "base_conversion", "prime_factorization", "simple_equations",
    "fraction_simplification", "number_sequence", "knights_knaves", "time_intervals", "gsm_symbolic",
)  # fmt: skip
STAGES = {
    "draw, pose and derive": ("mutate",),
    "writing the sentences": ("derivation.py:render",),
    "second solver": ("second", "check"),
    "steps": ("steps.py:validate_candidate",),
    "answer": ("answer.py:validate_candidate",),
    "format": ("format.py:validate_candidate",),
    "re-execution of the derivation": ("faults",),
    "building the row, of it:": ("rows.py:add",),
    "  tags": ("patterns.py:tag",),
    "  token counts": ("tokens.py:count",),
    "Parquet": ("_write@rows.py",),
}


def workflow(name: str, source: dict, count: int) -> dict:
    return {
        "name": name,
        "seed": 1,
        "bucket_units": 2000,
        "keep_seeds": False,
        "sources": [source],
        "mutators": [{"kind": "perturb", "profile": "same", "count": count}],
        "teacher": "derivation",
        "validators": VALIDATORS,
        "engine": {"executor": "local"},
    }


def halves(rows: int) -> list[dict]:
    """Two workflows of about ``rows / 2`` rows each: templates, and lifted records."""
    known = templates()
    # Small parameter spaces bound how often a template can be drawn.
    each = max(1, rows // 2 // len(known))
    seeds = 5
    parsed = parse(workflow("lifts", {"kind": "gsm8k", "unlifted": "drop"}, 1), "bench")
    plan = parsed.plan()
    lifted = sum(1 for _ in plan.problems(range(len(plan))) if not hasattr(_[1], "reason"))
    return [
        workflow("templates", {"kind": "templates", "seeds": seeds}, max(1, each // seeds)),
        workflow("lifts", {"kind": "gsm8k", "unlifted": "drop"}, max(1, rows // 2 // lifted)),
    ]


def measure(job: dict, workers: int) -> dict:
    """One run through the command line: rows, CPU seconds of the whole process tree, bytes of the median row."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bench.yaml"
        path.write_text(json.dumps(job))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        command = [sys.executable, "-P", "-m", "dsgen", "run", str(path), "--out", f"{folder}/out"]
        subprocess.run([*command, "--workers", str(workers)], check=True, capture_output=True)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        manifest = json.loads((Path(folder) / "out/manifest.json").read_text())
        sizes, tokens = [], []
        for file in manifest["files"]:
            if file["kind"] == "data":
                table = pq.read_table(Path(folder) / "out" / file["path"])
                texts = [c for c in table.column_names if table.schema.field(c).type == "string"]
                columns = [table[c].to_pylist() for c in texts]
                sizes += [sum(len((v or "").encode()) for v in row) for row in zip(*columns, strict=True)]
                tokens += [
                    a + b
                    for a, b in zip(
                        table["statement_tokens"].to_pylist(), table["solution_tokens"].to_pylist(), strict=True
                    )
                ]
    return {
        "rows": manifest["counts"]["accepted"],
        "rejected": manifest["counts"]["rejected"],
        "duplicate": manifest["counts"]["duplicate"],
        "cpu_s": after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime,
        "wall_s": wall,
        "median_row_bytes": median(sizes),
        "median_row_tokens": median(tokens),
    }


def profile(job: dict) -> list[tuple[str, float]]:
    """Share of the CPU time of making rows by stage, by cProfile; its overhead falls on small functions."""
    data: Workflow = parse(job, "bench")
    bench = Workbench(data)
    units = tuple(range(min(len(bench.plan), 3000)))
    with tempfile.TemporaryDirectory() as folder:
        task = Task("finish", 0, units, folder=folder)
        # Once before measuring: parameter spaces are made when first drawn from.
        bench.do(task, lambda _: None)
        began = time.process_time()
        bench.do(Task("survey", 0, units), lambda _: None)
        surveyed = time.process_time()
        bench.do(task, lambda _: None)
        survey = (surveyed - began) / (time.process_time() - began)
        profiler = cProfile.Profile()
        profiler.enable()
        bench.do(task, lambda _: None)
        profiler.disable()
    stats = pstats.Stats(profiler)
    total = stats.total_tt  # type: ignore[attr-defined]
    shares = [("the survey, of all CPU time before the profile", survey)]
    for stage, names in STAGES.items():
        spent = 0.0
        for (file, _, function), (_, _, _, cumulative, _) in stats.stats.items():  # type: ignore[attr-defined]
            short = Path(file).name
            if {f"{short}:{function}", function, f"{function}@{short}"} & set(names):
                spent = max(spent, cumulative)
        shares.append((stage, spent / total))
    return shares


def gym(seconds: float = 1.0) -> dict[str, float]:
    """Items generated and scored per CPU second, by task."""
    import reasoning_gym

    rates = {}
    for task in GYM_TASKS:
        done, began = 0, time.process_time()
        while time.process_time() - began < seconds:
            items = reasoning_gym.create_dataset(task, size=200, seed=done)
            for item in items:
                items.score_answer(item["answer"], item)
            done += 200
        rates[task] = done / (time.process_time() - began)
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=40_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--no-gym", action="store_true")
    parser.add_argument("--no-profile", action="store_true")
    arguments = parser.parse_args()
    jobs = halves(arguments.rows)
    results = []
    for job in jobs:
        result = measure(job, arguments.workers)
        results.append(result)
        print(f"{job['name']:10} {json.dumps({k: round(v, 2) for k, v in result.items()})}")
        print(f"{'':10} {result['rows'] / result['cpu_s']:,.0f} rows per core-second")
    rates = [r["rows"] / r["cpu_s"] for r in results]
    # Equal shares of templates and lifts: the time for one row of each.
    ours = harmonic_mean(rates)
    print(f"dsgen, equal shares: {ours:,.0f} accepted rows per core-second, everything included")
    if not arguments.no_gym:
        theirs = gym()
        shown = json.dumps({task: round(rate) for task, rate in theirs.items()})
        print(f"reasoning-gym, generation and scoring per core-second: {shown}")
        mean, middle = harmonic_mean(list(theirs.values())), median(theirs.values())
        print(f"reasoning-gym, equal shares: {mean:,.0f}; its median task: {middle:,.0f}")
        print(f"dsgen / reasoning-gym: {ours / mean:.2f} of equal shares, {ours / middle:.3f} of the median task")
    if not arguments.no_profile:
        for job in jobs:
            print(f"where the time of {job['name']} goes (cProfile, cumulative; stages may contain each other):")
            for stage, share in profile(job):
                print(f"  {share:6.1%}  {stage}")


if __name__ == "__main__":
    main()
