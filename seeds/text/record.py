"""A text record as a problem: statement and gold answer, no derivation."""

from __future__ import annotations

from hashlib import sha256

from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.core.reading.compare import answer_from_text


def as_problem(
    source: str, seed: str, question: str, gold: str, key: Key, *, family: str = "", reader: int = 1
) -> Problem:
    """The record as it stands, in tier ``agreed``: the gold answer is the source's word.

    ``reader`` is the version of what turns the record into problems; with another one its rows cannot be rebuilt.
    """
    stamp = sha256(f"{reader}\x00{question}\x00{gold}".encode()).hexdigest()[:16]
    return Problem(
        parts=(Part("text", question.strip()),),
        answer=answer_from_text(gold),
        lineage=Lineage(source, seed, stamp, key.raw.hex()),
        tier=Tier.AGREED,
        family=family,
    )
