"""A run's status as lines: a few for a terminal, drawn over and over, or a single one for a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.pace import Pace
from dsgen.pipeline.terminal import one_line

UNKNOWN = "—"
ENGINES, REASONS = 8, 4
"""Lines of single engines, and reasons, at most; the others are summed up."""
_DOT = " · "
_NARROW = 64
"""Columns below which there is no room for a bar."""
_CELLS = 10
"""Columns of an engine's bar."""
_NAME = 16
"""Columns that an engine's name gets when its troubles want more."""
_REASON = 29
"""Columns of a reason; two of them go on a line of a usual terminal."""


class View:
    """What is drawn: the status and the pace at the time of drawing."""

    def __init__(self, status: Status, pace: Pace) -> None:
        self.status = status
        self.pace = pace

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        grid = Table.grid(padding=(0, 1, 0, 0), expand=True)
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(ratio=1, no_wrap=True)
        stage = Text(one_line(self.status.stage), "bold")
        if options.max_width >= _NARROW:
            yield self._head(stage)
        else:
            grid.add_row("now", _Items([stage, *self._facts()]))
        for label, content in self._rows():
            grid.add_row(label, content)
        yield grid

    def _head(self, stage: Text) -> Table:
        s = self.status
        head = Table.grid(padding=(0, 1, 0, 0), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(s.units, s.done_units, complete_style="green") if s.units else Text()
        head.add_row(stage, bar, Text(_DOT).join(self._facts()))
        return head

    def _facts(self) -> list[Text]:
        s, spent = self.status, Text(f"after {duration(self.pace.elapsed_s)}")
        if not s.units:
            return [spent]
        done = [Text(f"{s.done_units:,}/{s.units:,}"), Text(f"{100 * s.done_units // s.units} %")]
        left = [Text(f"ETA {duration(self.pace.left_s)}")] if s.units > s.done_units else []
        return [*done, spent, *left]

    def _rows(self) -> Iterator[tuple[str, _Items | _Engines]]:
        s, pace = self.status, self.pace
        if s.counts.total():
            done = [f"{s.counts['accepted']:,} accepted", f"{s.counts['rejected']:,} rejected"]
            held = s.counts["quarantined"]
            yield (
                "samples",
                _Items(
                    [
                        Text(done[0], "green"),
                        Text(done[1]),
                        Text(f"{held:,} quarantined", "yellow" if held else ""),
                        Text(f"{per_second(pace.rows)} rows/s"),
                    ]
                ),
            )
        if s.reasons:
            yield "not accepted", _Items([Text(r) for r in _reasons(s)])
        if s.engines:
            yield (
                "tokens",
                _Items(
                    [
                        Text(f"{s.tokens:,}"),
                        Text(f"{per_second(pace.tokens)} tokens/s", "bold"),
                        Text(f"{s.asked:,} asked"),
                        Text(f"{s.in_flight:,} in flight"),
                        Text(f"{s.waiting:,} waiting"),
                        *([Text(f"{s.requeued:,} asked again", "yellow")] if s.requeued else []),
                    ]
                ),
            )
            yield "engines", _Engines(s.engines)
        if sum(s.cache.values()):
            yield "cache", _Items([Text(t) for t in _cache(s.cache)])
        if s.open_rows or s.resumed_buckets:
            kept = [Text(f"{s.resumed_buckets:,} buckets were there")] if s.resumed_buckets else []
            yield "open", _Items([Text(f"{s.open_rows:,} rows"), Text(size(s.open_bytes)), *kept])


def plain(status: Status, pace: Pace) -> str:
    """The status in one line."""
    s = status
    parts = [one_line(s.stage)]
    if s.units:
        parts.append(f"{s.done_units:,}/{s.units:,} ({100 * s.done_units // s.units} %)")
    parts += [f"{s.counts[end]:,} {end}" for end in ("accepted", "rejected", "quarantined") if s.counts[end]]
    if s.counts.total():
        parts.append(f"{per_second(pace.rows)} rows/s")
    if s.reasons:
        parts.append("most " + ", ".join(_reasons(s)[:1]))
    if s.engines:
        parts.append(f"{s.tokens:,} tokens, {per_second(pace.tokens)} tokens/s")
        parts.append(_together(s.engines))
    if sum(s.cache.values()):
        parts.append(f"cache {', '.join(_cache(s.cache))}")
    if s.resumed_buckets:
        parts.append(f"{s.resumed_buckets:,} buckets were there")
    if s.units > s.done_units:
        parts.append(f"ETA {duration(pace.left_s)}")
    return _DOT.join(parts)


def duration(seconds: float | None) -> str:
    """Hours, minutes and seconds, such as 1:02:03; days before them when there are any."""
    if seconds is None:
        return UNKNOWN
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days:,} d {hour:02}:{minute:02} h"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def per_second(rate: float | None) -> str:
    """A rate with as many digits as say something."""
    if rate is None:
        return UNKNOWN
    return f"{rate:,.0f}" if rate >= 10 or rate == 0 else f"{rate:.1f}"


