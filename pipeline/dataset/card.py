"""The dataset card: ``README.md`` with the configs that ``load_dataset`` reads, and all that a reader must know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from dsgen.pipeline.core.keys import digest
from dsgen.pipeline.dataset.card_teachers import teachers
from dsgen.pipeline.dataset.markdown import digits, escaped, grid, of, plain, span
from dsgen.pipeline.dataset.pattern_rules import COVERED_ROWS, COVERED_TEMPLATES, coverage, families, patterns
from dsgen.pipeline.dataset.schema import BUCKETS

LICENCES: Mapping[str, str] = {
    "templates": "dsgen's own executable templates: Apache-2.0.",
    "gsm8k": "GSM8K (Cobbe et al., 2021, https://github.com/openai/grade-school-math): MIT, © 2021 OpenAI.",
}
"""What is known of the licences of sources, by kind."""

_CONFIG_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")
_ACCEPTED = "data/**/*.parquet"


def write_card(out: Path, manifest: Mapping[str, Any]) -> None:
    """Write ``README.md`` into a dataset's folder, replacing an older one at once."""
    path = out / "README.md"
    fresh = path.with_name("README.md.new")
    fresh.write_text(card(manifest), encoding="utf-8")
    fresh.replace(path)


def card(manifest: Mapping[str, Any]) -> str:
    """The card's text."""
    parts = [
        _opening(manifest),
        _loading(manifest),
        _counts(manifest),
        _tables(manifest),
        _trust(manifest),
        teachers(manifest),
        _rejected(manifest),
        _patterns(manifest),
        _funnel(manifest),
        _origin(manifest),
        _licences(manifest),
    ]
    body = "\n\n".join(part for part in parts if part)
    front = yaml.safe_dump(_front(manifest), sort_keys=False, allow_unicode=True, width=1000)
    return f"---\n{front}---\n\n{body}\n"


