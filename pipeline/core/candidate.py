"""What stands between a problem and an accepted row: requests to teachers, completions, candidates and verdicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.problem import Problem


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a teacher samples. ``max_tokens`` is a limit, not part of a completion's identity."""

    temperature: float = 0.7
    top_p: float = 1.0
    max_tokens: int = 4096
    extra: tuple[tuple[str, Any], ...] = ()
    """Further fields of the request body, passed on as they are."""


class ImagePart(NamedTuple):
    """An image of a prompt."""

    data: bytes
    media_type: str = "image/png"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a prompt: a role, a text, and images for teachers that see."""

    role: Literal["system", "user", "assistant"]
    text: str
    images: tuple[ImagePart, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a teacher: a problem's prompt and the number of samples wanted of it.

    A teacher that works from the derivation reads ``problem``; the others see the messages only.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    n: int = 1
    seed: int = 0
    problem: Problem | None = None
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the reply must follow, for judges."""
    purpose: Literal["solve", "judge", "canary"] = "solve"
    """Judges and canaries go before solutions on an engine that they share."""
    group: str = ""
    """Rows of one group tend to have replies of similar length, such as those of one template and mutator."""
    size: float = 0.0
    """How long a reply to expect against others, in any unit: the number of steps, or else of characters."""
    teacher: str = ""
    """The teacher that the row is routed to, by its name in the workflow; empty: the only one."""

    def cache_key(self, model: str, revision: str) -> str:
        """What the reply depends on: everything but ``max_tokens``."""
        turns: list[Any] = []
        for m in self.messages:
            turns += [m.role, m.text, *(i.data for i in m.images)]
        s = self.sampling
        scope = (model, revision, *turns, s.temperature, s.top_p, s.extra, self.n, self.seed, self.schema)
        return digest(*[p if isinstance(p, bytes) else str(p) for p in scope]).hex()


@dataclass(frozen=True, slots=True)
class Completion:
    """One sample: the final text, with the reasoning before it kept apart."""

    text: str
    reasoning: str = ""
    finish_reason: str = "stop"
    """``stop``, ``length``, ``content_filter`` or what the engine reported."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    logprob: float | None = None
    """Sum of the tokens' log-probabilities when it was asked for."""


class Failure(NamedTuple):
    """Why a request has no completions: a slug such as ``http_500`` or ``no_derivation``, and what was seen."""

    reason: str
    detail: str = ""
    retryable: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A teacher's reply to one request: ``n`` completions, or a failure."""

    request_id: str
    completions: tuple[Completion, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """A question that an operator puts to a model.

    The operator stays pure: it yields the question and is resumed with the reply, which is journaled.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling(temperature=0.0, max_tokens=1024)
    n: int = 1
    schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A problem with one solution of it, as validators see it."""

    problem: Problem
    solution: str
    teacher: str
    reasoning: str = ""
    finish_reason: str = "stop"
    exact: bool = False
    """The solution was rendered from the problem's own derivation."""


class Status(StrEnum):
    """What a validator can say."""

    PASS = "pass"
    FAIL = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A validator's word on a candidate, never a bare truth value."""

    status: Status
    reason: str
    """A slug: ``equal``, ``wrong_answer``, ``cannot_parse``, ``timeout``, ``bad_reference``, ..."""
    detail: str = ""
    """What was seen, for people."""
    decided_by: str = ""
    """The tier of the check that decided, such as ``exact`` or ``math_verify``."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON data, such as counts of checked equations."""


def passed(reason: str, detail: str = "", decided_by: str = "", **evidence: Any) -> Verdict:
    """A verdict that lets the candidate through."""
    return Verdict(Status.PASS, reason, detail, decided_by, evidence)


def failed(reason: str, detail: str = "", decided_by: str = "", **evidence: Any) -> Verdict:
    """A verdict against the candidate."""
    return Verdict(Status.FAIL, reason, detail, decided_by, evidence)


def undecided(reason: str, detail: str = "", decided_by: str = "", **evidence: Any) -> Verdict:
    """The check could not tell."""
    return Verdict(Status.UNDECIDED, reason, detail, decided_by, evidence)
