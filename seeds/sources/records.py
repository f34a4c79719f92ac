"""Seeds from any file of questions and answers: a field mapping, or the MATH style with its boxed solutions."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dsgen.pipeline.core.errors import SourceError
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.reading.final import boxes
from dsgen.pipeline.core.source import Seed, SeedSet, Source
from dsgen.seeds.text.files import Records as File
from dsgen.seeds.text.record import as_problem


class Records(Source):
    r"""JSON Lines or Parquet records with a question and an answer.

    ``style: math`` reads ``problem`` and takes the gold answer from ``answer`` or else from the last ``\boxed{}`` of
    ``solution``; ``style: fields`` reads the fields named by ``question`` and ``answer``.
    """

    kind: Literal["records"] = "records"
    path: str
    style: Literal["fields", "math"] = "fields"
    question: str = "question"
    answer: str = "answer"
    family: str = ""
    limit: int | None = Field(default=None, ge=1)

    def open(self) -> RecordSeeds:
        question = "problem" if self.style == "math" else self.question
        records = File(self.path, (question,) if self.style == "math" else (question, self.answer), limit=self.limit)
        records.check()
        opened = RecordSeeds(self, records, question)
        for index in range(len(records) if self.style == "math" else 0):
            opened.gold(index)
        return opened


class RecordSeeds(SeedSet):
    """One seed a record, all of them text."""

    def __init__(self, source: Records, records: File, question: str) -> None:
        self.source = source
        self.records = records
        self.question = question
        self.fingerprint = records.sha256

    def __len__(self) -> int:
        return len(self.records)

    def seed_id(self, index: int) -> str:
        return f"{self.records.path.stem}/{index}"

    def seed(self, index: int, key: Key) -> Seed:
        name, question = self.seed_id(index), str(self.records[index][self.question])
        return Seed(as_problem("records", name, question, self.gold(index), key, family=self.source.family))

    def gold(self, index: int) -> str:
        """The gold answer of a record.

        Raises:
            SourceError: a record in the style of MATH has none.
        """
        record = self.records[index]
        gold = str(record.get(self.source.answer, ""))
        if self.source.style == "fields" or gold:
            return gold
        found = boxes(str(record.get("solution", "")))
        if not found:
            raise SourceError(f"{self.records.path}, record {index + 1}: neither `answer` nor a boxed solution")
        return found[-1]
