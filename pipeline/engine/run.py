"""One run from workflow to manifest: survey, duplicates, buckets, commits."""

from __future__ import annotations

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

import dsgen
from dsgen.pipeline.core.errors import DsgenError, UserError
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.tokens import shipped_name
from dsgen.pipeline.dataset.card import write_card
from dsgen.pipeline.engine import executors
from dsgen.pipeline.engine.executors import Executor
from dsgen.pipeline.engine.folder import Folder
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.plan import Plan
from dsgen.pipeline.engine.schedule import OVERBOOKING, TeacherQueue, all_replies, each
from dsgen.pipeline.engine.work import SURVEYED, Surveyed, Task
from dsgen.pipeline.teachers.config import DerivationConfig, build, resolve_auto
from dsgen.pipeline.workflow import Workflow


@dataclass
class Progress:
    """Where a run stands; handed to the listener whenever it changes."""

    stage: str = "starting"
    units: int = 0
    done_units: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    in_flight: int = 0
    slots: int = 0
    journal_hits: int = 0
    resumed_buckets: int = 0
    note: str = ""


Listener = Callable[[Progress], None]


def run(workflow: Workflow, out: Path, listener: Listener = lambda _: None) -> dict[str, Any]:
    """Carry a workflow out into a folder, or go on with it, and return the manifest.

    Raises:
        UserError: whatever the user can mend; what was committed stays.
        DsgenError: the sums do not come out, which would be a lost row.
    """
    plan = workflow.plan()
    identity = workflow.identity() | {"source_contents": [s.fingerprint for s in plan.sources]}
    with Folder.locked(out, identity) as folder:
        executor = executors.make(workflow)
        try:
            return asyncio.run(_Run(workflow, plan, identity, folder, executor, listener).go())
        except BaseExceptionGroup as group:
            raise _first(group) from None