def size(count: float) -> str:
    """Bytes in the unit that suits them."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"


def hit_rate(cache: dict[str, int]) -> float | None:
    """The share of replies that came from a tier of the cache."""
    asked = sum(cache.values())
    return (asked - cache.get("misses", 0)) / asked if asked else None


def _reasons(s: Status) -> list[str]:
    most = s.reasons.most_common(REASONS)
    shown = [f"{count:,} × {_short(one_line(reason), _REASON)}" for reason, count in most]
    others = s.reasons.total() - sum(count for _, count in most)
    return [*shown, f"{others:,} others"] if others else shown


def _cache(cache: dict[str, int]) -> list[str]:
    tiers = [f"{hits:,} {one_line(tier)}" for tier, hits in cache.items() if tier != "misses" and hits]
    rate = hit_rate(cache)
    return [
        f"{UNKNOWN if rate is None else f'{rate:.0%}'} hits".replace("%", " %"),
        *tiers,
        f"{cache['misses']:,} asked",
    ]


@dataclass
class _Engines:
    """One line an engine, and one for all that are beyond those."""

    engines: Sequence[EngineStatus]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        rows = [(one_line(e.name), e.occupancy, e.in_flight, e.slots, _trouble(e)) for e in self.engines[:ENGINES]]
        rest = self.engines[ENGINES:]
        if rest:
            together = (
                sum(e.in_flight for e in rest),
                sum(e.slots for e in rest),
                Text(_DOT).join(_sum_of_troubles(rest)),
            )
            rows.append((f"{len(rest)} further", _busy(rest), *together))
        load = [f"{held:,}/{slots:,}" for _, _, held, slots, _ in rows]
        wide = max(map(len, load))
        room = options.max_width - _CELLS - len(" 100 %  ") - wide
        names = max(len(name) for name, *_ in rows)
        troubles = max(trouble.cell_len for *_, trouble in rows)
        names = min(names, max(_NAME, room - troubles - 1) if troubles else room)
        for (name, busy, _, _, trouble), held in zip(rows, load, strict=True):
            full = min(_CELLS, max(0, round(busy * _CELLS)))
            line = Text(no_wrap=True, overflow="ellipsis").append("━" * full, "green")
            line.append("╌" * (_CELLS - full), "bright_black")
            line.append(f" {100 * busy:3.0f} % {held:>{wide}} ")
            line.append(f"{_middle(name, names):{names}} " if trouble else _middle(name, names))
            yield line.append_text(trouble)


def _together(engines: Sequence[EngineStatus]) -> str:
    held, slots = sum(e.in_flight for e in engines), sum(e.slots for e in engines)
    parts = [
        f"{_many(len(engines), 'engine')} {100 * _busy(engines):.0f} % busy",
        f"{held:,} in flight for {slots:,} slots",
    ]
    return ", ".join([*parts, *(bad.plain for bad in _sum_of_troubles(engines))])


def _busy(engines: Sequence[EngineStatus]) -> float:
    slots = sum(e.slots for e in engines)
    return sum(e.occupancy * e.slots for e in engines) / slots if slots else 0.0


def _trouble(engine: EngineStatus) -> Text:
    bad = [Text(_many(engine.deaths, "death"), "yellow")] if engine.deaths else []
    return Text(_DOT).join([*bad, Text(f"out: {one_line(engine.gone)}", "red")] if engine.gone else bad)


def _sum_of_troubles(engines: Sequence[EngineStatus]) -> list[Text]:
    deaths, gone = sum(e.deaths for e in engines), sum(bool(e.gone) for e in engines)
    bad = [Text(_many(deaths, "death"), "yellow")] if deaths else []
    return [*bad, Text(f"{gone} out", "red")] if gone else bad


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _middle(text: str, most: int) -> str:
    """Cut in the middle: engines of one teacher differ at the end of their names."""
    kept = max(1, most - 1)
    return text if len(text) <= most else text[: kept - kept // 2] + "…" + text[len(text) - kept // 2 :]


@dataclass
class _Items:
    """Texts in a row, with dots between them; a line is never broken inside of one."""

    items: Iterable[Text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = Text(no_wrap=True, overflow="ellipsis")
        for item in self.items:
            if line.cell_len and line.cell_len + len(_DOT) + item.cell_len > options.max_width:
                yield line
                line = Text(no_wrap=True, overflow="ellipsis")
            elif line.cell_len:
                line.append(_DOT, "dim")
            line.append_text(item)
        yield line


__all__ = ["View", "duration", "hit_rate", "per_second", "plain", "size"]
