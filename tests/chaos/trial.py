"""One disturbed run: kills at drawn moments, the same command again after a driver's, then every law is checked."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import folder
import psutil
from folder import ENGINES, SLOTS, Output
from processes import Cluster, Driver, gone, kill

from dsgen.pipeline.engine.pool import OVERBOOKING

WORKER, HOST = "dsgen.pipeline.engine.worker", "dsgen.pipeline.engine.host"
WATCHER, ENGINE = "ray::_Watcher", "ray::_Engine"
OWN = "sleep 600"
"""What an engine has started by itself."""
IN_FLIGHT = math.ceil(SLOTS * OVERBOOKING)
"""Rows that one engine holds, at most."""
LEFT_AFTER_S = 20.0
RUN_LIMIT_S = 240.0
KINDS = {"local": ("driver", "worker", "engine"), "ray": ("driver", "worker", "watcher", "engine", "node")}


@dataclass(frozen=True)
class Kill:
    """What is killed, and when."""

    kind: str
    at: float
    """Share of the undisturbed run's requests, 0 to 1; or, below 0, seconds after the driver's start."""


@dataclass
class Struck:
    """A kill that was carried out, and what it may have cost."""

    kind: str
    in_flight: set[str]
    """Requests that were begun and whose replies were not durable: what alone may be asked again."""
    answered: set[str]
    """Those of them that an engine had answered, on their way to the journal."""
    engines: int
    commits: dict[str, tuple[int, bytes]]
    at: float


@dataclass
class Result:
    """What came out of one run."""

    name: str
    kills: Counter[str] = field(default_factory=Counter)
    missed: int = 0
    lost: int = 0
    doubled: int = 0
    different: int = 0
    again: int = 0
    answered: int = 0
    """Of those asked again: answered already, but not yet durable."""
    bound: int = 0
    seconds: float = 0.0
    noticed: list[float] = field(default_factory=list)
    """Seconds from the loss of a node with an engine until a row of it was begun elsewhere."""
    faults: list[str] = field(default_factory=list)

    def line(self) -> str:
        """The run in one line."""
        if not self.kills:
            return f"{self.name:<34} {'FAULTY' if self.faults else 'as it should be'}; {self.seconds:.1f} s"
        kills = ", ".join(f"{n} {kind}" for kind, n in self.kills.items()) or "none"
        missed = f" ({self.missed} came too late)" if self.missed else ""
        return (
            f"{self.name:<34} killed: {kills}{missed}; lost {self.lost}, doubled {self.doubled}, "
            f"files different {self.different}, asked again {self.again} of at most {self.bound} "
            f"(and {self.answered} answered, not yet durable); {self.seconds:.1f} s{' FAULTY' if self.faults else ''}"
        )


class Trial:
    """A run in a folder of its own, against the undisturbed one."""

    def __init__(
        self,
        root: Path,
        reference: Output,
        rng: random.Random,
        *,
        workers: int,
        cluster: Cluster | None = None,
    ) -> None:
        self.output = Output(root)
        self.reference = reference
        self.asked = reference.asked()
        self.rng = rng
        self.cluster = cluster
        self.workflow = folder.workflow(root / "workflow.yaml", log=self.output.log, workers=workers)
        self.struck: list[Struck] = []

    def start(self) -> Driver:
        """Give the command."""
        where = ["ray", "--address", self.cluster.address] if self.cluster else ["local"]
        out = self.output
        driver = Driver("run", self.workflow, "--out", out.folder, "--executor", *where, said=out.root / "said")
        return driver

    def run(self, name: str, kills: list[Kill]) -> Result:
        """Carry it out with the kills, and check it."""
        began = time.monotonic()
        result = Result(name)
        driver = self.start()
        try:
            for planned in kills:
                if not self._wait(driver, planned.at) or not self._strike(driver, planned.kind):
                    result.missed += 1
                    continue
                result.kills[planned.kind] += 1
                if "node" in planned.kind and self.struck[-1].in_flight:
                    self._see_it_noticed(driver, result)
                if planned.kind == "driver":
                    driver.process.wait()
                    self._nothing_left(driver, result)
                    driver = self.start()
            code = driver.wait(RUN_LIMIT_S)
        finally:
            if not driver.ended:
                driver.end()
            if self.cluster:
                self.cluster.mend()
        if code != 0:
            result.faults.append(f"exit code {code}")
        else:
            self._check(result)
        self._nothing_left(driver, result)
        said = (self.output.root / "said").read_text(errors="replace")
        for mark in ("Traceback", "never retrieved", "never awaited"):
            if mark in said:
                result.faults.append(f"{mark!r} in its messages")
        result.seconds = time.monotonic() - began
        return result

    def _wait(self, driver: Driver, at: float) -> bool:
        """Wait for the moment of a kill; whether it came before the end."""
        deadline = time.monotonic() + RUN_LIMIT_S
        while not driver.ended and time.monotonic() < deadline:
            if at < 0 and time.monotonic() - driver.began >= -at:
                return True
            if at >= 0 and self.output.asked() >= max(1, at * self.asked):
                return True
            time.sleep(0.01)
        return False

    def _strike(self, driver: Driver, kind: str) -> bool:
        """Kill, and note what it may cost; whether there was anything to kill."""
        kept, commits = self.output.kept(), self.output.commits()
        engines = 0
        if kind == "driver":
            driver.process.kill()
            driver.process.wait()
            done, engines = True, ENGINES
        elif kind in ("node", "frozen node"):
            assert self.cluster is not None
            # A node with an engine costs most; there may be none but the head.
            nodes = self.cluster.nodes_with(ENGINE) or self.cluster.nodes_with(WATCHER)
            done = bool(nodes)
            if nodes:
                node = self.rng.choice(nodes)
                engines = self.cluster.count(node, ENGINE)
                (self.cluster.lose if kind == "node" else self.cluster.freeze)(node)
        else:
            victims = sorted(self._victims(driver, kind), key=lambda p: p.pid)
            engines = int(kind == "engine")
            done = bool(victims) and kill(self.rng.choice(victims))
        if not done:
            return False
        in_flight, answered = set(self.output.begun()) - kept, self.output.answered()
        if not engines:
            in_flight = set()
        self.struck.append(Struck(kind, in_flight, answered & in_flight, engines, commits, time.monotonic()))
        return True

    def _see_it_noticed(self, driver: Driver, result: Result) -> None:
        """How long it took until a row that was lost with its node was begun elsewhere."""
        struck, before = self.struck[-1], self.output.begun()
        while not driver.ended and time.monotonic() < struck.at + RUN_LIMIT_S:
            now = self.output.begun()
            if any(now[key] > before[key] for key in struck.in_flight):
                result.noticed.append(time.monotonic() - struck.at)
                return
            time.sleep(0.1)

    def _victims(self, driver: Driver, kind: str) -> list[psutil.Process]:
        if self.cluster is None:
            return driver.find({"worker": WORKER, "engine": HOST}[kind])
        return self.cluster.find({"worker": WORKER, "watcher": WATCHER, "engine": ENGINE}[kind])

    def _nothing_left(self, driver: Driver, result: Result) -> None:
        """A run that ended, however it ended, leaves no process."""

        def look() -> list[psutil.Process]:
            of_nodes = (
                []
                if self.cluster is None
                else [p for n in (WATCHER, ENGINE, WORKER, OWN) for p in self.cluster.find(n)]
            )
            return [*driver.family(), *of_nodes]

        left = gone(look, LEFT_AFTER_S)
        if left:
            result.faults.append(f"left behind: {left}")

    def _check(self, result: Result) -> None:
        """Every law that a disturbed run must keep."""
        out, wanted = self.output, self.reference.files()
        made = out.files()
        result.different = sum(made.get(p) != wanted.get(p) for p in made.keys() | wanted.keys())
        ids, all_ids = out.ids(), self.reference.ids()
        result.lost = (all_ids - ids).total()
        result.doubled = (ids - all_ids).total() + sum(n - 1 for n in ids.values())
        counts = out.counts()
        if counts != self.reference.counts() or counts["planned"] != sum(counts.values()) - counts["planned"]:
            result.faults.append(f"the sums do not come out: {counts}")
        if len(out.commits()) != len(self.reference.commits()):
            result.faults.append("another number of commits")
        self._check_asked(result)
        now = out.commits()
        for struck in self.struck:
            touched = [name for name, was in struck.commits.items() if now.get(name) != was]
            if touched:
                result.faults.append(f"{struck.kind}: commits of before were written again: {touched}")
        for name in ("lost", "doubled", "different"):
            if getattr(result, name):
                result.faults.append(f"{name}: {getattr(result, name)}")

    def _check_asked(self, result: Result) -> None:
        """Only what was in flight at a kill is asked again, and no more of it than engines held."""
        begun = self.output.begun()
        repeated = {key: n - 1 for key, n in begun.items() if n > 1}
        wrong = [k for k, n in repeated.items() if n > sum(k in s.in_flight for s in self.struck)]
        if wrong:
            result.faults.append(f"{len(wrong)} requests were asked again though nothing had hit them")
        answered = {k for k in repeated if any(k in s.answered for s in self.struck)}
        result.answered = len(answered)
        result.again = sum(repeated.values()) - result.answered
        result.bound = IN_FLIGHT * sum(s.engines for s in self.struck)
        if result.again > result.bound:
            result.faults.append(f"{result.again} rows were asked again, at most {result.bound} were in flight")
        missing = set(self.reference.begun()) - set(begun)
        if len(begun) != len(self.reference.begun()):
            result.faults.append(f"other requests were asked: {len(begun)}, without {len(missing)} of the wanted ones")
