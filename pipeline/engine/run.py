"""One run from workflow to manifest: survey, teachers, buckets, commits."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import orjson
from numpy.typing import NDArray

import dsgen
from dsgen.pipeline.core.errors import DatasetError, UserError
from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.core.operator import Consultant
from dsgen.pipeline.core.tokens import shipped_name
from dsgen.pipeline.dataset.card import card
from dsgen.pipeline.engine import executors
from dsgen.pipeline.engine.cache import ReplyCache
from dsgen.pipeline.engine.canaries import Canaries
from dsgen.pipeline.engine.executors import Executor
from dsgen.pipeline.engine.folder import Folder
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.manifest import added_up, pass_rates
from dsgen.pipeline.engine.plan import Plan
from dsgen.pipeline.engine.redis_tier import RedisTier
from dsgen.pipeline.engine.replies import Replies
from dsgen.pipeline.engine.routing import PassRates, name_of
from dsgen.pipeline.engine.schedule import ROWS_PER_SLOT, Window, each
from dsgen.pipeline.engine.status import Listener, Status
from dsgen.pipeline.engine.store import Missing, open_store
from dsgen.pipeline.engine.survey import funnels, survey
from dsgen.pipeline.engine.work import Finished, Task
from dsgen.pipeline.teachers.config import ModelConfig, resolve_auto
from dsgen.pipeline.workflow import Workflow, parse

_T = TypeVar("_T")
REDIS_URL = "DSGEN_REDIS_URL"
_ERRORS_FROM = 200
"""Samples after which the share of quarantined ones says something."""
_TELL_EVERY_S = 0.2
_ASKED = {
    "kind",
    "name",
    "families",
    "steps",
    "model",
    "revision",
    "n",
    "temperature",
    "top_p",
    "max_tokens",
    "extra",
    "instructions",
    "quantization",
    "reasoning_parser",
    "thinking_budget",
    "target",
    "options",
}
"""What decides on a teacher's replies; how it is reached or placed does not."""


