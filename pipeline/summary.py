"""The lines that end a run, from its manifest."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dsgen.pipeline.dataset.card_teachers import percent
from dsgen.pipeline.terminal import one_line
from dsgen.pipeline.view import hit_rate, size

_REASONS = 5


def summary(manifest: Mapping[str, Any], out: str | Path) -> Iterator[str]:
    """What came out, why the rest did not, how teachers and engines did, where it is; safe for a terminal."""
    for line in _lines(manifest, out):
        indent = line[: len(line) - len(line.lstrip())]
        yield indent + one_line(line)


def _lines(manifest: Mapping[str, Any], out: str | Path) -> Iterator[str]:
    counts = manifest["counts"]
    yield (
        f"{counts['accepted']:,} accepted, {counts['rejected']:,} rejected, {counts['quarantined']:,} quarantined, "
        f"{counts['duplicate']:,} duplicate of {counts['planned']:,} planned"
    )
    reasons = list(manifest["reasons"].items())
    for reason, count in reasons[:_REASONS]:
        yield f"  {count:,} × {reason}"
    if len(reasons) > _REASONS:
        yield f"  {sum(n for _, n in reasons[_REASONS:]):,} for other reasons"
    for source, stages in manifest["funnel"].items():
        yield f"{source} lift funnel: " + " → ".join(f"{stage} {count:,}" for stage, count in stages.items())
    if manifest["not_applicable"]:
        missing = sum(manifest["not_applicable"].values())
        most = ", ".join(f"{n:,} {r}" for r, n in sorted(manifest["not_applicable"].items(), key=lambda i: -i[1])[:3])
        yield f"{missing:,} children do not exist ({most})"
    if manifest.get("teachers"):
        yield from _pass_rates(manifest.get("pass_rates") or {})
    yield from _session(manifest.get("session") or {})
    where = shlex.quote(str(out))
    if counts["quarantined"]:
        yield (
            f"{_many(counts['quarantined'], 'sample')} in quarantine: once the cause is mended, "
            f"`dsgen retry-quarantine {where}` has them made again"
        )
    held = size(sum(f["bytes"] for f in manifest["files"]))
    yield f"{out}: {_many(len(manifest['files']), 'file')}, {held}. Look at it with `dsgen show {where}`"


def _pass_rates(rates: Mapping[str, Mapping[str, tuple[int, int]]]) -> Iterator[str]:
    accepted: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    for teachers in rates.values():
        for teacher, (good, n) in teachers.items():
            accepted[teacher] += good
            judged[teacher] += n
    for teacher, n in judged.items():
        if n:
            yield f"pass rate of {teacher}: {percent(accepted[teacher], n)} of {n:,} judged samples"


def _session(session: Mapping[str, Any]) -> Iterator[str]:
    """What was counted since this start."""
    reports = session.get("teachers") or {}
    canaries = session.get("canaries") or {}
    for name, report in reports.items():
        yield f"{name}: {', '.join(_report(report, canaries.get(name)))}"
        for engine in report.get("engines") or ():
            if engine.get("gone"):
                yield f"  an engine was taken out: {engine['gone']}"
        if report.get("experts"):
            yield f"  experts: {_experts(report['experts'])}"
    cache = session.get("cache") or {}
    rate = hit_rate(cache)
    if rate is not None:
        tiers = ", ".join(f"{hits:,} {tier}" for tier, hits in cache.items() if tier != "misses")
        yield f"cache: {percent(rate)} of {sum(cache.values()):,} replies ({tiers})"


def _report(report: Mapping[str, Any], canaries: list[int] | None) -> Iterator[str]:
    engines = report.get("engines") or []
    slots = sum(e["slots"] for e in engines)
    busy = [e["occupancy"] for e in engines]
    yield f"{_many(report['asked'], 'row')} asked, {report['tokens']:,} tokens"
    if engines:
        each = f" ({percent(min(busy))} to {percent(max(busy))})" if len(engines) > 1 else ""
        mean = percent(sum(e["slots"] * e["occupancy"] for e in engines), slots)
        yield f"{_many(len(engines), 'engine')} {mean} busy{each}"
    deaths = sum(e["deaths"] for e in engines)
    if deaths:
        yield f"{_many(deaths, 'death')}, {_many(report['requeued'], 'row')} asked again"
    if canaries and canaries[1]:
        yield f"{canaries[0]:,} of {canaries[1]:,} canaries right"


def _experts(load: Mapping[str, Any]) -> str:
    figures = load.get("figures")
    if not figures or figures["utilisation"] is None:
        return f"load not known: {load.get('why_not') or 'nothing was counted'}"
    reached = "reached" if figures["reached"] else "not reached"
    dead, all_of_them = figures["dead_experts"], figures["experts"] * len(load["layers"])
    entropy = figures["gate_entropy"]
    return (
        f"{percent(figures['utilisation'])} utilisation at capacity factor {figures['capacity_factor']:g} "
        f"({100 * figures['target']:g} % is {reached}), Gini {figures['gini']:.3f}, {dead:,} of {all_of_them:,} dead, "
        f"gate entropy {'not known' if entropy is None else f'{entropy:.3f}'}"
    )


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
