"""The embedded teacher: a problem's own derivation, written out as a worked solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.candidate import Completion, Failure, Reply, Request
from dsgen.pipeline.core.problem import Problem


def render(problem: Problem) -> str | None:
    """The worked solution, a sentence a line and the boxed answer last; ``None`` without a derivation."""
    derivation = problem.derivation
    if derivation is None:
        return None
    lines = [step.text for step in derivation.steps]
    # Bare braces group in LaTeX; a set's own must be escaped to be seen.
    shown = problem.answer.show().replace("{", r"\{").replace("}", r"\}")
    lines.append(f"The answer is \\boxed{{{shown}}}.")
    return "\n".join(lines)


class DerivationTeacher:
    """Exact at any length, needs no GPU, and says the same however often it is asked.

    Nothing is sampled, so ``n`` samples are ``n`` times the same text, and tokens are not counted here.
    """

    name = "derivation"
    model = "derivation"
    revision = ""
    slots = 0

    async def start(self) -> None:
        """Always ready."""

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply each, in order; the failure ``no_derivation`` where a problem has none to render."""
        return [_reply(request) for request in requests]

    async def report(self) -> Mapping[str, Any]:
        """Nothing is counted here."""
        return {}

    async def close(self) -> None:
        """Holds nothing."""


def _reply(request: Request) -> Reply:
    if request.problem is None:
        return Reply(request.id, failure=Failure("no_derivation", "the request carries no problem"))
    text = render(request.problem)
    if text is None:
        source = request.problem.lineage.source
        return Reply(request.id, failure=Failure("no_derivation", f"nothing lifted this {source} problem"))
    return Reply(request.id, (Completion(text),) * request.n)
