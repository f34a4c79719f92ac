"""From a judged candidate to a row, and from rows to Parquet files by length bucket."""

from __future__ import annotations

import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from dsgen.pipeline.core.candidate import Candidate, Status, Verdict
from dsgen.pipeline.core.tokens import Tokenizer
from dsgen.pipeline.dataset.patterns import tag
from dsgen.pipeline.dataset.schema import BUCKETS, QUARANTINE, REJECTED, SCHEMA, bucket_of

TOO_LONG = "longer_than_256k"


class Bucket:
    """The rows of one commit, gathered and counted."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.accepted: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
        self.rejected: list[tuple[Any, ...]] = []
        self.quarantined: list[tuple[Any, ...]] = []
        self.counts: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()
        self.tables: dict[str, Counter[str]] = defaultdict(Counter)
        self.patterns: dict[str, Counter[str]] = defaultdict(Counter)
        self.passes: dict[str, dict[str, list[int]]] = defaultdict(dict)

    def add(self, candidate: Candidate, verdicts: Mapping[str, Verdict], required: Sequence[str], ids: _Ids) -> None:
        """Accept or reject a candidate by its required verdicts."""
        problem = candidate.problem
        statement = problem.statement
        count = self.tokenizer.count
        statement_tokens = count(statement)
        solution_tokens = count(candidate.solution) + (count(candidate.reasoning) if candidate.reasoning else 0)
        bucket = bucket_of(statement_tokens + solution_tokens)
        against = next(
            ((name, verdicts[name]) for name in required if name in verdicts and verdicts[name].status != Status.PASS),
            None,
        )
        reason = f"{against[0]}:{against[1].reason}" if against else "" if bucket else f"length:{TOO_LONG}"
        tags, evidence = tag(problem, verdicts) if not reason else ((), "{}")
        derivation = problem.derivation
        answer = problem.answer
        lineage = problem.lineage
        mutators = [m.mutator.partition("/")[0] for m in lineage.mutations]
        rate = self.passes[problem.family or "unknown"].setdefault(candidate.teacher, [0, 0])
        rate[0] += not reason
        rate[1] += 1
        unit_id, sample = ids
        row = (
            f"{unit_id}-{sample}",
            statement,
            candidate.solution,
            answer.show(),
            answer.kind,
            _json(answer.to_data()),
            candidate.reasoning,
            candidate.teacher,
            str(problem.tier),
            problem.family,
            problem.form,
            tags,
            evidence,
            mutators,
            bucket or "",
            statement_tokens,
            solution_tokens,
            len(derivation.nodes) if derivation else None,
            derivation.depth() if derivation else None,
            problem.id,
            unit_id,
            lineage.seed,
            _json(lineage.to_data()),
            _json(derivation.to_data()) if derivation else "",
            _json({name: _verdict(v) for name, v in verdicts.items()}),
        )
        if reason:
            self.counts["rejected"] += 1
            self.reasons[reason] += 1
            self.rejected.append((*row, reason.partition(":")[0], reason.partition(":")[2]))
            return
        assert bucket is not None
        self.counts["accepted"] += 1
        self.accepted[bucket].append(row)
        tables = self.tables
        tables["source"][lineage.source] += 1
        tables["mutator"]["+".join(mutators) or "seed"] += 1
        tables["form"][problem.form] += 1
        tables["tier"][str(problem.tier)] += 1
        tables["family"][problem.family or "unknown"] += 1
        tables["length_bucket"][bucket] += 1
        tables["answer_type"][answer.kind] += 1
        tables["teacher"][candidate.teacher] += 1
        template = lineage.seed.partition("#")[0]
        for pattern in tags:
            self.patterns[pattern][template] += 1

    def quarantine(self, unit_id: str, seed_id: str, mutator: str, stage: str, reason: str, detail: str) -> None:
        """Set a unit aside that could be neither accepted nor rejected."""
        self.counts["quarantined"] += 1
        self.reasons[f"quarantine:{reason}"] += 1
        self.quarantined.append((unit_id, seed_id, mutator, stage, reason, detail))

    def files(self, number: int) -> tuple[list[dict[str, Any]], dict[str, bytes]]:
        """The files of the commit: what its record says of them, and their bytes by path in the dataset."""
        name = f"part-{number:06d}.parquet"
        made = [
            _parquet(f"data/{bucket}/{name}", SCHEMA, self.accepted[bucket], "data")
            for bucket, _ in BUCKETS
            if self.accepted[bucket]
        ]
        if self.rejected:
            made.append(_parquet(f"rejected/{name}", REJECTED, self.rejected, "rejected"))
        if self.quarantined:
            made.append(_parquet(f"quarantine/{name}", QUARANTINE, self.quarantined, "quarantine"))
        return [record for record, _ in made], {record["path"]: raw for record, raw in made}

    def summary(self) -> dict[str, Any]:
        """The counts as JSON data."""
        return {
            "counts": dict(self.counts),
            "reasons": dict(self.reasons),
            "tables": {name: dict(table) for name, table in self.tables.items()},
            "patterns": {name: dict(templates) for name, templates in self.patterns.items()},
            "passes": {family: dict(rates) for family, rates in self.passes.items()},
        }


_Ids = tuple[str, int]


def _json(data: Any) -> str:
    return orjson.dumps(data).decode()


def _verdict(verdict: Verdict) -> dict[str, Any]:
    data: dict[str, Any] = {"status": str(verdict.status), "reason": verdict.reason}
    if verdict.detail:
        data["detail"] = verdict.detail
    if verdict.decided_by:
        data["decided_by"] = verdict.decided_by
    if verdict.evidence:
        data["evidence"] = dict(verdict.evidence)
    return data


def _parquet(path: str, schema: pa.Schema, rows: list[tuple[Any, ...]], kind: str) -> tuple[dict[str, Any], bytes]:
    # Sorted by id, so that the bytes do not depend on the order in which a teacher answered.
    rows.sort(key=lambda row: row[0])
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), schema, strict=True)]
    buffer = io.BytesIO()
    pq.write_table(
        pa.Table.from_arrays(columns, schema=schema),
        buffer,
        compression="zstd",
        write_page_index=True,
        use_content_defined_chunking=True,
    )
    raw = buffer.getvalue()
    sha256 = hashlib.sha256(raw).hexdigest()
    return {"path": path, "kind": kind, "rows": len(rows), "bytes": len(raw), "sha256": sha256}, raw