def run(
    workflow: Workflow,
    out: str | Path,
    listener: Listener = lambda _: None,
    *,
    retry_quarantine: bool = False,
    pilot: int | None = None,
) -> dict[str, Any]:
    """Carry a workflow out into a folder, or go on with it, and return the manifest.

    With ``retry_quarantine`` the buckets that hold quarantined units are made again; their replies come from the
    journal, except those that failed. A ``pilot`` is a run of so many random units of the plan, in a folder of its own.

    Raises:
        UserError: whatever the user can mend; what was committed stays.
        DsgenError: the sums do not come out, which would be a lost row.
    """
    plan = workflow.plan()
    identity = workflow.identity() | {"source_contents": [s.fingerprint for s in plan.sources]}
    if pilot is not None:
        identity["pilot"] = pilot
    with Folder.locked(out, identity, notice=lambda text: listener(Status(note=text))) as folder:
        folder.publish("workflow.json", orjson.dumps(workflow.model_dump(mode="json"), option=orjson.OPT_INDENT_2))
        executor = executors.make(workflow)
        work = _Run(workflow, plan, identity, folder, executor, listener, retry_quarantine, pilot)
        try:
            with asyncio.Runner(loop_factory=_new_loop) as runner:
                return runner.run(_stoppable(work.go()))
        except asyncio.CancelledError:
            raise KeyboardInterrupt from None
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
        retry_quarantine: bool,
        pilot: int | None,
    ) -> None:
        self.why = ""
        if not workflow.teachers:
            resolved = resolve_auto(workflow.teacher, gpus=executor.gpus, environ=os.environ)
            workflow = workflow.model_copy(update={"teacher": resolved.config})
            self.why = resolved.why
        self.workflow = workflow
        self.plan = plan
        self.identity = identity
        self.folder = folder
        self.executor = executor
        self.listener = listener
        self.retry_quarantine = retry_quarantine
        self.pilot = pilot
        self.samples = workflow.samples
        self.consults = any(isinstance(v, Consultant) for v in workflow.validators)
        self.settings = self._settings()
        self.status = Status(note=self.why)
        self.replies: Replies | None = None
        self.canaries: list[Canaries] = []
        self.window = Window(self._open_rows(), workflow.engine.open_bytes)
        self.fresh: Counter[str] = Counter()
        self.told = 0.0

    async def go(self) -> dict[str, Any]:
        self._tell("starting workers")
        try:
            async with asyncio.TaskGroup() as driver:
                # Ends with an error, and the run with it, when another driver has taken the folder over.
                keeping = driver.create_task(self.folder.lease.keep())
                manifest = await self._drive()
                keeping.cancel()
            return manifest
        finally:
            try:
                await asyncio.gather(*[c.close() for c in self.canaries], return_exceptions=True)
                if self.replies is not None:
                    await self.replies.close()
            finally:
                await self.executor.close()

    async def _drive(self) -> dict[str, Any]:
        await self.executor.start(self.workflow)
        async with asyncio.TaskGroup() as group:
            # An engine takes minutes to load its weights; the survey needs none.
            group.create_task(self._start_teachers())
            surveying = group.create_task(self._survey())
        kept, report = surveying.result()
        records = self._resume()
        await self._make(kept, records)
        self._tell("writing the manifest")
        return await self._finish(report, records)

    async def _start_teachers(self) -> None:
        if not (self.workflow.models or (self.consults and self.workflow.judge)):
            return
        journal = await asyncio.to_thread(Journal, self.folder.store)
        url = os.environ.get(REDIS_URL) or self.workflow.engine.redis
        redis = RedisTier(url, notice=self._note) if url else None
        cache = ReplyCache(journal, redis)
        self.replies = replies = Replies(self.workflow, self.executor, cache, self._changed)
        await replies.start()
        for name, config in replies.configs.items():
            if config.canaries:
                watch = Canaries(name, config, replies.pools[name], self.plan, self.executor, self._note)
                self.canaries.append(watch)
                await watch.start()

    async def _survey(self) -> tuple[NDArray[Any], dict[str, Any]]:
        stored = self.folder.load_survey()
        if stored is not None:
            return stored[0]["kept"], stored[1]
        self._tell("surveying", units=len(self.plan))

        def done(units: int) -> None:
            self.status.done_units += units
            self._tell("surveying")

        kept, report = await survey(self.plan, self.executor, done, sample=self.pilot)
        await asyncio.to_thread(self.folder.save_survey, {"kept": kept}, report)
        return kept, report

    def _resume(self) -> dict[int, dict[str, Any]]:
        """The commits of an earlier start that still hold; the others are taken back."""
        records = self.folder.committed()
        stale = [r for r in records.values() if r["settings"] != self.settings]
        again = [r for r in records.values() if self.retry_quarantine and r["counts"].get("quarantined")]
        for record in {r["bucket"]: r for r in [*stale, *again]}.values():
            self.folder.retract(record)
            del records[record["bucket"]]
        for record in records.values():
            self._count(record)
        self.status.resumed_buckets = len(records)
        if stale:
            self._note(f"settings changed: {len(stale)} committed buckets are judged again")
        if again:
            self._note(f"{len(again)} buckets with quarantined units are made again")
        return records

    async def _make(self, kept: NDArray[Any], records: dict[int, dict[str, Any]]) -> None:
        units = self.plan.bucket_units
        starts = np.searchsorted(kept, np.arange(1, self.plan.buckets) * units)
        # A pilot's few units are spread over the whole plan; a bucket for each would measure commits only.
        by_bucket = np.split(kept, starts if self.pilot is None else np.arange(units, len(kept), units))
        filled = [b for b in range(len(by_bucket)) if len(by_bucket[b])]
        todo = [b for b in filled if b not in records]
        self.status.units = len(kept)
        self.status.done_units = len(kept) - sum(len(by_bucket[b]) for b in todo)
        self._tell("making rows")
        routing = self.workflow.routing
        measured = filled[: routing.pilot_buckets] if routing.by_pass_rate and len(self.workflow.models) > 1 else []

        async def rows(buckets: list[int], rates: PassRates | None, *, last: bool) -> None:
            async def make(bucket: int) -> None:
                units = tuple(int(u) for u in by_bucket[bucket])
                finished = await self._bucket(bucket, units, rates)
                await self._commit(bucket, finished, records)

            async def admit(bucket: int) -> None:
                await self.window.admit(bucket, len(by_bucket[bucket]))

            opened_all = self.replies.last_rows if last and self.replies is not None else lambda: None
            await each(buckets, make, admit=admit, opened_all=opened_all)

        await rows([b for b in todo if b in measured], None, last=False)
        rates = self._pass_rates(measured, records) if measured else None
        await rows([b for b in todo if b not in measured], rates, last=True)

    def _pass_rates(self, measured: list[int], records: Mapping[int, Mapping[str, Any]]) -> PassRates:
        """The pass rates of the measured buckets; learnt once, so that a resumed run routes the same way."""
        name = f"pass_rates-{self.settings}"
        known: PassRates | None = self.folder.load_state(name)
        if known is None:
            known = pass_rates({b: records[b] for b in measured})
            self.folder.save_state(name, known)
        return known

    async def _bucket(self, bucket: int, units: tuple[int, ...], rates: PassRates | None) -> Finished:
        task = Task("finish", bucket, units, rates=rates)
        if self.workflow.models:
            assert self.replies is not None
            preparing = Task("prepare", bucket, units, rates=rates)
            requests, prepared = await self.executor.run(preparing, urgent=self.replies.hungry)
            self.window.grow(bucket, sum(len(m.text) for r in requests for m in r.messages))
            replies = await self.replies.all(requests, bucket)
            self.window.grow(
                bucket, sum(len(c.text) + len(c.reasoning) for r in replies.values() for c in r.completions)
            )
            task = Task("finish", bucket, units, prepared.poison, replies, rates=rates)
        if self.consults and self.replies is not None:
            task = await self._consult(task)
        finished, _ = await self.executor.run(task)
        made: Finished = finished
        return made

    async def _consult(self, task: Task) -> Task:
        """The task with the answers to all that validators ask, round by round."""
        assert self.replies is not None
        answers: dict[str, Any] = {}
        while True:
            consulting = Task("consult", task.bucket, task.units, task.poison, task.replies, answers, task.rates)
            questions, done = await self.executor.run(consulting, urgent=True)
            task = Task("finish", task.bucket, task.units, done.poison, task.replies, answers, task.rates)
            if not questions:
                return task
            answers = {**answers, **await self.replies.all(questions, task.bucket)}

    async def _commit(self, bucket: int, finished: Finished, records: dict[int, dict[str, Any]]) -> None:
        record, files = finished
        record["settings"] = self.settings
        await asyncio.to_thread(self.folder.commit, record, files)
        records[bucket] = record
        self._count(record)
        self.window.leave(bucket)
        units = sum(record["counts"].values()) // self.samples
        self.status.done_units += units
        self.status.fresh_units += units
        self.fresh.update(record["counts"])
        self._tell("making rows")
        self._check_errors()

    def _check_errors(self) -> None:
        """End a run that only fills the quarantine: what it costs is not worth what it makes."""
        samples, bad = self.fresh.total(), self.fresh["quarantined"]
        limit = self.workflow.engine.max_error_rate
        if samples >= _ERRORS_FROM and bad > limit * samples:
            worst = [r for r, _ in self.status.reasons.most_common() if r.startswith("quarantine:")][:3]
            raise UserError(
                f"{bad:,} of {samples:,} samples went to quarantine, more than max_error_rate {limit:g} allows; most: "
                f"{', '.join(r.partition(':')[2] for r in worst)}. What was committed is intact: mend the cause and "
                "`dsgen retry-quarantine` does those again, or raise --max-error-rate"
            )

    def _open_rows(self) -> int:
        """Rows in open buckets: enough to feed every worker and to outlast the teacher's longest row, no more."""
        bucket = self.plan.bucket_units
        least = (self.executor.workers + 1) * bucket
        if not self.workflow.models:
            return least
        slots = sum(m.rows_at_once for m in self.workflow.models)
        return self.workflow.engine.open_rows or max(least, ROWS_PER_SLOT * slots)

    def _count(self, record: Mapping[str, Any]) -> None:
        self.status.counts.update(record["counts"])
        self.status.reasons.update(record["reasons"])

    def _note(self, text: str) -> None:
        self.status.note = text
        self._tell(self.status.stage)

    def _changed(self) -> None:
        """A reply came, which happens thousands of times a second: listeners are told a few times a second."""
        now = time.monotonic()
        if now - self.told >= _TELL_EVERY_S:
            self._tell(self.status.stage)

    def _tell(self, stage: str, *, units: int | None = None) -> None:
        self.told = time.monotonic()
        status = self.status
        status.stage = stage
        if units is not None:
            status.units, status.done_units = units, 0
        if self.replies is not None:
            self.replies.tell(status)
        status.open_rows, status.open_bytes = self.window.open_rows, self.window.open_bytes
        self.listener(status)

    def _settings(self) -> str:
        """A hash of what decides on a row beside its unit: teachers, judge and validators."""
        workflow = self.workflow
        asked = [_asked(m) for m in workflow.models] or ["derivation"]
        judge = [_asked(workflow.judge)] if workflow.judge and self.consults else []
        routing = workflow.routing.model_dump_json() if len(workflow.models) > 1 else ""
        stamps = [[v.stamp, v.required] for v in workflow.validators]
        return digest(str(asked), str(judge), routing, str(stamps), shipped_name().sha256, size=8).hex()

    async def _finish(self, report: Mapping[str, Any], records: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
        sums = added_up(records, report, self.samples)
        session: dict[str, Any] = {}
        if self.replies is not None:
            self.replies.tell(self.status)
            session = {"cache": self.status.cache, "teachers": await self.replies.report()}
            session["canaries"] = {c.name: [c.right, c.asked] for c in self.canaries}
        teachers = [m.model_dump(mode="json") for m in self.workflow.models]
        manifest = {
            "name": self.workflow.name,
            "seed": self.workflow.seed,
            "dsgen_version": dsgen.__version__,
            "identity": self.identity,
            "settings": self.settings,
            "workflow": self.workflow.model_dump(mode="json", exclude={"engine"}),
            "teacher": {"name": ", ".join(map(name_of, self.workflow.models)) or "derivation", "why": self.why},
            "teachers": teachers,
            "tokenizer": shipped_name()._asdict(),
            "validators": [v.stamp for v in self.workflow.validators],
            "surveyed": report["units"],
            "funnel": funnels([s.kind for s in self.workflow.sources], self.plan, report["furthest"]),
            **sums,
            "session": session,
        }
        self.folder.publish("README.md", card(manifest).encode())
        self.folder.publish("manifest.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        return manifest


async def _stoppable(work: Coroutine[Any, Any, _T]) -> _T:
    """Work that SIGTERM cancels: raised as an exception in the middle of the loop it would cut the clean-up short."""
    task = asyncio.current_task()
    if task is not None and threading.current_thread() is threading.main_thread():
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await work


def _new_loop() -> asyncio.AbstractEventLoop:
    """The faster event loop where there is one: not on Windows."""
    try:
        import uvloop  # noqa: PLC0415
    except ModuleNotFoundError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def resumable(out: str | Path) -> Workflow:
    """The workflow that was last carried out in a folder.

    Raises:
        DatasetError: there is none.
    """
    try:
        data = orjson.loads(open_store(out).read("workflow.json"))
    except Missing:
        raise DatasetError(f"{out}: no run of dsgen began here (there is no workflow.json)") from None
    return parse(data, f"{out}/workflow.json")


def _asked(config: ModelConfig) -> str:
    return str(config.model_dump(mode="json", include=_ASKED))


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


__all__ = ["Status", "resumable", "run"]