def configs(manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The configs of the front matter.

    Length buckets are folders. A task form or a tier is a column, so its config reads all accepted files with a
    ``filters`` parameter, which ``datasets`` hands to its Parquet reader. Every config names its files, ``default``
    first: where none is the default, ``datasets`` would take every file that it finds, rejected rows included.

    ``datasets`` keeps what it has read by the text of these configs alone. The default's description holds a digest of
    the files, so that a folder with new rows is read again.
    """
    tables = of(manifest, "tables")
    paths = [(str(f.get("path")), str(f.get("sha256"))) for f in manifest.get("files") or []]
    held = digest(*[part for path in sorted(paths) for part in path], size=8).hex()
    made = [_config("default", _ACCEPTED, default=True, description=f"All accepted rows; files {held}.")]
    lengths = of(tables, "length_bucket")
    made += [_config(f"length_{name}", f"data/{name}/*.parquet") for name, _ in BUCKETS if lengths.get(name)]
    for column in ("form", "tier"):
        for value, rows in sorted(of(tables, column).items()):
            if rows and _CONFIG_NAME.fullmatch(value):
                made.append(_config(f"{column}_{value}", _ACCEPTED, filters=[[column, "==", value]]))
    if of(manifest, "counts").get("rejected"):
        made.append(_config("rejected", "rejected/*.parquet"))
    return made


def _config(name: str, path: str, **more: Any) -> dict[str, Any]:
    return {"config_name": name, "data_files": [{"split": "train", "path": path}], **more}


def _front(manifest: Mapping[str, Any]) -> dict[str, Any]:
    accepted = int(of(manifest, "counts").get("accepted", 0))
    sizes = [(10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M")]
    return {
        "pretty_name": plain(manifest.get("name", "")) or "dsgen dataset",
        "language": ["en"],
        "task_categories": ["question-answering", "text-generation"],
        "tags": ["reasoning", "synthetic", "verified", "dsgen"],
        "size_categories": [next((name for bound, name in sizes if accepted < bound), "10M<n<100M")],
        "configs": configs(manifest),
    }


def _opening(manifest: Mapping[str, Any]) -> str:
    counts = of(manifest, "counts")
    return (
        f"# {escaped(manifest.get('name', '')) or 'dsgen dataset'}\n\n"
        f"{digits(counts.get('accepted', 0))} reasoning problems with worked solutions and checked answers, made by "
        f"dsgen {escaped(manifest.get('dsgen_version', ''))}. Every row carries how it was made (`lineage`), why its "
        "answer is right (`derivation`) and what each validator said (`verdicts`).\n\n"
        "`dsgen verify FOLDER` makes the rows again from their lineage and compares."
    )


def _loading(manifest: Mapping[str, Any]) -> str:
    names = [f"`{c['config_name']}`" for c in configs(manifest)]
    filtered = next((c for c in configs(manifest) if "filters" in c), None)
    example = f'\nchosen = load_dataset(FOLDER, "{filtered["config_name"]}", split="train")' if filtered else ""
    return (
        "## Loading\n\n```python\nfrom datasets import load_dataset\n\n"
        f'rows = load_dataset(FOLDER, split="train"){example}\n'
        'hard = load_dataset(FOLDER, split="train", filters=[("depth", ">=", 8), ("family", "==", "algebra")])\n```\n\n'
        f"Configs: {', '.join(names)}. `default` holds all accepted rows, `length_…` one length bucket, `form_…` one "
        "task form and `tier_…` one trust tier. Length buckets are folders; forms and tiers are filters on a column, "
        "which `datasets` applies (5.0 or later), and any other column can be filtered the same way, as the last line "
        "of the example does. A reader that does not know `filters` shows all accepted rows instead: filter by the "
        "column `form` or `tier` there. Rejected rows are in a config of their own and never in the default.\n\n"
        "`id`, `statement`, `solution` and `answer` are plain strings; `answer_json` is the typed answer."
    )


def _counts(manifest: Mapping[str, Any]) -> str:
    counts = of(manifest, "counts")
    ends = ("accepted", "rejected", "quarantined", "duplicate")
    planned = counts.get("planned", 0)
    total = sum(counts.get(end, 0) for end in ends)
    adds = "They add up" if total == planned else f"They do not add up: {digits(total)} are accounted for"
    text = f"## Counts\n\nEvery planned sample ends in exactly one of four. {adds}.\n\n"
    text += grid(("status", "samples"), [*((e, counts.get(e, 0)) for e in ends), ("**planned**", planned)], raw=True)
    missing = of(manifest, "not_applicable")
    if missing:
        text += "\n\nPlaces in the plan for which a mutator had no child; they are not samples.\n\n"
        text += grid(("reason", "units"), missing.items())
    return text


def _tables(manifest: Mapping[str, Any]) -> str:
    titles = {
        "source": "source",
        "mutator": "mutators",
        "form": "task form",
        "tier": "trust tier",
        "family": "family",
        "length_bucket": "length bucket",
        "answer_type": "answer type",
    }
    tables = of(manifest, "tables")
    bounds = ", ".join(f"{name} ≤ {digits(bound)}" for name, bound in BUCKETS)
    text = (
        "## Accepted rows\n\nLength buckets are upper bounds on the tokens of statement and solution: " + bounds + "."
    )
    for key, title in titles.items():
        table = dict(of(tables, key))
        if key == "length_bucket":
            table = {name: table[name] for name, _ in BUCKETS if name in table}
        if table:
            text += "\n\n" + grid((title, "rows"), table.items())
    return text


def _trust(manifest: Mapping[str, Any]) -> str:
    teacher = of(manifest, "teacher")
    name = str(teacher.get("name", "unknown"))
    why = f" Why this teacher: {escaped(teacher['why'])}." if teacher.get("why") else ""
    wrote = (
        "Solutions are rendered from exact derivations. No model wrote or rewrote them."
        if name == "derivation"
        else "Solutions are this teacher's own text, accepted by the validators below."
    )
    stamps = manifest.get("validators") or []
    judged = "\n".join(f"* {span(stamp)}" for stamp in stamps) or "No validator is recorded."
    return (
        f"## Trust\n\n**Teacher: {escaped(name)}.** {wrote}{why}\n\nValidators:\n\n{judged}\n\n"
        "Tiers say why an answer may be believed: `exact` (an executed program over exact types that agrees with an "
        "independent second solver), `certified` (a witness or an exhausted domain, checked again), `lifted` (a text "
        "source's own annotated derivation, executed again), `agreed` (no program: the source's or the teachers' "
        "word).\n\n"
        "Only the tiers `exact` and `certified` count towards an error-rate claim. No independent oracle has been run, "
        "so no bound is claimed."
    )


def _rejected(manifest: Mapping[str, Any]) -> str:
    reasons = of(manifest, "reasons")
    if not reasons:
        return ""
    rows = sorted(reasons.items(), key=lambda item: (-item[1], item[0]))
    return "## Not accepted, by reason\n\nRejected rows are kept as negatives.\n\n" + grid(("reason", "samples"), rows)


def _patterns(manifest: Mapping[str, Any]) -> str:
    counts = {name: (int(rows), int(templates)) for name, (rows, templates) in of(manifest, "patterns").items()}
    known = [p for p in patterns() if p.id in counts]
    covered, defined = coverage({p.id: counts[p.id] for p in known})
    titles = families()
    rows = [(p.id, titles[p.family], *counts[p.id], "yes" if covers(counts[p.id]) else "no") for p in known]
    text = (
        f"## Reasoning patterns\n\n**{covered} of {defined} patterns are covered**: at least {COVERED_ROWS} accepted "
        f"rows from at least {COVERED_TEMPLATES} templates. {len(known)} occur. A pattern is assigned only if its rule "
        "matches what the answer depends on and the checks that suffice for it passed; `pattern_evidence` names both."
    )
    return f"{text}\n\n{grid(('pattern', 'family', 'rows', 'templates', 'covered'), rows)}" if rows else text


def covers(counts: tuple[int, int]) -> bool:
    """Whether so many rows and templates cover a pattern."""
    return counts[0] >= COVERED_ROWS and counts[1] >= COVERED_TEMPLATES


def _funnel(manifest: Mapping[str, Any]) -> str:
    rows = []
    for source, stages in of(manifest, "funnel").items():
        for stage, value in stages.items() if isinstance(stages, Mapping) else [("", stages)]:
            inner = value.items() if isinstance(value, Mapping) else [("", value)]
            rows += [(source, f"{stage} {name}".strip(), number) for name, number in inner]
    if not rows:
        return ""
    return (
        "## Lifting\n\nHow many records of a text source came at least as far as each stage on the way to a "
        "derivation.\n\n" + grid(("source", "stage", "records"), rows)
    )


def _origin(manifest: Mapping[str, Any]) -> str:
    tokenizer = of(manifest, "tokenizer")
    files: Sequence[Mapping[str, Any]] = manifest.get("files") or []
    rows = [
        ("dsgen version", manifest.get("dsgen_version")),
        ("run seed", manifest.get("seed")),
        ("identity", manifest.get("identity")),
        ("tokenizer", tokenizer.get("name")),
        ("tokenizer SHA-256", tokenizer.get("sha256")),
        ("files", f"{len(files)} ({digits(sum(f.get('bytes', 0) for f in files))} bytes)"),
    ]
    known = [(name, span(value)) for name, value in rows if value is not None]
    text = "## Provenance\n\n" + grid(("", ""), known, raw=True)
    text += "\n\n`manifest.json` lists every file with its rows, size and SHA-256."
    workflow = manifest.get("workflow")
    if workflow:
        shown = yaml.safe_dump(workflow, sort_keys=False, allow_unicode=True).rstrip()
        fence = "`" * max(3, 1 + max(map(len, re.findall(r"`+", shown)), default=0))
        text += f"\n\nThe workflow:\n\n{fence}yaml\n{shown}\n{fence}"
    return text


def _licences(manifest: Mapping[str, Any]) -> str:
    sources = [str(source) for source in of(of(manifest, "tables"), "source")]
    lines = [
        f"* {LICENCES[s] if s in LICENCES else f'{escaped(s)}: the terms of its publisher, which dsgen does not know.'}"
        for s in sources
    ]
    return "## Licences of the sources\n\n" + "\n".join(lines) if lines else ""
