"""When a call to an endpoint may start: free slots, adaptive concurrency, and pauses that the endpoint asks for."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from dsgen.pipeline.core.keys import Key

LONGEST_BACKOFF = 60.0
LONGEST_RESET = 60.0
"""Endpoints announce the reset of a *full* quota; nobody waits longer than this for it."""


def backoff(request_id: str, attempt: int, base: float) -> float:
    """Seconds before retry number ``attempt`` (from 1): exponential with full jitter, drawn from the request's id."""
    ceiling = min(LONGEST_BACKOFF, base * 2.0 ** min(attempt - 1, 32))
    return ceiling * Key.of("backoff", request_id, attempt).rng().random()


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> float | None:
    """Seconds that ``retry-after-ms`` or ``Retry-After`` (seconds or an HTTP date) asks to wait; ``None`` without."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now()).total_seconds())


def exhausted(headers: Mapping[str, str], tokens: int = 0) -> float | None:
    """Seconds until a quota that the ``x-ratelimit-*`` headers call used up is back; ``None`` while some is left.

    A token quota counts as used up when less than ``tokens``, the cost of the last call, is left of it.
    """
    waits = []
    for quota, needed in (("requests", 1), ("tokens", max(1, tokens))):
        remaining = _number(headers.get(f"x-ratelimit-remaining-{quota}", ""))
        reset = _duration(headers.get(f"x-ratelimit-reset-{quota}", ""))
        if remaining is not None and reset is not None and remaining < needed:
            waits.append(min(reset, LONGEST_RESET))
    return max(waits, default=None)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _number(text: str) -> float | None:
    """A number that is not negative; ``inf`` and ``nan`` are none."""
    return float(text) if text and re.fullmatch(r"\s*\d{1,15}(?:\.\d*)?\s*", text) else None


def _duration(text: str) -> float | None:
    """Seconds of ``12``, ``1m30.5s`` or ``20ms``; ``None`` for anything else, such as a point in time."""
    seconds = _number(text)
    if seconds is not None or not text:
        return seconds
    if not re.fullmatch(rf"(?:{_DURATION.pattern})+", text.strip()):
        return None
    return sum(float(n) * _UNITS[unit] for n, unit in _DURATION.findall(text))


class Throttle:
    """Lets calls pass in the order of their coming, retries first.

    No more than ``limit`` calls run at the same time. A rate limit halves it, once for all the calls that were on
    their way together; every success raises it by ``1/limit``, back up to ``slots``.
    """

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self.limit = float(slots)
        self.active = 0
        self._cuts = 0
        self._resume = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def acquire(self, *, retry: bool = False) -> int:
        """Wait for a slot; the ticket goes to :meth:`limited`."""
        turn = asyncio.get_running_loop().create_future()
        if retry:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()
            raise
        return self._cuts

    def release(self) -> None:
        """Give the slot back."""
        self.active -= 1
        self._admit()

    def pause(self, seconds: float) -> None:
        """Start no further call for some time; pauses overlap, they do not add up."""
        self._resume = max(self._resume, asyncio.get_running_loop().time() + seconds)

    def limited(self, ticket: int) -> None:
        """The endpoint answered a call with 429."""
        if ticket == self._cuts:
            self._cuts += 1
            self.limit = max(1.0, self.limit / 2)

    def succeeded(self) -> None:
        """The endpoint answered a call."""
        self.limit = min(float(self.slots), self.limit + 1 / self.limit)

    def close(self) -> None:
        """Forget the timer of a pause."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _admit(self) -> None:
        while self._waiting and self.active < int(self.limit):
            if self._waiting[0].done():  # cancelled while it waited
                self._waiting.popleft()
                continue
            loop = asyncio.get_running_loop()
            if loop.time() < self._resume:
                self.close()
                self._timer = loop.call_at(self._resume, self._admit)
                return
            self._waiting.popleft().set_result(None)
            self.active += 1
