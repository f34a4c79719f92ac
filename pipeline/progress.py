"""Progress of a run: a live line on a terminal, plain lines in a pipe; and the summary at its end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dsgen.pipeline.engine.run import Progress

_PLAIN_EVERY_S = 5.0


class Reporter:
    """A listener of a run. Quiet between changes; never more than a line every few seconds into a pipe."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.started = time.monotonic()
        self.last = 0.0
        self.stage = ""
        self.note = ""
        self.live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> Reporter:
        if self.live:
            self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.live:
            self.live.stop()

    def __call__(self, progress: Progress) -> None:
        if progress.note and progress.note != self.note:
            self.note = progress.note
            self.console.print(progress.note, markup=False)
        line = self._line(progress)
        if self.live:
            self.live.update(Text(line))
            return
        now = time.monotonic()
        finished = progress.units and progress.done_units == progress.units
        if progress.stage != self.stage or finished or now - self.last >= _PLAIN_EVERY_S:
            self.stage, self.last = progress.stage, now
            self.console.print(line, markup=False)

    def _line(self, p: Progress) -> str:
        elapsed = time.monotonic() - self.started
        parts = [f"{elapsed:6.1f} s  {p.stage}"]
        if p.units:
            parts.append(f"{p.done_units:,}/{p.units:,} ({100 * p.done_units // p.units} %)")
        parts += [f"{name} {count:,}" for name, count in p.counts.items() if count]
        if p.slots:
            parts.append(f"teacher {p.in_flight} in flight of {p.slots} slots, {p.tokens:,} tokens")
        if p.journal_hits:
            parts.append(f"{p.journal_hits:,} from the journal")
        if p.resumed_buckets:
            parts.append(f"{p.resumed_buckets} buckets were there")
        return " · ".join(parts)


def summary(manifest: Mapping[str, Any], out: Path) -> Iterator[str]:
    """The lines that end a run."""
    counts = manifest["counts"]
    yield (
        f"{counts['accepted']:,} accepted, {counts['rejected']:,} rejected, {counts['quarantined']:,} quarantined, "
        f"{counts['duplicate']:,} duplicate of {counts['planned']:,} planned"
    )
    for source, stages in manifest["funnel"].items():
        yield f"{source} lift funnel: " + " → ".join(f"{stage} {count:,}" for stage, count in stages.items())
    for reason, count in list(manifest["reasons"].items())[:5]:
        yield f"  {count:,} × {reason}"
    if manifest["not_applicable"]:
        missing = sum(manifest["not_applicable"].values())
        most = ", ".join(f"{n:,} {r}" for r, n in sorted(manifest["not_applicable"].items(), key=lambda i: -i[1])[:3])
        yield f"{missing:,} children do not exist ({most})"
    size = sum(f["bytes"] for f in manifest["files"])
    yield f"{out}: {len(manifest['files'])} files, {size / 1e6:.1f} MB. Look at it with `dsgen show {out}`"
