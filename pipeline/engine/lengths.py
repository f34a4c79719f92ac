"""How long a reply will be, learnt from the replies that came: a teacher's long rows must not be begun last."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from dsgen.pipeline.core.candidate import Request

_PRIOR = 2.0
"""Replies that the mean of all groups weighs as, against a group's own."""
_GROUPS = 10_000
"""Groups that are remembered, at most; further ones are told by the others."""


@dataclass(slots=True)
class _Mean:
    weight: float = 0.0
    mean: float = 0.0

    def add(self, value: float) -> None:
        self.weight += 1
        self.mean += (value - self.mean) / self.weight


class Lengths:
    """A running estimate of the logarithm of a reply's tokens, by group, shrunk towards the mean over all groups.

    Sizes (steps, or characters) count relative to others of the same group: twice the steps, twice the length. What
    it says decides on the order of work alone, never on a row.
    """

    def __init__(self) -> None:
        self._all = _Mean()
        self._groups: dict[str, _Mean] = {}

    def observe(self, request: Request, tokens: Iterable[int]) -> None:
        """Learn from a reply's samples."""
        scale = math.log(request.size) if request.size > 0 else 0.0
        group = self._groups.get(request.group)
        if group is None and len(self._groups) < _GROUPS:
            group = self._groups[request.group] = _Mean()
        for count in tokens:
            value = math.log(max(1, count)) - scale
            self._all.add(value)
            if group is not None:
                group.add(value)

    def predict(self, request: Request) -> float:
        """The expected tokens of a sample; only the order of such predictions means anything before the first reply."""
        scale = math.log(request.size) if request.size > 0 else 0.0
        group = self._groups.get(request.group)
        if group is None:
            return math.exp(self._all.mean + scale)
        mean = (group.mean * group.weight + self._all.mean * _PRIOR) / (group.weight + _PRIOR)
        return math.exp(mean + scale)
