"""How busy a teacher's slots are: the real scheduler on a simulated clock, with long-tailed lengths.

    python benchmarks/occupancy.py [--rows 20000] [--slots 256] [--engines 1]

Rows are the requests of real templates and mutators. Their lengths are log-normal with a median of 2,000 tokens and a
sigma of 1.2, clipped to 100 ... 65,536; a token takes a unit of time in every slot. In ``by template`` a part of the
variance belongs to template and mutator (sigma 0.97) and the rest (sigma 0.7) to nothing that anyone could know; in
``no information`` all of it does. The scheduler is never told a length before the row is done.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from simulated_clock import simulate

from dsgen.pipeline.core.candidate import Completion, Reply, Request
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.engine.pool import Pool
from dsgen.pipeline.engine.schedule import ROWS_PER_SLOT, Window, each
from dsgen.pipeline.engine.work import Task, Workbench
from dsgen.pipeline.workflow import parse

BUCKET = 1000


class Slots:
    """An engine of so many slots; a row holds one for as many units of time as it has tokens."""

    name = model = "simulated"
    revision = ""

    def __init__(self, slots: int, lengths: dict[str, int]) -> None:
        self.slots = slots
        self.lengths = lengths
        self.busy = 0.0
        self.free = asyncio.Semaphore(slots)

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def report(self) -> dict[str, object]:
        return {}

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        (request,) = requests
        tokens = self.lengths[request.id]
        async with self.free:
            await asyncio.sleep(tokens)
        self.busy += tokens
        return [Reply(request.id, (Completion("", completion_tokens=tokens),))]


def real_requests(rows: int) -> Iterator[Request]:
    """Requests as a run makes them, template by template and mutator by mutator."""
    workflow = parse(
        {
            "name": "occupancy",
            "seed": 7,
            "sources": [{"kind": "templates", "seeds": 2 + rows // (56 * 7)}],
            "mutators": [
                {"kind": "perturb", "profile": "same", "count": 3},
                {"kind": "perturb", "profile": "harder", "count": 3},
                {"kind": "perturb", "profile": "easier", "count": 1},
            ],
            "teacher": {"kind": "python", "target": "none:None", "model": "m"},
            "validators": [{"kind": "format"}],
        },
        "occupancy",
    )
    bench = Workbench(workflow)
    made = 0
    # Buckets hold seeds of the same template side by side, as they do in a run.
    for bucket in range(bench.plan.buckets):
        for request in bench.prepare(Task("prepare", bucket, bench.plan.bucket(bucket)), lambda _: None):
            if made == rows:
                return
            made += 1
            yield request


def length(request: Request, informed: bool) -> int:
    shared = Key.of("group", request.group).rng().gauss(0.0, 0.97) if informed else 0.0
    own = Key.of("row", request.id).rng().gauss(0.0, 0.7 if informed else 1.2)
    return round(min(65_536.0, max(100.0, 2000 * math.exp(shared + own))))


def run(requests: Sequence[Request], slots: int, engines: int, informed: bool) -> None:
    lengths = {r.id: length(r, informed) for r in requests}
    hosts = [Slots(slots // engines, lengths) for _ in range(engines)]
    pool = Pool(hosts)
    window = Window(max(3 * BUCKET, ROWS_PER_SLOT * slots))
    buckets = [requests[i : i + BUCKET] for i in range(0, len(requests), BUCKET)]

    async def work() -> float:
        await pool.start()
        clock = asyncio.get_running_loop().time

        async def make(bucket: int) -> None:
            await asyncio.gather(*[pool.ask(r, bucket) for r in buckets[bucket]])
            window.leave(bucket)

        await each(
            range(len(buckets)),
            make,
            admit=lambda b: window.admit(b, len(buckets[b])),
            opened_all=pool.last_rows,
        )
        await pool.close()
        return clock()

    wall = simulate(work())
    busy = sum(h.busy for h in hosts)
    total, longest = sum(lengths.values()), max(lengths.values())
    assert busy == total, "a row was lost or done twice"
    bound = total / max(total / slots, longest) / slots
    name = "by template" if informed else "no information"
    print(
        f"{name:15} {len(requests):,} rows, {slots} slots, {engines} engines: slots busy {busy / (slots * wall):.4f} "
        f"in all (no schedule can exceed {bound:.4f}); mean {total / len(requests):,.0f} tokens, longest {longest:,}; "
        f"at most {window.most_rows:,} rows open; clock simulated"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--engines", type=int, default=1)
    arguments = parser.parse_args()
    requests = list(real_requests(arguments.rows))
    for informed in (True, False):
        run(requests, arguments.slots, arguments.engines, informed)


if __name__ == "__main__":
    main()
