"""What a CPU worker does with a bucket: survey it, ask for solutions and judgements, check and write it. Pure."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dsgen.pipeline.core.candidate import Candidate, Failure, Reply, Request, Status, Verdict, failed
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.operator import Consultant, NotApplicable
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.core.source import Seed
from dsgen.pipeline.core.tokens import shipped
from dsgen.pipeline.dataset.rows import Bucket
from dsgen.pipeline.engine.plan import SEED, Unit
from dsgen.pipeline.engine.routing import PassRates, Router
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.teachers.prompt import prompt
from dsgen.pipeline.workflow import Workflow

SURVEYED = np.dtype([("unit", "<i8"), ("generation", "<i2"), ("id", "S16"), ("statement", "S16")])
"""One line a unit that has a problem: its number, generation, id and the hash of its statement, both as bytes."""

Poison = Mapping[int, tuple[str, str]]
"""Units that must not be tried again: number → (reason, detail)."""

IDLE = -1
"""Told instead of a unit's number while no unit is at work."""

_TRACE = 4000
"""Characters of a traceback that are kept."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work. ``units`` are unit numbers; ``poison`` names those to set aside."""

    kind: str
    """``survey``, ``prepare``, ``consult``, ``check`` or ``finish``."""
    bucket: int
    units: tuple[int, ...] | range
    poison: Poison = field(default_factory=dict)
    replies: Mapping[str, Reply] | None = None
    """Teacher's replies by unit id; ``None``: the derivation teacher, right here."""
    answers: Mapping[str, Reply] = field(default_factory=dict)
    """Replies to what validators asked, by the question's id."""
    rates: PassRates | None = None
    """Frozen pass rates that decide which teacher a row goes to; ``None``: not measured (yet)."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey found in a bucket."""

    lines: NDArray[Any]
    not_applicable: dict[str, int]
    stages: dict[str, dict[str, int]]
    """By source: the furthest funnel stage of its seeds → seeds."""


class Finished(NamedTuple):
    """A bucket ready to be committed: its record, and the contents of its files by path."""

    record: dict[str, Any]
    files: dict[str, bytes]


@dataclass(frozen=True, slots=True)
class Crashed:
    """Making a unit's problem raised an exception: whose, and the traceback."""

    traceback: str


