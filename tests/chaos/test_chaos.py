"""The short form of ``chaos.py``: every kind of kill once at least, on this machine and on a cluster of four nodes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).with_name("chaos.py")
LIMIT_S = 400


@pytest.mark.slow
@pytest.mark.timeout(480)
def test_killed_runs_lose_nothing_double_nothing_and_write_the_same_bytes() -> None:
    pytest.importorskip("ray")
    command = [sys.executable, "-P", str(CHAOS), "--short", "--seed", "1"]
    chaos = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        told, said = chaos.communicate(timeout=LIMIT_S)
    finally:
        chaos.terminate()  # it ends the drivers and nodes that it has started
        chaos.wait(60)
    print(told)
    assert chaos.returncode == 0, told + said[-4000:]
    for kind in ("driver", "worker", "watcher", "engine", "node"):
        assert re.search(rf"^kills .*\b\d+ {kind}\b", told, re.MULTILINE), f"no {kind} was killed"
