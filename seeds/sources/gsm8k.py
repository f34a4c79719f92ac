"""Seeds from GSM8K records; those whose calculator annotations can be executed again are lifted to programs."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.errors import SourceError
from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.program import Origin
from dsgen.pipeline.core.source import Seed, SeedSet, Source
from dsgen.seeds.text.files import Records as File
from dsgen.seeds.text.record import as_problem

LIFT_VERSION = 2
"""Raised with every change of what lifts or of what a lift draws, so that older rows are told apart."""

STAGES = ("read", "annotated", "reproduced", "unambiguous", "lifted")


class Gsm8k(Source):
    """Records with ``question`` and ``answer`` in the style of GSM8K's train file.

    A record that does not lift stays text: with ``unlifted: keep`` it goes to the teacher as it is, with ``drop`` it
    is only counted.
    """

    kind: Literal["gsm8k"] = "gsm8k"
    path: str = "gsm8k_train_500.jsonl"
    limit: int | None = Field(default=None, ge=1)
    unlifted: Literal["keep", "drop"] = "keep"

    def open(self) -> Gsm8kSeeds:
        records = File(self.path, ("question", "answer"), limit=self.limit)
        records.check()
        for index in range(len(records)):
            record = records[index]
            if not isinstance(record["question"], str) or "####" not in str(record["answer"]):
                raise SourceError(
                    f"{records.path}, record {index + 1}: GSM8K style wants a text `question` and an `answer` that "
                    "ends in `#### gold`; for other styles use `kind: records`"
                )
        return Gsm8kSeeds(records, keep=self.unlifted == "keep")


class Gsm8kSeeds(SeedSet):
    """One seed a record."""

    def __init__(self, records: File, *, keep: bool) -> None:
        self.records = records
        self.keep = keep
        self.fingerprint = digest(records.sha256, LIFT_VERSION).hex()

    def __len__(self) -> int:
        return len(self.records)

    def seed_id(self, index: int) -> str:
        return f"{self.records.path.stem}/{index}"

    def stages(self) -> tuple[str, ...]:
        return STAGES

    def seed(self, index: int, key: Key) -> Seed:
        # Every workflow loads this module to know its kind; few read GSM8K, and lifting is a good deal of code.
        from dsgen.seeds.text.lift import NotLifted, lift  # noqa: PLC0415
        from dsgen.seeds.text.lifted import LiftedProgram  # noqa: PLC0415

        record = self.records[index]
        name = self.seed_id(index)
        gold = record["answer"].rpartition("####")[2].strip()
        text = as_problem("gsm8k", name, record["question"], gold, key, family="arithmetic", reader=LIFT_VERSION)
        lifted = lift(record["question"], record["answer"])
        if isinstance(lifted, NotLifted):
            return Seed(text if self.keep else NotApplicable(f"not_lifted:{lifted.reason}"), lifted.stage)
        program = LiftedProgram(name, lifted)
        try:
            problem = program.pose(program.original(), Origin(text.lineage, text.draw))
        except Degenerate:
            return Seed(text if self.keep else NotApplicable("not_lifted:degenerate"), "unambiguous")
        return Seed(problem, "lifted")
