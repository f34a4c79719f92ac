"""Tells a Ray of its own where a run stands, and prints what the node's agent exports of it. Run by test_metrics."""

from __future__ import annotations

import json
import re
import socket
import time
import urllib.request
from collections import Counter

import ray

from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.metrics import COUNTERS, GAUGES, Metrics

_OURS = re.compile(r"^(ray_dsgen_\w+)\{(.*)\} (\S+)$", re.MULTILINE)
_TAG = re.compile(r'(?:^|,)(?:status|tier|engine)="([^"]*)"')


def scrape(port: int) -> dict[str, dict[str, float]]:
    """Our metrics by name and tag."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text = answer.read().decode()
    found: dict[str, dict[str, float]] = {}
    for name, labels, value in _OURS.findall(text):
        tag = _TAG.search(labels)
        found.setdefault(name, {})[tag[1] if tag else ""] = float(value)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """Update twice and look until everything is there."""
    port = free_port()
    ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=100_000_000,
        _metrics_export_port=port,
    )
    engines = [EngineStatus("a 0", 4, 3, 0.5, deaths=1), EngineStatus("a 1", 4, 1, 0.25)]
    state = Status(
        counts=Counter(accepted=1000, rejected=10),  # of an earlier start
        engines=engines,
        tokens=100,
        asked=7,
        requeued=2,
        cache={"memory": 0, "journal": 2, "misses": 5},
        open_rows=10,
        open_bytes=1000,
    )
    metrics = Metrics(every_s=0)
    metrics.update(state)
    state.fresh_units = 5
    state.counts.update(accepted=12, rejected=3)
    metrics.update(state)
    until, found = time.monotonic() + 60, {}
    while len(found) < len(COUNTERS) + len(GAUGES) and time.monotonic() < until:
        time.sleep(0.5)
        try:
            found = scrape(port)
        except OSError:  # the agent is not up yet
            continue
    ray.shutdown()
    metrics.update(state)  # must do no harm: the progress thread may be late
    print(json.dumps(found))


if __name__ == "__main__":
    main()
