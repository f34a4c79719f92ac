"""The processes of a run: its driver, and those that a kill may hit, on this machine or in a cluster on it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

SUPPORT = Path(__file__).parents[1] / "support"
MARK = "DSGEN_CHAOS"
"""Set in a driver's environment, which everything that it starts inherits: what is left of a run is found by it."""
NODES = 4


def environment(**more: str) -> dict[str, str]:
    """An environment in which drivers and nodes find the stand-in."""
    kept = {k: v for k, v in os.environ.items() if k not in {"RAY_ADDRESS", "DSGEN_REDIS_URL"}}
    # Workers at Ray's usual niceness of 15 starve beside anything else on the machine.
    return kept | {"PYTHONPATH": str(SUPPORT), "RAY_worker_niceness": "0", "RAY_USAGE_STATS_ENABLED": "0"} | more


class Driver:
    """A ``dsgen`` command under way."""

    def __init__(self, *arguments: object, said: Path, limit: int | None = None, **env: str) -> None:
        """Start it.

        Args:
            arguments: of the command line.
            said: the file that its messages are added to.
            limit: the largest file that it may write, in kilobytes; it stands for a full disk.
            env: further environment variables.
        """
        self.mark = uuid4().hex
        self.said = said
        self.began = time.monotonic()
        command = [sys.executable, "-P", "-m", "dsgen", *map(str, arguments)]
        if limit is not None:
            command = ["bash", "-c", f'ulimit -f {limit}; exec "$@"', "driver", *command]
        with said.open("ab") as messages:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=messages,
                env=environment(**{MARK: self.mark}, **env),
                start_new_session=True,
            )

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self.process.poll() is not None

    def family(self) -> list[psutil.Process]:
        """What it has started and what that has started, however it is related by now."""
        return [p for p in marked(self.mark) if p.pid != self.process.pid]

    def find(self, program: str) -> list[psutil.Process]:
        """The processes of the family that run a module."""
        return [p for p in self.family() if program in _command(p)]

    def wait(self, limit_s: float) -> int:
        """The exit code; a driver that takes longer is killed, with all it had started."""
        try:
            return self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            self.end()
            return -1000

    def end(self) -> None:
        """Kill it and its family."""
        for process in [*self.family(), *_of(self.process.pid)]:
            kill(process)
        self.process.wait()


class Cluster:
    """Four nodes of one CPU each on this machine; the first is the head, to which drivers connect."""

    def __init__(self) -> None:
        self.mark = uuid4().hex
        os.environ.update(environment(**{MARK: self.mark}))
        from ray.cluster_utils import Cluster as Nodes

        self._nodes: Any = Nodes(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        while len(self._nodes.worker_nodes) < NODES - 1:
            self._nodes.add_node(num_cpus=1)
        self.address: str = self._nodes.address
        self._frozen: list[Any] = []

    def find(self, name: str) -> list[psutil.Process]:
        """The cluster's processes that run an actor class (``ray::_Engine``), a module or a program."""
        return [p for p in marked(self.mark) if name in _command(p)]

    def nodes_with(self, name: str) -> list[Any]:
        """The nodes that can be lost and have such a process."""
        lost = sorted(self._nodes.worker_nodes, key=lambda n: n.node_id)
        return [n for n in lost if self.count(n, name)]

    def count(self, node: Any, name: str) -> int:
        """How many such processes a node has."""
        return sum(name in _command(p) for p in descendants(self._raylet(node)))

    def lose(self, node: Any) -> None:
        """SIGKILL to a raylet and all that runs on its node, as when the machine's power fails."""
        for process in [*_of(self._raylet(node)), *descendants(self._raylet(node))]:
            kill(process)
        self._nodes.remove_node(node, allow_graceful=False)

    def freeze(self, node: Any) -> None:
        """SIGSTOP to all of a node, as when its network is cut: nothing ends, and nothing answers."""
        self._frozen.append(node)
        for process in [*_of(self._raylet(node)), *descendants(self._raylet(node))]:
            with contextlib.suppress(psutil.Error):
                process.suspend()

    def mend(self) -> None:
        """Replace the nodes that were lost or are frozen."""
        while self._frozen:
            self.lose(self._frozen.pop())
        while len(self._nodes.worker_nodes) < NODES - 1:
            self._nodes.add_node(num_cpus=1)

    def shutdown(self) -> None:
        """End all nodes."""
        self._nodes.shutdown()

    @staticmethod
    def _raylet(node: Any) -> int:
        (info,) = node.all_processes["raylet"]
        pid: int = info.process.pid
        return pid


def marked(mark: str) -> list[psutil.Process]:
    """All processes whose environment holds a mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(OSError, psutil.Error):
            if wanted in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0") and alive(process):
                found.append(process)
    return found


def descendants(pid: int) -> list[psutil.Process]:
    """All that a process has started, and what that has started."""
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid).children(recursive=True)
    return []


def kill(process: psutil.Process) -> bool:
    """SIGKILL, unless it is gone already."""
    with contextlib.suppress(psutil.Error):
        if alive(process):
            process.send_signal(signal.SIGKILL)
            return True
    return False


def alive(process: psutil.Process) -> bool:
    """Whether a process still does something."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def gone(look: Any, limit_s: float) -> list[str]:
    """The commands of what ``look`` still finds when the limit is over; empty as soon as it finds nothing."""
    deadline = time.monotonic() + limit_s
    while True:
        left: Iterable[psutil.Process] = look()
        if not left or time.monotonic() > deadline:
            return [_command(p)[:100] for p in left]
        time.sleep(0.2)


def _of(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [psutil.Process(pid)]
    return []


def _command(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()) if alive(process) else ""
    except psutil.Error:
        return ""
