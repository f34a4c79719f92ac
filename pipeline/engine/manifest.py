"""The manifest of a finished run: all commits added up, and the sum checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from dsgen.pipeline.core.errors import DsgenError


def added_up(records: Mapping[int, Mapping[str, Any]], survey: Mapping[str, Any], samples: int) -> dict[str, Any]:
    """Counts, reasons, tables, pass rates and files over all commit records.

    Raises:
        DsgenError: the sum does not come out, which would be a lost row.
    """
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
    counts["duplicate"] = survey["duplicates"] * samples
    planned = survey["problems"] * samples
    if sum(counts.values()) != planned:
        raise DsgenError(f"{planned} samples were planned and {sum(counts.values())} accounted for: {dict(counts)}")
    return {
        "counts": {"planned": planned, **counts},
        "not_applicable": survey["not_applicable"],
        "reasons": dict(reasons.most_common()),
        "tables": {name: dict(table.most_common()) for name, table in tables.items()},
        "patterns": {name: [sum(t.values()), len(t)] for name, t in sorted(patterns.items())},
        "pass_rates": pass_rates(records),
        "files": files,
    }


def pass_rates(records: Mapping[int, Mapping[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """Family → teacher → [accepted, judged] samples over commit records."""
    rates: dict[str, dict[str, list[int]]] = {}
    for bucket in sorted(records):
        for family, teachers in records[bucket]["passes"].items():
            for teacher, (accepted, judged) in teachers.items():
                rate = rates.setdefault(family, {}).setdefault(teacher, [0, 0])
                rate[0] += accepted
                rate[1] += judged
    return {family: dict(sorted(rates[family].items())) for family in sorted(rates)}
