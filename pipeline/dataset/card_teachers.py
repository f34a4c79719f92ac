"""The card's section on teachers: who wrote the solutions, how often they were right, how their engines fared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from dsgen.pipeline.dataset.markdown import digits, escaped, grid, of, span

_LAYERS = 8
"""Layers of a mixture of experts that get a line of their own."""
_NOT_KNOWN = "not known"
_LAST_START = "Of the last start only: what engines did in earlier ones is not in it."


def teachers(manifest: Mapping[str, Any]) -> str:
    """The section; empty when no model was asked."""
    models = [m for m in manifest.get("teachers") or [] if isinstance(m, Mapping)]
    if not models:
        return ""
    parts = ["## Teachers", _models(models), _pass_rates(manifest), *_session(of(manifest, "session"))]
    return "\n\n".join(part for part in parts if part)


def percent(part: float, whole: float = 1.0) -> str:
    """A share with one digit after the point."""
    return f"{100 * part / whole:.1f} %" if whole else "—"


def _expert_lines(load: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The figures of an expert load, each with its name; a load that is not known says why."""
    figures = of(load, "figures")
    if not figures:
        yield "expert load", f"{_NOT_KNOWN}: {load.get('why_not') or 'the engine does not tell'}"
        return
    used, target = figures.get("utilisation"), float(figures.get("target") or 0)
    reached = "is reached" if figures.get("reached") else "is not reached"
    said = _NOT_KNOWN if used is None else f"{percent(used)}; {100 * target:g} % {reached}"
    yield f"utilisation at capacity factor {figures.get('capacity_factor', 0):g}", said
    yield "Gini coefficient, mean over layers", _three(figures.get("gini"))
    dead, experts, layers = figures.get("dead_experts"), int(figures.get("experts") or 0), load.get("layers") or ()
    yield "dead experts", _NOT_KNOWN if dead is None else f"{digits(dead)} of {digits(experts * len(layers))}"
    yield "gate entropy (1: prefers no expert, 0: always sure), mean over layers", _three(figures.get("gate_entropy"))


def _models(models: Sequence[Mapping[str, Any]]) -> str:
    head = ("teacher", "model", "revision", "samples", "temperature", "top_p", "max_tokens", "takes")
    rows = []
    for model in models:
        rows.append(
            (
                escaped(model.get("name") or f"{model.get('kind')}:{model.get('model')}"),
                span(model.get("model") or "—"),
                span(model["revision"]) if model.get("revision") else "not named",
                model.get("n", 1),
                *(escaped(model.get(key, "—")) for key in ("temperature", "top_p")),
                model.get("max_tokens", "—"),
                escaped(_takes(model)),
            )
        )
    text = grid(head, rows, raw=True)
    further = [
        (r[0], span(json.dumps(m["extra"], ensure_ascii=False)))
        for r, m in zip(rows, models, strict=True)
        if m.get("extra")
    ]
    return text + "".join(f"\n\nFurther sampling of {name}: {extra}." for name, extra in further)


def _takes(model: Mapping[str, Any]) -> str:
    parts = [", ".join(map(str, model.get("families") or ()))]
    if model.get("steps"):
        parts.append("{} to {} operations".format(*model["steps"]))
    return "; ".join(part for part in parts if part) or "everything"


def _pass_rates(manifest: Mapping[str, Any]) -> str:
    rates = of(manifest, "pass_rates")
    together: dict[str, list[int]] = {}
    rows: list[tuple[Any, ...]] = []
    for family, by_teacher in sorted(rates.items()):
        for teacher, (accepted, judged) in sorted(by_teacher.items()):
            rows.append((family, teacher, percent(accepted, judged), judged))
            whole = together.setdefault(teacher, [0, 0])
            whole[0] += accepted
            whole[1] += judged
    if not rows:
        return ""
    top = [("all", teacher, percent(a, n), n) for teacher, (a, n) in sorted(together.items())]
    return (
        "### Pass rates\n\nThe share of judged samples that were accepted, over all starts. Samples in quarantine were "
        "not judged. A rate of few samples says little.\n\n"
        + grid(("family", "teacher", "accepted", "n"), [*top, *rows])
    )


