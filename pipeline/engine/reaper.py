"""A process that outlives a killed driver just long enough to end what the driver had started.

Ray's raylet and store end with their driver, but its agents may stay for a minute or more; an engine's host ends with
its driver, but the processes that the engine has started do not. The reaper remembers the driver's descendants while
the driver lives, and kills those that are left when it is gone, with the sessions that they lead.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time

import psutil

_LOOK_EVERY_S = 1.0


def watch(driver: int) -> None:
    """Wait for the end of the process ``driver``, then kill all it had started."""
    started: dict[tuple[int, float], psutil.Process] = {}
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(driver)
        # A pid may be used again; psutil compares the creation time as well.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            started = {(p.pid, p.create_time()): p for p in _descendants(process)} | started
            time.sleep(_LOOK_EVERY_S)
    # What a host has started since the last look is found by its session, for nobody remembers its parent any more.
    leaders = {pid for pid, _ in started} - {os.getpid()}
    for left in [*started.values(), *(p for p in psutil.process_iter() if _session(p) in leaders)]:
        if left.pid != os.getpid():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                left.kill()


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    alive = []
    for child in process.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.create_time()
            alive.append(child)
    return alive


def _session(process: psutil.Process) -> int:
    try:
        return os.getsid(process.pid)
    except OSError:
        return 0


class Reaper:
    """A reaper for this process, in a session of its own, so that an interrupt does not reach it."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "dsgen.pipeline.engine.reaper", str(os.getpid())]
        self.process = subprocess.Popen(command, start_new_session=True, stdin=subprocess.DEVNULL)  # noqa: S603

    def end(self) -> None:
        """The driver cleans up after itself: nothing is left to do."""
        self.process.kill()
        self.process.wait()


if __name__ == "__main__":
    watch(int(sys.argv[1]))
