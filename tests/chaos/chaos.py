"""Runs that are killed at random moments, against one that is not: nothing lost, nothing doubled, the same bytes.

    python tests/chaos/chaos.py --runs 28 --seed 1

makes a small dataset undisturbed, and again with other numbers of workers and on a cluster of four nodes on this
machine; then come the faults of ``scenes.py``, and run after run is hit by SIGKILL: its driver, a worker process, the
Ray actor that watches one, an engine, a node with everything on it. Whatever was asked again must have been in flight.
One line a run, a table at the end, exit code 1 if a single law was broken. All draws follow from the seed; what is in
flight at a moment does not.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "support")]

from folder import Output  # noqa: E402
from processes import Cluster  # noqa: E402
from scenes import SCENES  # noqa: E402
from trial import KINDS, Kill, Result, Trial  # noqa: E402

PRIMARY = (
    ("local", "driver"), ("ray", "node"), ("local", "engine"), ("ray", "driver"), ("local", "worker"),
    ("ray", "engine"), ("local", "driver"), ("ray", "watcher"), ("local", "engine"), ("ray", "worker"),
)  # fmt: skip
"""What the runs are hit by first, in turn; the rest is drawn."""
SHORT = (
    ("local", (Kill("driver", -0.7), Kill("worker", 0.1), Kill("engine", 0.4), Kill("driver", 0.7))),
    ("ray", (Kill("worker", 0.2), Kill("watcher", 0.4), Kill("engine", 0.6))),
    ("ray", (Kill("node", 0.3), Kill("driver", 0.7))),
)
"""Every kind once at least, in as little time as it takes."""


def drawn(index: int, rng: random.Random) -> tuple[str, tuple[Kill, ...]]:
    """The executor and the kills of a run. No more kills of a kind than a row's attempts allow it to survive."""
    executor, first = PRIMARY[index % len(PRIMARY)]
    kinds = [first, *rng.choices(KINDS[executor], k=rng.choice((0, 0, 1, 1, 2)))]
    times = sorted(rng.uniform(0.02, 0.9) for _ in kinds)
    rng.shuffle(kinds)
    kills = [Kill(kind, at) for kind, at in zip(kinds, times, strict=True)]
    if rng.random() < 0.25:
        # While processes start and problems are surveyed.
        kills[0] = Kill("driver", -rng.uniform(0.3, 3.0))
    return executor, tuple(kills)


class Chaos:
    """All runs of one call, and what came of them."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.reference = Output(root / "undisturbed")
        self.results: list[Result] = []
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """The cluster, started when it is first wanted."""
        if self._cluster is None:
            began = time.monotonic()
            self._cluster = Cluster()
            print(f"four nodes on this machine after {time.monotonic() - began:.1f} s", flush=True)
        return self._cluster

    def trial(self, name: str, executor: str, kills: tuple[Kill, ...], workers: int) -> Result:
        """One run, told and kept; its folder stays only if something is wrong with it."""
        root = self.root / name.replace(" ", "-").replace(",", "")
        rng = random.Random(f"{self.seed}/{name}")
        cluster = self.cluster if executor == "ray" else None
        result = Trial(root, self.reference, rng, workers=workers, cluster=cluster).run(name, list(kills))
        self.told(result)
        if not result.faults:
            shutil.rmtree(root)
        return result

    def told(self, result: Result) -> None:
        """Print a run's line and keep it for the table."""
        self.results.append(result)
        print(result.line(), *[f"\n    {fault}" for fault in result.faults], sep="", flush=True)

    def undisturbed(self) -> bool:
        """The dataset that all others are compared with."""
        result = Trial(self.reference.root, self.reference, random.Random(), workers=2).run("undisturbed", [])
        self.told(result)
        ids = self.reference.ids()
        print(
            f"    {self.reference.counts()}, {len(ids)} ids, {len(self.reference.files())} files, "
            f"{len(self.reference.commits())} commits, {self.reference.asked()} requests",
            flush=True,
        )
        return not result.faults

    def table(self, seconds: float) -> int:
        """Print the sums; the exit code."""
        results = self.results
        kills = sum((r.kills for r in results), Counter())
        noticed = [s for r in results for s in r.noticed]
        rows = {
            "runs": len(results),
            "runs with kills": sum(bool(r.kills) for r in results),
            "kills": f"{kills.total()} ({', '.join(f'{n} {kind}' for kind, n in kills.most_common())})",
            "kills that came too late": sum(r.missed for r in results),
            "rows lost": sum(r.lost for r in results),
            "rows doubled": sum(r.doubled for r in results),
            "data files different": sum(r.different for r in results),
            "rows asked again": f"{sum(r.again for r in results)} of at most {sum(r.bound for r in results)} in flight",
            "answered, not yet durable, asked again": sum(r.answered for r in results),
            "seconds until a lost node's rows began elsewhere": ", ".join(f"{s:.1f}" for s in noticed) or "-",
            "seconds": f"{seconds:.0f}",
            "runs that broke a law": sum(bool(r.faults) for r in results),
        }
        width = max(map(len, rows))
        print()
        for name, value in rows.items():
            print(f"{name:<{width}}  {value}")
        return int(any(r.faults for r in results))

    def close(self) -> None:
        """End the cluster."""
        if self._cluster is not None:
            self._cluster.shutdown()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=28, help="runs with kills")
    parser.add_argument("--seed", type=int, default=1, help="decides on executors, victims and moments")
    parser.add_argument("--short", action="store_true", help="three runs with every kind of kill, and no scenes")
    parser.add_argument("--only", default="", help="only the runs and scenes whose name holds this text")
    given = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended then, too
    root = Path(tempfile.mkdtemp(prefix="dsgen-chaos-"))
    chaos = Chaos(root, given.seed)
    began = time.monotonic()
    try:
        if chaos.undisturbed():
            _all(chaos, given)
        code = chaos.table(time.monotonic() - began)
    finally:
        chaos.close()
    if code:
        print(f"the folders of faulty runs are in {root}")
    else:
        shutil.rmtree(root)
    return code


def _all(chaos: Chaos, given: argparse.Namespace) -> None:
    if given.short:
        for index, (executor, kills) in enumerate(SHORT):
            chaos.trial(f"short {index}, {executor}", executor, kills, 2)
        return
    for executor, workers in (("local", 1), ("local", 8), ("ray", 2)):
        name = f"undisturbed, {executor}, {workers} workers"
        if given.only in name:
            chaos.trial(name, executor, (), workers)
    for name, scene in SCENES.items():
        if given.only in name:
            chaos.told(scene(chaos.root / name.replace(" ", "-"), chaos.reference))
    if given.only in "frozen":
        chaos.trial("a node that answers no more, ray", "ray", (Kill("frozen node", 0.3),), 3)
    for index in range(given.runs):
        rng = random.Random(f"{given.seed}/{index}")
        executor, kills = drawn(index, rng)
        workers = rng.choice((1, 2, 4) if executor == "local" else (2, 3, 4))
        name = f"run {index}, {executor}, {workers} workers"
        if given.only in name:
            chaos.trial(name, executor, kills, workers)


if __name__ == "__main__":
    sys.exit(main())
