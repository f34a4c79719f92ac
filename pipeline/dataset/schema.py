"""The columns of a dataset and its length buckets."""

from __future__ import annotations

import pyarrow as pa

BUCKETS: tuple[tuple[str, int], ...] = (
    ("2k", 2_048),
    ("16k", 16_384),
    ("64k", 65_536),
    ("128k", 131_072),
    ("256k", 262_144),
)
"""Length buckets: name and upper bound on the tokens of statement and solution together."""

SCHEMA = pa.schema(
    [
        # What any reader can use.
        pa.field("id", pa.string(), nullable=False),
        pa.field("statement", pa.string(), nullable=False),
        pa.field("solution", pa.string(), nullable=False),
        pa.field("answer", pa.string(), nullable=False),
        # Typed forms and tags.
        pa.field("answer_type", pa.string()),
        pa.field("answer_json", pa.string()),
        pa.field("reasoning", pa.string()),
        pa.field("teacher", pa.string()),
        pa.field("tier", pa.string()),
        pa.field("family", pa.string()),
        pa.field("form", pa.string()),
        pa.field("patterns", pa.list_(pa.string())),
        pa.field("pattern_evidence", pa.string()),
        pa.field("mutators", pa.list_(pa.string())),
        pa.field("length_bucket", pa.string()),
        pa.field("statement_tokens", pa.int32()),
        pa.field("solution_tokens", pa.int32()),
        pa.field("operations", pa.int32()),
        pa.field("depth", pa.int32()),
        # What proves the row and makes it again.
        pa.field("problem_id", pa.string()),
        pa.field("unit_id", pa.string()),
        pa.field("seed_id", pa.string()),
        pa.field("lineage", pa.string()),
        pa.field("derivation", pa.string()),
        pa.field("verdicts", pa.string()),
    ]
)

REJECTED = SCHEMA.append(pa.field("rejected_by", pa.string())).append(pa.field("reason", pa.string()))
"""Rejected rows: the same columns, and which validator's reason decided."""

QUARANTINE = pa.schema(
    [
        pa.field("unit_id", pa.string()),
        pa.field("seed_id", pa.string()),
        pa.field("mutator", pa.string()),
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("detail", pa.string()),
    ]
)


def bucket_of(tokens: int) -> str | None:
    """The smallest length bucket that holds so many tokens; ``None`` beyond the largest."""
    for name, bound in BUCKETS:
        if tokens <= bound:
            return name
    return None