class Workbench:
    """A worker's state: the opened plan and the validators. Made once a process."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.samples = workflow.samples
        self.router = Router(workflow.models, workflow.routing)
        self.plan = workflow.plan(check=False)
        self.validators = [(v.kind, v) for v in workflow.validators]
        self.required = [v.kind for v in workflow.validators if v.required]

    def do(self, task: Task, mark: Callable[[int], None]) -> Any:
        """Do a task; ``mark`` is told the number of each unit before it is begun."""
        work: dict[str, Callable[[Task, Callable[[int], None]], Any]] = {
            "survey": self.survey,
            "prepare": self.prepare,
            "consult": self.consult,
            "check": self.check,
            "finish": self.finish,
        }
        return work[task.kind](task, mark)

    def survey(self, task: Task, mark: Callable[[int], None]) -> Surveyed:
        """Make every problem of a bucket once, and keep only hashes."""
        lines: list[tuple[int, int, bytes, bytes]] = []
        missing: Counter[str] = Counter()
        stages: dict[str, Counter[str]] = {}
        seen: tuple[int, int] | None = None
        aside = list(task.poison)
        for unit, problem, stage in self._problems(task, mark):
            if stage and (unit.source, unit.seed) != seen and unit.mutator == self._first_slot():
                seen = (unit.source, unit.seed)
                stages.setdefault(self.workflow.sources[unit.source].kind, Counter())[stage] += 1
            if isinstance(problem, NotApplicable):
                missing[f"{self._mutator(unit)}:{problem.reason}"] += 1
                continue
            if isinstance(problem, Crashed):
                aside.append(unit.number)
                continue
            statement = " ".join(problem.statement.split()).casefold()
            # Hashes may end in zero bytes, which a fixed-width string would lose: hexadecimal does not.
            lines.append(
                (
                    unit.number,
                    int(unit.mutator >= 0),
                    self.plan.unit_id(unit)[:16].encode(),
                    digest(statement, size=8).hex().encode(),
                )
            )
        # A unit that cannot be made is planned all the same: it ends in quarantine, where it is seen.
        for number in aside:
            unit = self.plan.unit(number)
            lines.append((number, 0, self.plan.unit_id(unit)[:16].encode(), b"%016d" % number))
        return Surveyed(np.array(lines, SURVEYED), dict(missing), {s: dict(c) for s, c in stages.items()})

    def prepare(self, task: Task, mark: Callable[[int], None]) -> list[Request]:
        """The requests for a bucket's problems."""
        requests = []
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable | Crashed):
                continue
            unit_id = self.plan.unit_id(unit)
            index = self.router.choose(problem, unit_id, task.rates)
            teacher = self.router.teachers[index]
            messages = prompt(problem, teacher.instructions)
            # The same question of the same run has the same seed wherever it stands, so that it is asked once.
            seed = self.plan.key.child("request", *[m.text for m in messages]).number() >> 32
            steps = len(problem.derivation.nodes) if problem.derivation else 0
            requests.append(
                Request(
                    unit_id,
                    messages,
                    teacher.sampling(),
                    teacher.n,
                    seed,
                    group=f"{problem.lineage.seed.partition('#')[0] if steps else problem.family}/{unit.mutator}",
                    size=float(steps or len(messages[-1].text)),
                    teacher=self.router.names[index],
                )
            )
        return requests

    def consult(self, task: Task, mark: Callable[[int], None]) -> list[Request]:
        """The questions of validators that have no answer yet; empty when nothing is left to ask."""
        asked = []
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable | Crashed):
                continue
            unit_id = self.plan.unit_id(unit)
            for sample, candidate in enumerate(self._candidates(problem, unit_id, task)):
                try:
                    outcome = self._verdicts(candidate, f"{unit_id}-{sample}", task.answers)
                except Exception:  # noqa: BLE001, S112 - found again, and told, when the bucket is finished
                    continue
                if isinstance(outcome, Request):
                    asked.append(outcome)
        return asked

    def check(self, task: Task, mark: Callable[[int], None]) -> dict[str, bool]:
        """Whether the first sample of each unit has the right answer, by unit id: for canaries."""
        right = {}
        answer = [v for name, v in self.validators if name == "answer"]
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable | Crashed):
                continue
            unit_id = self.plan.unit_id(unit)
            for candidate in self._candidates(problem, unit_id, task)[:1]:
                right[unit_id] = all(v.validate_candidate(candidate).status is Status.PASS for v in answer)
        return right

    def finish(self, task: Task, mark: Callable[[int], None]) -> Finished:
        """Judge every candidate of a bucket and encode its files."""
        bucket = Bucket(shipped())
        for number, (reason, detail) in task.poison.items():
            self._quarantine(bucket, self.plan.unit(number), "worker", reason, detail)
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable):
                # The survey saw a problem here: its source or program is not a function of its inputs.
                self._quarantine(bucket, unit, "mutate", "not_reproducible", problem.reason)
            elif isinstance(problem, Crashed):
                self._quarantine(bucket, unit, "mutate", "exception", problem.traceback)
            else:
                self._finish(bucket, unit, problem, task)
        records, files = bucket.files(task.bucket)
        return Finished({"bucket": task.bucket, "files": records, **bucket.summary()}, files)

    def _finish(self, bucket: Bucket, unit: Unit, problem: Problem, task: Task) -> None:
        unit_id = self.plan.unit_id(unit)
        failure = task.replies[unit_id].failure if task.replies is not None else None
        if failure is not None:
            self._quarantine(bucket, unit, "teacher", failure.reason, failure.detail)
            return
        candidates = self._candidates(problem, unit_id, task)
        for sample, candidate in enumerate(candidates):
            ids = (unit_id, sample)
            if candidate.teacher == "derivation" and not candidate.exact:
                lacks = failed("no_derivation", f"nothing lifted this {problem.lineage.source} text")
                bucket.add(candidate, {"teacher": lacks}, ["teacher"], ids)
                continue
            try:
                outcome = self._verdicts(candidate, f"{unit_id}-{sample}", task.answers)
            except Exception as error:  # noqa: BLE001 - one bad row must not end a run; it is set aside and told
                self._quarantine(bucket, unit, "validate", "exception", _trace(error), count=1)
                continue
            if isinstance(outcome, Failure):
                self._quarantine(bucket, unit, "judge", outcome.reason, outcome.detail, count=1)
            elif isinstance(outcome, Request):
                self._quarantine(bucket, unit, "judge", "not_answered", "nobody answered a validator", count=1)
            else:
                bucket.add(candidate, outcome, self.required, ids)
        missing = self.samples - len(candidates)
        if missing > 0:
            seen = f"{len(candidates)} of {self.samples} samples came back"
            self._quarantine(bucket, unit, "teacher", "missing_samples", seen, count=missing)

    def _candidates(self, problem: Problem, unit_id: str, task: Task) -> list[Candidate]:
        """The samples of a problem, as validators see them."""
        if task.replies is None:
            text = render(problem)
            return [Candidate(problem, text or "", "derivation", exact=text is not None)]
        reply = task.replies.get(unit_id)
        if reply is None:
            return []
        teacher = self.router.names[self.router.choose(problem, unit_id, task.rates)]
        return [Candidate(problem, c.text, teacher, c.reasoning, c.finish_reason) for c in reply.completions]

    def _verdicts(
        self, candidate: Candidate, sample_id: str, answers: Mapping[str, Reply]
    ) -> dict[str, Verdict] | Request | Failure:
        """All verdicts on a candidate; or the question that must be answered first, or why it was not."""
        verdicts: dict[str, Verdict] = {}
        consultants = []
        for name, validator in self.validators:
            if not validator.applies(candidate):
                continue
            if isinstance(validator, Consultant):
                consultants.append((name, validator))
            else:
                verdicts[name] = validator.validate_candidate(candidate)
        if any(verdicts[n].status is not Status.PASS for n in self.required if n in verdicts):
            return verdicts
        for name, consultant in consultants:
            outcome = self._consult(consultant, candidate, f"{sample_id}/{name}", answers)
            if not isinstance(outcome, Verdict):
                return outcome
            verdicts[name] = outcome
        return verdicts

    def _consult(
        self, consultant: Consultant, candidate: Candidate, scope: str, answers: Mapping[str, Reply]
    ) -> Verdict | Request | Failure:
        talk = consultant.consult(candidate)
        turn = 0
        try:
            ask = next(talk)
            while True:
                question = f"{scope}/{turn}"
                if question not in answers:
                    seed = self.plan.key.child("ask", question).number() >> 32
                    return Request(question, ask.messages, ask.sampling, ask.n, seed, None, ask.schema, "judge")
                reply = answers[question]
                if reply.failure is not None:
                    return reply.failure
                ask = talk.send(reply)
                turn += 1
        except StopIteration as end:
            verdict: Verdict = end.value
            return verdict

    def _problems(
        self, task: Task, mark: Callable[[int], None]
    ) -> Iterator[tuple[Unit, Problem | NotApplicable | Crashed, str]]:
        """The task's units with their problems; a seed is made once for units in a row."""
        made: tuple[int, int] | None = None
        seed = Seed(NotApplicable(""))
        for number in task.units:
            if number in task.poison:
                continue
            mark(number)
            unit = self.plan.unit(number)
            try:
                if made != (unit.source, unit.seed):
                    made = None
                    seed = self.plan.seed(unit)
                    made = (unit.source, unit.seed)
                problem: Problem | NotApplicable | Crashed = self.plan.problem(unit, seed)
            except OSError:
                raise  # a disk that fails is no property of the unit
            except Exception as error:  # noqa: BLE001 - one bad seed must not end a run; it is set aside and told
                yield unit, Crashed(_trace(error)), ""
                continue
            yield unit, problem, seed.stage
        # What is left to do, such as encoding files, is no unit's own time.
        mark(IDLE)

    def _first_slot(self) -> int:
        return -1 if self.workflow.keep_seeds else 0

    def _mutator(self, unit: Unit) -> str:
        return SEED if unit.mutator < 0 else self.workflow.mutators[unit.mutator].kind

    def _quarantine(
        self, bucket: Bucket, unit: Unit, stage: str, reason: str, detail: str, *, count: int | None = None
    ) -> None:
        unit_id, seed_id = self.plan.unit_id(unit), self.plan.seed_id(unit)
        for _ in range(self.samples if count is None else count):
            bucket.quarantine(unit_id, seed_id, self._mutator(unit), stage, reason, detail)


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))[-_TRACE:]