class _Run:
    def __init__(
        self,
        workflow: Workflow,
        plan: Plan,
        identity: Mapping[str, Any],
        folder: Folder,
        executor: Executor,
        listener: Listener,
    ) -> None:
        resolved = resolve_auto(workflow.teacher, gpus=executor.gpus, environ=os.environ)
        self.workflow = workflow.model_copy(update={"teacher": resolved.config})
        self.plan = plan
        self.identity = identity
        self.folder = folder
        self.executor = executor
        self.listener = listener
        self.why = resolved.why
        self.embedded = isinstance(resolved.config, DerivationConfig)
        self.teacher = build(resolved.config)
        self.samples = 1 if isinstance(resolved.config, DerivationConfig) else resolved.config.n
        self.settings = self._settings()
        self.progress = Progress(note=resolved.why, slots=self.teacher.slots)
        self.queue: TeacherQueue | None = None

    async def go(self) -> dict[str, Any]:
        try:
            self._tell("starting workers")
            await self.executor.start(self.workflow)
            if not self.embedded:
                journal = Journal(self.folder.root / "journal", self.teacher.model, self.teacher.revision)
                self.queue = TeacherQueue(self.teacher, journal)
                await self.queue.start()
            kept, survey = await self._survey()
            records = self._resume()
            await self._make(kept, records)
            self._tell("writing the manifest")
            return self._finish(kept, survey, records)
        finally:
            if self.queue is not None:
                await self.queue.close()
            await self.executor.close()

    async def _survey(self) -> tuple[NDArray[Any], dict[str, Any]]:
        """Which units have a problem that no unit with a smaller (generation, id) has, and what was found."""
        stored = self.folder.load_survey()
        if stored is not None:
            return stored[0]["kept"], stored[1]
        self._tell("surveying", units=len(self.plan))
        found: dict[int, Surveyed] = {}

        async def survey(bucket: int) -> None:
            found[bucket], _ = await self.executor.run(Task("survey", bucket, self.plan.bucket(bucket)))
            self.progress.done_units += len(self.plan.bucket(bucket))
            self._tell("surveying")

        await each(range(self.plan.buckets), survey, at_once=self.executor.workers + 1)
        lines = np.concatenate([found[b].lines for b in sorted(found)]) if found else np.array([], SURVEYED)
        order = np.lexsort((lines["id"], lines["generation"], lines["statement"]))
        statements = lines["statement"][order]
        first = np.ones(len(order), bool)
        first[1:] = statements[1:] != statements[:-1]
        kept = np.sort(lines["unit"][order[first]])
        missing: Counter[str] = Counter()
        funnel: dict[str, Counter[str]] = defaultdict(Counter)
        for surveyed in found.values():
            missing.update(surveyed.not_applicable)
            for source, stages in surveyed.stages.items():
                funnel[source].update(stages)
        report = {
            "units": len(self.plan),
            "problems": len(lines),
            "duplicates": len(lines) - len(kept),
            "not_applicable": dict(missing),
            "funnel": self._funnel(funnel),
        }
        self.folder.save_survey({"kept": kept}, report)
        return kept, report

    def _funnel(self, reached: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
        """Seeds that came at least as far as each stage, by source."""
        funnels = {}
        for source, opened in zip(self.workflow.sources, self.plan.sources, strict=True):
            stages = opened.stages()
            if stages:
                furthest = reached.get(source.kind, Counter())
                funnels[source.kind] = {s: sum(furthest[t] for t in stages[i:]) for i, s in enumerate(stages)}
        return funnels

    def _resume(self) -> dict[int, dict[str, Any]]:
        """The commits of an earlier start that still hold; those made under other settings are taken back."""
        records = self.folder.committed()
        stale = [r for r in records.values() if r["settings"] != self.settings]
        for record in stale:
            self.folder.retract(record)
            del records[record["bucket"]]
        for record in records.values():
            self._count(record)
        self.progress.resumed_buckets = len(records)
        if stale:
            self.progress.note = f"settings changed: {len(stale)} committed buckets are judged again"
        return records

    async def _make(self, kept: NDArray[Any], records: dict[int, dict[str, Any]]) -> None:
        by_bucket = np.split(kept, np.searchsorted(kept, np.arange(1, self.plan.buckets) * self.plan.bucket_units))
        todo = [b for b in range(self.plan.buckets) if b not in records and len(by_bucket[b])]
        self.progress.units = len(kept)
        self.progress.done_units = len(kept) - sum(len(by_bucket[b]) for b in todo)
        self._tell("making rows")

        async def make(bucket: int) -> None:
            units = tuple(int(u) for u in by_bucket[bucket])
            staged = self.folder.tmp / f"bucket-{bucket:06d}"
            task = Task("finish", bucket, units, folder=str(staged.absolute()))
            if self.queue is not None:
                requests, prepared = await self.executor.run(Task("prepare", bucket, units))
                replies = await all_replies(self.queue, requests)
                task = Task("finish", bucket, units, prepared.poison, replies, task.folder)
            record, _ = await self.executor.run(task)
            record["settings"] = self.settings
            total = sum(record["counts"].values())
            if total != len(units) * self.samples:
                raise DsgenError(f"bucket {bucket}: {len(units) * self.samples} samples planned, {total} accounted for")
            await asyncio.to_thread(self.folder.commit, record, staged)
            records[bucket] = record
            self._count(record)
            self.progress.done_units += len(units)
            self._tell("making rows")

        await each(todo, make, at_once=self._window())

    def _window(self) -> int:
        """Buckets open at a time: enough to feed every worker and every slot of the teacher, no more."""
        rows = self.teacher.slots * OVERBOOKING * 2
        return self.executor.workers + 1 + int(rows // self.plan.bucket_units)

    def _count(self, record: Mapping[str, Any]) -> None:
        self.progress.counts.update(record["counts"])
        self.progress.reasons.update(record["reasons"])

    def _tell(self, stage: str, *, units: int | None = None) -> None:
        progress = self.progress
        progress.stage = stage
        if units is not None:
            progress.units, progress.done_units = units, 0
        if self.queue is not None:
            progress.tokens, progress.in_flight = self.queue.tokens, self.queue.in_flight
            progress.journal_hits = self.queue.journal.hits
        self.listener(progress)

    def _settings(self) -> str:
        """A hash of what decides on a row beside its unit: the teacher and the validators."""
        # How the teacher is reached does not change what is asked of it.
        config = self.workflow.teacher.model_dump(mode="json", include=_ASKED)
        stamps = [[v.stamp, v.required] for v in self.workflow.validators]
        return digest(str(config), str(stamps), shipped_name().sha256, size=8).hex()

    def _finish(
        self, kept: NDArray[Any], survey: Mapping[str, Any], records: Mapping[int, Mapping[str, Any]]
    ) -> dict[str, Any]:
        counts: Counter[str] = Counter(accepted=0, rejected=0, quarantined=0)
        reasons: Counter[str] = Counter()
        tables: dict[str, Counter[str]] = defaultdict(Counter)
        patterns: dict[str, Counter[str]] = defaultdict(Counter)
        files: list[dict[str, Any]] = []
        for bucket in sorted(records):
            record = records[bucket]
            counts.update(record["counts"])
            reasons.update(record["reasons"])
            files += record["files"]
            for name, table in record["tables"].items():
                tables[name].update(table)
            for name, templates in record["patterns"].items():
                patterns[name].update(templates)
        counts["duplicate"] = survey["duplicates"] * self.samples
        planned = survey["problems"] * self.samples
        if sum(counts.values()) != planned:
            raise DsgenError(f"{planned} samples were planned and {sum(counts.values())} accounted for: {dict(counts)}")
        tokenizer = shipped_name()
        manifest = {
            "name": self.workflow.name,
            "seed": self.workflow.seed,
            "dsgen_version": dsgen.__version__,
            "identity": self.identity,
            "settings": self.settings,
            "workflow": self.workflow.model_dump(mode="json", exclude={"engine"}),
            "teacher": {"name": self.teacher.name, "why": self.why},
            "tokenizer": tokenizer._asdict(),
            "validators": [v.stamp for v in self.workflow.validators],
            "counts": {"planned": planned, **counts},
            "not_applicable": survey["not_applicable"],
            "reasons": dict(reasons.most_common()),
            "tables": {name: dict(table.most_common()) for name, table in tables.items()},
            "patterns": {name: [sum(t.values()), len(t)] for name, t in sorted(patterns.items())},
            "funnel": survey["funnel"],
            "files": files,
        }
        write_card(self.folder.root, manifest)
        self.folder.publish(self.folder.root / "manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        return manifest


_ASKED = {"kind", "model", "revision", "n", "temperature", "top_p", "max_tokens", "extra", "instructions"}


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error to tell of several that happened together: the user's own first."""
    flat: list[BaseException] = []
    stack: list[BaseException] = [group]
    while stack:
        error = stack.pop()
        if isinstance(error, BaseExceptionGroup):
            stack += error.exceptions
        else:
            flat.append(error)
    return next((e for e in flat if isinstance(e, UserError)), flat[0])


__all__ = ["Progress", "run"]
