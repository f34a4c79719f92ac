"""Proving a dataset again: every row is rebuilt from its lineage, solved, checked and compared with what stands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pyarrow.parquet as pq

from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Consultant, Mutator, NotApplicable
from dsgen.pipeline.core.problem import Lineage, Problem
from dsgen.pipeline.core.source import SeedSet
from dsgen.pipeline.dataset.read import manifest_of
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.workflow import Workflow, mutators, parse

PROVED, WRONG, UNVERIFIABLE = "proved", "wrong", "unverifiable"


@dataclass
class Report:
    """What a verification found: outcomes of rows, and the faults by what they are."""

    outcomes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    """The first row with each fault."""

    def add(self, row_id: str, outcome: str, fault: str = "") -> None:
        """Count a row."""
        self.outcomes[outcome] += 1
        if fault:
            self.faults[fault] += 1
            self.examples.setdefault(fault, row_id)


def verify(dataset: Path, *, sample: int | None = None, seed: int = 0) -> Report:
    """Prove the accepted rows of a dataset, or a random sample of them.

    A row is ``proved`` when its lineage rebuilds the same statement, answer and derivation, every node executes to its
    value, the solution is the one that the derivation renders (or, for a model's text, passes the validators again),
    and the second solver agrees. It is ``unverifiable`` when the seed or an operator has changed since, by its own
    hash or version; anything else is ``wrong``. Files whose bytes differ from the manifest's digests are told as well.

    Raises:
        DatasetError: the folder is no finished dataset.
    """
    manifest = manifest_of(dataset)
    prover = _Prover(parse(manifest["workflow"], str(dataset)))
    report = Report()
    files = [f for f in manifest["files"] if f["kind"] == "data"]
    for file in files:
        path = dataset / file["path"]
        if not path.exists():
            raise DatasetError(f"{path} is in the manifest and not on disk")
        if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            report.faults["file_changed"] += 1
            report.examples.setdefault("file_changed", file["path"])
    for row in _rows(dataset, files, sample, seed):
        outcome, fault = prover.prove(row)
        report.add(row["id"], outcome, fault)
    return report


def _rows(dataset: Path, files: list[dict[str, Any]], sample: int | None, seed: int) -> Iterator[dict[str, Any]]:
    total = sum(f["rows"] for f in files)
    chosen = None
    if sample is not None and sample < total:
        chosen = set(Random(seed).sample(range(total), sample))  # noqa: S311 - which rows to look at
    number = 0
    for file in files:
        for batch in pq.ParquetFile(dataset / file["path"]).iter_batches(1000):
            for row in batch.to_pylist():
                if chosen is None or number in chosen:
                    yield row
                number += 1


class _Prover:
    def __init__(self, workflow: Workflow) -> None:
        plan = workflow.plan()
        self.validators = workflow.validators
        self.seeds: dict[tuple[str, str], tuple[SeedSet, int]] = {}
        for source, opened in zip(workflow.sources, plan.sources, strict=True):
            for index in range(len(opened)):
                self.seeds[source.kind, opened.seed_id(index)] = (opened, index)
        self._operators: dict[str, Mutator | None] = {}
        self._last: tuple[tuple[str, str], Problem | NotApplicable] | None = None

    def prove(self, row: dict[str, Any]) -> tuple[str, str]:
        """The outcome for a row, and the fault unless it is proved."""
        lineage = Lineage.from_data(orjson.loads(row["lineage"]))
        problem = self._rebuild(lineage)
        if isinstance(problem, str):
            return (UNVERIFIABLE if problem in _CHANGED else WRONG), problem
        if problem.statement != row["statement"]:
            return WRONG, "statement"
        if problem.answer.show() != row["answer"] or _json(problem.answer.to_data()) != row["answer_json"]:
            return WRONG, "answer"
        derivation = problem.derivation
        if (_json(derivation.to_data()) if derivation else "") != row["derivation"]:
            return WRONG, "derivation"
        if derivation is not None and derivation.faults():
            return WRONG, "node"
        exact = row["teacher"] == "derivation"
        if exact and render(problem) != row["solution"]:
            return WRONG, "solution"
        candidate = Candidate(problem, row["solution"], row["teacher"], row["reasoning"], exact=exact)
        for validator in self.validators:
            # What a model said was said once; it proves nothing, and asking again would prove no more.
            if validator.required and not isinstance(validator, Consultant) and validator.applies(candidate):
                verdict = validator.validate_candidate(candidate)
                if verdict.status is not Status.PASS:
                    return WRONG, f"{validator.kind}:{verdict.reason}"
        return PROVED, ""

    def _rebuild(self, lineage: Lineage) -> Problem | str:
        """The problem that a lineage describes, or the fault that forbids it."""
        place = (lineage.source, lineage.seed)
        if place not in self.seeds:
            return "seed_missing"
        key = Key(bytes.fromhex(lineage.run_key))
        if self._last is None or self._last[0] != place:
            opened, index = self.seeds[place]
            self._last = (place, opened.seed(index, key).problem)
        problem = self._last[1]
        if isinstance(problem, NotApplicable):
            return "seed_changed"
        if problem.lineage.seed_hash != lineage.seed_hash:
            return "seed_changed"
        for mutation in lineage.mutations:
            operator = self._operator(mutation.mutator)
            if operator is None:
                return "mutator_changed"
            made = operator.mutate(problem, mutation.child, key)
            if isinstance(made, NotApplicable):
                return "child"
            problem = made
        return problem if problem.lineage == lineage else "lineage"

    def _operator(self, stamp: str) -> Mutator | None:
        """The mutator that a stamp describes, if this version of dsgen has it."""
        if stamp not in self._operators:
            kind, _, rest = stamp.partition("/v")
            version, _, parameters = rest.partition(":")
            cls = mutators().get(kind)
            known = cls is not None and str(cls.version) == version
            self._operators[stamp] = cls.model_validate(orjson.loads(parameters)) if cls is not None and known else None
        return self._operators[stamp]


_CHANGED = frozenset({"seed_missing", "seed_changed", "mutator_changed"})


def _json(data: Any) -> str:
    return orjson.dumps(data).decode()
