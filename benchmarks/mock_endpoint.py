"""A model behind an OpenAI-compatible endpoint that costs nothing, for measurements. Listens on 127.0.0.1 only.

    python benchmarks/mock_endpoint.py [--port 8199] [--zero] [--fail .1 --trunc .02]

It has service slots. A call takes one, holds it for a while and answers with a worked solution that ends in
`\\boxed{42}`; calls beyond the slots wait in the order of their coming. How long a call takes is log-normal and depends
on its task alone, which is the first `#` with digits in the body, so that every client gets the same work in whatever
order it asks. Faults depend on task and attempt. With `--zero` every call is answered at once.

`GET /v1/models` lists the model, `GET /stats` tells what was seen, everything else is a call.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import heapq
import json
import math
import re
import signal
import time
from collections import Counter, deque
from collections.abc import Sequence
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, cast

_TASK = re.compile(rb"#(\d+)")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_FAULT_SHARE = 0.1
"""An HTTP 500 comes after this share of the time that the answer would have taken."""
_SOLUTION = "".join(
    f"Step {i}: we expand the expression, collect like terms and substitute the value found above, which gives "
    f"$x_{{{i}}} = {7 * i + 3}$ and leaves the remaining equation in one unknown. "
    for i in range(1, 8)
)


def uniform(*scope: object) -> float:
    """A number in (0, 1) that depends on the scope alone."""
    drawn = int.from_bytes(blake2b(repr(scope).encode(), digest_size=8).digest(), "big")
    return (drawn + 0.5) / 2**64


class Delays:
    """Seconds that each task takes: log-normal with the given median and 99th percentile, cut at ``longest``."""

    def __init__(self, median: float = 0.2, p99: float = 3.0, longest: float = 10.0, seed: int = 1) -> None:
        self.seed = seed
        self.longest = longest
        self._mu = math.log(median)
        self._sigma = math.log(p99 / median) / NormalDist().inv_cdf(0.99)

    def __getitem__(self, task: int) -> float:
        return min(self.longest, math.exp(NormalDist(self._mu, self._sigma).inv_cdf(uniform(self.seed, task))))


def makespan(delays: Sequence[float], slots: int) -> float:
    """The time from first to last for a client that has all tasks waiting in their order at any time."""
    free = [0.0] * slots
    for delay in delays:
        heapq.heapreplace(free, free[0] + delay)
    return max(free)


class Endpoint:
    """Slots, the calls that wait for one, and counts of what was seen."""

    def __init__(self, given: argparse.Namespace, delays: Delays) -> None:
        self.given = given
        self.delays = delays
        self.busy = 0
        self.waiting: deque[Call] = deque()
        self.counts: Counter[str] = Counter()
        self.attempts: Counter[int] = Counter()
        self.answered: set[int] = set()
        self.first = self.last = self.fed_until = 0.0
        """Times by ``time.time``; ``fed_until``: when fewer tasks than slots were left without an answer."""
        self.busy_s = self.busy_fed_s = 0.0
        self._changed = 0.0
        completion = {
            "id": "chatcmpl-mock",
            "object": "chat.completion",
            "model": "mock",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": f"{_SOLUTION}So the answer is $\\boxed{{42}}$."},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 110, "completion_tokens": 300, "total_tokens": 410},
        }
        body = json.dumps(completion).encode()
        self.replies = {
            "answered": http(200, body),
            "truncated": http(200, body[: len(body) // 2]),
            "failed": http(500, b'{"error": {"message": "a fault on request"}}'),
        }

    def arrive(self, call: Call) -> None:
        """A call is here."""
        now = time.time()
        self.first = self.first or now
        self.counts["sent"] += 1
        self.counts["sent_again"] += call.task in self.answered
        drawn = uniform("fault", self.delays.seed, call.task, self.attempts[call.task])
        self.attempts[call.task] += 1
        if drawn < self.given.fail:
            call.outcome = "failed"
        elif drawn < self.given.fail + self.given.trunc:
            call.outcome = "truncated"
        if self.given.zero:
            self.answer(call)
        elif self.busy < self.given.slots:
            self.begin(call)
        else:
            self.waiting.append(call)

    def begin(self, call: Call) -> None:
        """A call takes a slot."""
        self._tick()
        self.busy += 1
        delay = self.delays[call.task] * (_FAULT_SHARE if call.outcome == "failed" else 1.0)
        call.timer = asyncio.get_running_loop().call_later(delay, self.end, call)

    def end(self, call: Call) -> None:
        """A call gives its slot back, answered or abandoned."""
        self._tick()
        self.busy -= 1
        if not call.gone:
            self.answer(call)
        while self.waiting and self.busy < self.given.slots:
            following = self.waiting.popleft()
            if not following.gone:
                self.begin(following)

    def answer(self, call: Call) -> None:
        """Write what a call is answered with."""
        self.counts[call.outcome] += 1
        self.last = time.time()
        if call.outcome == "answered":
            self.answered.add(call.task)
            few = 0 <= self.given.tasks - len(self.answered) < self.given.slots
            if few and not self.fed_until:
                self.fed_until, self.busy_fed_s = self.last, self.busy_s
        call.connection.write(self.replies[call.outcome])

    def stats(self) -> dict[str, Any]:
        """What was seen, as JSON data."""
        self._tick()
        fed = self.fed_until - self.first
        return {
            **{name: self.counts[name] for name in ("sent", "sent_again", "failed", "truncated", "abandoned")},
            "answered": len(self.answered),
            "first": self.first,
            "last": self.last,
            "busy_while_fed": self.busy_fed_s / (self.given.slots * fed) if self.fed_until and fed > 0 else None,
        }

    def _tick(self) -> None:
        now = time.time()
        self.busy_s += self.busy * (now - self._changed)
        self._changed = now


class Call:
    """One call: its task, how it will end, and whether anybody still waits for it."""

    __slots__ = ("connection", "gone", "outcome", "task", "timer")

    def __init__(self, connection: Connection, task: int) -> None:
        self.connection = connection
        self.task = task
        self.outcome = "answered"
        self.gone = False
        self.timer: asyncio.TimerHandle | None = None


class Connection(asyncio.Protocol):
    """Enough of HTTP/1.1: connections are kept, bodies have a length, one call at a time."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.call: Call | None = None
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are of no class of asyncio's

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the event loop; whoever asked is gone, as is their slot."""
        call, self.call = self.call, None
        if call is None or call.gone:
            return
        call.gone = True
        self.endpoint.counts["abandoned"] += 1
        if call.timer is not None:
            call.timer.cancel()
            self.endpoint.end(call)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop."""
        self._received += data
        while self.call is None:
            end = self._received.find(b"\r\n\r\n") + 4
            if end < 4:
                return
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body, self._received = self._received[end:whole], self._received[whole:]
            self._serve(head, body)

    def write(self, reply: bytes) -> None:
        """Answer the call under way."""
        self.call = None
        assert self._transport is not None
        self._transport.write(reply)
        if self._received:
            self.data_received(b"")

    def _serve(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /stats"):
            self.write(http(200, json.dumps(self.endpoint.stats()).encode()))
        elif head.startswith(b"GET"):
            self.write(http(200, b'{"object": "list", "data": [{"id": "mock", "object": "model"}]}'))
        else:
            task = _TASK.search(body)
            self.call = Call(self, int(task[1]) if task else -1)
            self.endpoint.arrive(self.call)


def http(status: int, body: bytes) -> bytes:
    """A whole response."""
    return b"HTTP/1.1 %d Said\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


async def serve(given: argparse.Namespace) -> None:
    """Serve until told to end; the first line that is printed is the address."""
    loop = asyncio.get_running_loop()
    endpoint = Endpoint(given, Delays(given.median, given.p99, given.longest, given.seed))
    server = await loop.create_server(lambda: Connection(endpoint), "127.0.0.1", given.port, backlog=4096)
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    await ended.wait()
    server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8199, help="0: any free one")
    parser.add_argument("--slots", type=int, default=64, help="calls served at the same time")
    parser.add_argument("--median", type=float, default=0.2, help="seconds of a call")
    parser.add_argument("--p99", type=float, default=3.0, help="seconds that one call in a hundred exceeds")
    parser.add_argument("--longest", type=float, default=10.0, help="seconds that no call exceeds")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--zero", action="store_true", help="no delays and no slots: what the client can do")
    parser.add_argument("--fail", type=float, default=0.0, help="share of calls answered with HTTP 500")
    parser.add_argument("--trunc", type=float, default=0.0, help="share of calls answered with half a body")
    parser.add_argument("--tasks", type=int, default=0, help="tasks in all, to tell until when there was enough to do")
    given = parser.parse_args()
    loop_factory = None
    with contextlib.suppress(ImportError):
        import uvloop

        loop_factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve(given))


if __name__ == "__main__":
    main()