def _session(session: Mapping[str, Any]) -> Iterator[str]:
    reports = {name: report for name, report in of(session, "teachers").items() if isinstance(report, Mapping)}
    cache = of(session, "cache")
    if not reports and not cache:
        return
    yield f"### Engines\n\n{_LAST_START}"
    if reports:
        head = ("teacher", "engines", "rows asked", "tokens", "asked again", "deaths", "busy", "canaries right")
        canaries = of(session, "canaries")
        yield grid(head, [(name, *_engines(report), _canaries(canaries.get(name))) for name, report in reports.items()])
        yield "Asked again: rows whose engine died. Busy: the share of an engine's slots that held a row."
    found = sum(cache.values())
    if found:
        tiers = ", ".join(f"{escaped(tier)} {digits(hits)}" for tier, hits in cache.items() if tier != "misses")
        hits = found - cache.get("misses", 0)
        yield f"Replies from the cache: {digits(hits)} of {digits(found)} ({percent(hits, found)}; {tiers})."
    for name, report in reports.items():
        if of(report, "experts"):
            yield _experts(name, of(report, "experts"))


def _engines(report: Mapping[str, Any]) -> tuple[Any, ...]:
    engines = report.get("engines") or []
    slots = sum(e.get("slots", 0) for e in engines)
    busy = sum(e.get("slots", 0) * e.get("occupancy", 0.0) for e in engines)
    out = sum(bool(e.get("gone")) for e in engines)
    deaths = sum(e.get("deaths", 0) for e in engines)
    asked = (report.get("asked", 0), report.get("tokens", 0), report.get("requeued", 0))
    return (f"{len(engines)}, {out} taken out" if out else len(engines), *asked, deaths, percent(busy, slots))


def _canaries(canaries: Sequence[int] | None) -> str:
    return f"{digits(canaries[0])} of {digits(canaries[1])}" if canaries and canaries[1] else "none asked"


def _experts(name: str, load: Mapping[str, Any]) -> str:
    figures = of(load, "figures")
    title = f"### Experts of {escaped(name)}\n\n"
    if not figures:
        (_, why) = next(_expert_lines(load))
        return f"{title}The load is {escaped(why)}."
    layers, counts = load.get("layers") or (), load.get("counts") or ()
    text = (
        f"{title}Of the last start only. {digits(figures.get('experts', 0))} experts in each of {len(layers)} layers, "
        f"{load.get('top_k')} of them a token; up to {digits(figures.get('tokens', 0))} tokens went through a layer. "
        "Utilisation: the share of assignments that fit when every expert takes at most the capacity factor times an "
        "even share.\n\n"
    )
    rows = list(_expert_lines(load))
    everything = sorted(count for row in counts for count in row)
    if everything:
        rows.append(("tokens of an expert in a layer: least, median, most", _spread(everything)))
    text += grid(("", ""), rows)
    if len(counts) != len(layers) or not everything:
        return text
    used, ginis = figures.get("utilisation_by_layer") or (), figures.get("gini_by_layer") or ()
    if len(used) != len(layers) or len(ginis) != len(layers):
        return text
    order = sorted(range(len(layers)), key=lambda i: (-ginis[i], i))[:_LAYERS]
    head = ("layer", "utilisation", "Gini", "tokens of an expert: least, median, most", "dead")
    lines = [
        (
            str(layers[i]),
            _NOT_KNOWN if used[i] is None else percent(used[i]),
            _three(ginis[i]),
            _spread(sorted(counts[i])),
            list(counts[i]).count(0),
        )
        for i in order
    ]
    most = f"The {_LAYERS} least even layers" if len(layers) > _LAYERS else "By layer, the least even first"
    return f"{text}\n\n{most}:\n\n{grid(head, lines)}"


def _spread(counts: Sequence[int]) -> str:
    return ", ".join(digits(round(count)) for count in (counts[0], median(counts), counts[-1]))


def _three(value: float | None) -> str:
    return _NOT_KNOWN if value is None else f"{value:.3f}"
