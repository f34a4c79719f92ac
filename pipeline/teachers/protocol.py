"""What every teacher is to the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from dsgen.pipeline.core.candidate import Reply, Request


@runtime_checkable
class Teacher(Protocol):
    """Turns requests into replies. One reply for each request, in their order; failures are data, not exceptions.

    ``complete`` is called with one request per row, many calls at a time: a teacher keeps no more than ``slots`` of
    them at work and may be handed some more to choose from.

    An engine that dies raises :class:`~dsgen.pipeline.core.errors.EngineLost` from every call that it held; ``start``
    may then be called again and brings up a fresh one.
    """

    @property
    def name(self) -> str:
        """What rows, card and manifest call it: ``derivation`` or ``openai:MODEL``."""
        ...

    @property
    def model(self) -> str:
        """The model's name, part of the cache key."""
        ...

    @property
    def revision(self) -> str:
        """The model's revision, part of the cache key; empty when unknown."""
        ...

    @property
    def slots(self) -> int:
        """Rows that it can work on at the same time; 0: it costs nothing and runs inside the CPU workers."""
        ...

    async def start(self) -> None:
        """Get ready; raises :class:`~dsgen.pipeline.core.errors.TeacherError` when it cannot work at all."""
        ...

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply each, in order."""
        ...

    async def report(self) -> Mapping[str, Any]:
        """What the engine has counted since its start, as JSON data for the summary and the card; may be empty."""
        ...

    async def close(self) -> None:
        """Let go of connections and engines."""
        ...
