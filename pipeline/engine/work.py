"""What a CPU worker does with a bucket: survey it, ask for solutions, judge and write it. Pure but for the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsgen.pipeline.core.candidate import Candidate, Reply, Request, Verdict, failed
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.core.tokens import shipped
from dsgen.pipeline.dataset.rows import Bucket
from dsgen.pipeline.engine.plan import SEED, Unit
from dsgen.pipeline.teachers.config import DerivationConfig
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.teachers.prompt import prompt
from dsgen.pipeline.workflow import Workflow

SURVEYED = np.dtype([("unit", "<i8"), ("generation", "<i2"), ("id", "S16"), ("statement", "S16")])
"""One line a unit that has a problem: its number, generation, id and the hash of its statement, both as bytes."""

Poison = Mapping[int, tuple[str, str]]
"""Units that must not be tried again: number → (reason, detail)."""


@dataclass(frozen=True, slots=True)
class Task:
    """One piece of work. ``units`` are unit numbers; ``poison`` names those to set aside."""

    kind: str
    """``survey``, ``prepare`` or ``finish``."""
    bucket: int
    units: tuple[int, ...] | range
    poison: Poison = field(default_factory=dict)
    replies: Mapping[str, Reply] | None = None
    """Teacher's replies by unit id; ``None``: the derivation teacher, right here."""
    folder: str = ""
    """Where ``finish`` writes its files."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """What a survey found in a bucket."""

    lines: NDArray[Any]
    not_applicable: dict[str, int]
    stages: dict[str, dict[str, int]]
    """By source: the furthest funnel stage of its seeds → seeds."""


class Workbench:
    """A worker's state: the opened plan and the validators. Made once a process."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        config = workflow.teacher
        self.teacher = config.kind if isinstance(config, DerivationConfig) else f"{config.kind}:{config.model}"
        self.samples = 1 if isinstance(config, DerivationConfig) else config.n
        self.plan = workflow.plan(check=False)
        self.validators = [(v.kind, v) for v in workflow.validators]
        self.required = [v.kind for v in workflow.validators if v.required]

    def do(self, task: Task, mark: Callable[[int], None]) -> Any:
        """Do a task; ``mark`` is told the number of each unit before it is begun."""
        if task.kind == "survey":
            return self.survey(task, mark)
        if task.kind == "prepare":
            return self.prepare(task, mark)
        return self.finish(task, mark)

    def survey(self, task: Task, mark: Callable[[int], None]) -> Surveyed:
        """Make every problem of a bucket once, and keep only hashes."""
        lines: list[tuple[int, int, bytes, bytes]] = []
        missing: Counter[str] = Counter()
        stages: dict[str, Counter[str]] = {}
        seen: tuple[int, int] | None = None
        for unit, problem, stage in self._problems(task, mark):
            if stage and (unit.source, unit.seed) != seen and unit.mutator == self._first_slot():
                seen = (unit.source, unit.seed)
                stages.setdefault(self.workflow.sources[unit.source].kind, Counter())[stage] += 1
            if isinstance(problem, NotApplicable):
                missing[f"{self._mutator(unit)}:{problem.reason}"] += 1
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
        for number in task.poison:
            unit = self.plan.unit(number)
            lines.append((number, 0, self.plan.unit_id(unit)[:16].encode(), b"%016d" % number))
        return Surveyed(np.array(lines, SURVEYED), dict(missing), {s: dict(c) for s, c in stages.items()})

    def prepare(self, task: Task, mark: Callable[[int], None]) -> list[Request]:
        """The requests for a bucket's problems."""
        teacher: Any = self.workflow.teacher
        requests = []
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable):
                continue
            unit_id = self.plan.unit_id(unit)
            messages = prompt(problem, teacher.instructions)
            seed = self.plan.key.child("request", unit_id).number() >> 32
            requests.append(Request(unit_id, messages, teacher.sampling(), teacher.n, seed))
        return requests

    def finish(self, task: Task, mark: Callable[[int], None]) -> dict[str, Any]:
        """Judge every candidate of a bucket and write its files below the task's folder."""
        bucket = Bucket(shipped())
        for number, (reason, detail) in task.poison.items():
            self._quarantine(bucket, self.plan.unit(number), "worker", reason, detail)
        for unit, problem, _ in self._problems(task, mark):
            if isinstance(problem, NotApplicable):
                # The survey saw a problem here: its source or program is not a function of its inputs.
                self._quarantine(bucket, unit, "mutate", "not_reproducible", problem.reason)
                continue
            unit_id = self.plan.unit_id(unit)
            if task.replies is None:
                text = render(problem)
                if text is None:
                    no_solution = failed("no_derivation", f"nothing lifted this {problem.lineage.source} text")
                    bucket.add(
                        Candidate(problem, "", "derivation"), {"teacher": no_solution}, ["teacher"], (unit_id, 0)
                    )
                else:
                    self._judge(bucket, Candidate(problem, text, "derivation", exact=True), (unit_id, 0))
                continue
            reply = task.replies[unit_id]
            if reply.failure is not None:
                self._quarantine(bucket, unit, "teacher", reply.failure.reason, reply.failure.detail)
                continue
            for sample, c in enumerate(reply.completions):
                candidate = Candidate(problem, c.text, self.teacher, c.reasoning, c.finish_reason)
                self._judge(bucket, candidate, (unit_id, sample))
            missing = self.samples - len(reply.completions)
            if missing > 0:
                seen = f"{len(reply.completions)} of {self.samples} samples came back"
                self._quarantine(bucket, unit, "teacher", "missing_samples", seen, count=missing)
        files = bucket.write(Path(task.folder), task.bucket)
        return {"bucket": task.bucket, "files": files, **bucket.summary()}

    def _judge(self, bucket: Bucket, candidate: Candidate, ids: tuple[str, int]) -> None:
        verdicts: dict[str, Verdict] = {}
        for name, validator in self.validators:
            if validator.applies(candidate):
                verdicts[name] = validator.validate_candidate(candidate)
        bucket.add(candidate, verdicts, self.required, ids)

    def _problems(self, task: Task, mark: Callable[[int], None]) -> Iterable[tuple[Unit, Problem | NotApplicable, str]]:
        def told() -> Iterable[int]:
            for number in task.units:
                if number not in task.poison:
                    mark(number)
                    yield number

        return self.plan.problems(told())

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
