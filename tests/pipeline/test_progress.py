"""What a run shows: the pace, the live view, plain lines, notes, the summary."""

from __future__ import annotations

import io
import re
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dsgen.pipeline.engine.status import EngineStatus, Status
from dsgen.pipeline.pace import COMMITS, Pace, PaceMaker, Rate
from dsgen.pipeline.progress import PLAIN_EVERY_S, UNCHANGED_EVERY_S, Reporter
from dsgen.pipeline.summary import summary
from dsgen.pipeline.terminal import clean, one_line
from dsgen.pipeline.view import ENGINES, View, duration, per_second, plain, size

HOSTILE = "[red]x[/red]\x1b[31m\x9b2J\u202e\r\n"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def status(engines: int = 2, **changes: Any) -> Status:
    made = Status(
        stage="making rows",
        units=12_000,
        done_units=6000,
        fresh_units=5000,
        counts=Counter(accepted=5812, rejected=168, quarantined=20),
        reasons=Counter({f"validator:reason_{i}": 50 - i for i in range(6)}),
        tokens=1_234_567,
        asked=4096,
        waiting=1210,
        requeued=3,
        engines=[EngineStatus(f"vllm:some-org/Some-Model-30B {i}", 256, 240 - i, 0.9) for i in range(engines)],
        cache={"memory": 1200, "journal": 300, "redis": 0, "misses": 1500},
        open_rows=8192,
        open_bytes=12_345_678,
    )
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def drawn(state: Status, pace: Pace | None = None, width: int = 80) -> list[str]:
    """The live view as lines, made by a console that is set up as the command line's."""
    console = Console(record=True, width=width, force_terminal=True, file=io.StringIO(), soft_wrap=True)
    console.print(View(state, pace or Pace(372.0, 97.3, 12345.6, 3723.0)))
    return [line.rstrip() for line in console.export_text().splitlines()]


@pytest.mark.parametrize(
    ("fed", "now", "expected"),
    [
        ([(0, 0)], 5, None),
        ([(0, 7)], 5, None),
        ([(0, 0), (10, 1000)], 10, 100),
        ([(0, 0), (5, 500), (10, 1500), (20, 1600)], 20, 1100 / 15),
        ([(0, 0), (10, 1000)], 40, 0),
        ([(0, 0), (10, 1000), (40, 1000)], 50, 0),
    ],
    ids=["nothing", "not-from-0", "young", "slides", "stands", "stands-and-is-fed"],
)
def test_a_rate_is_of_the_last_seconds(fed: list[tuple[float, float]], now: float, expected: float | None) -> None:
    rate = Rate(15)
    for at, value in fed:
        rate.feed(at, value)
    assert rate.a_second(now) == (None if expected is None else pytest.approx(expected))


def test_a_rate_of_lumps_goes_back_as_far_as_it_must() -> None:
    rate = Rate(60, least=COMMITS)
    for n in range(100):
        rate.feed(300 * n, 1000 * n)
    # Between two commits it sinks a little, instead of being 0 or jumping.
    assert rate.a_second(300 * 99) == pytest.approx(1000 / 300)
    assert 1000 / 340 < (rate.a_second(300 * 99 + 290) or 0) < 1000 / 300


def test_the_eta_counts_what_this_start_did_and_starts_anew_with_a_stage() -> None:
    maker = PaceMaker(0.0)
    surveying = status(stage="surveying", units=1000, done_units=0, fresh_units=0)
    assert maker.pace(0, surveying).left_s is None
    surveying.done_units = 250
    assert maker.pace(10, surveying).left_s == pytest.approx(30)
    # Resumed: half of the units were there, which says nothing about the speed.
    resumed = status(units=10_000, done_units=5000, fresh_units=0)
    assert maker.pace(20, resumed).left_s is None
    resumed.done_units, resumed.fresh_units = 6000, 1000
    assert maker.pace(30, resumed).left_s == pytest.approx(40)
    resumed.done_units = 10_000
    resumed.counts.update(accepted=450)
    resumed.stage = "writing the manifest"
    ended = maker.pace(40, resumed)
    assert ended.left_s is None
    assert ended.rows == pytest.approx(450 / 20)  # the last stage makes none and still tells the speed


@pytest.mark.parametrize("width", [40, 64, 80, 132])
@pytest.mark.parametrize("engines", [0, 1, 3, 12])
@pytest.mark.parametrize("trouble", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, engines: int, trouble: bool) -> None:
    state = status(engines, stage="a stage " * 3)
    state.reasons["validator:" + "long" * 50] = 1000
    if trouble:
        for engine in state.engines:
            engine.deaths, engine.gone = 3, "2 of 8 canaries right " * 5
    lines = drawn(state, width=width)
    assert max(map(len, lines)) <= width
    assert len(lines) <= 30


def test_the_view_in_eighty_columns() -> None:
    state = status(2)
    state.engines[1].deaths = 1
    assert drawn(state) == [
        "making rows ━━━━━━━━━━╸━━━━━━━━━━ 6,000/12,000 · 50 % · after 6:12 · ETA 1:02:03",
        "samples      5,812 accepted · 168 rejected · 20 quarantined · 97 rows/s",
        "not accepted 50 × validator:reason_0 · 49 × validator:reason_1",
        "             48 × validator:reason_2 · 47 × validator:reason_3 · 91 others",
        "tokens       1,234,567 · 12,346 tokens/s · 4,096 asked · 479 in flight",
        "             1,210 waiting · 3 asked again",
        "engines      ━━━━━━━━━╌  90 % 240/256 vllm:some-org/Some-Model-30B 0",
        "             ━━━━━━━━━╌  90 % 239/256 vllm:some-org/Some-Model-30B 1 1 death",
        "cache        50 % hits · 1,200 memory · 300 journal · 1,500 asked",
        "open         8,192 rows · 12.3 MB",
    ]


def test_many_engines_are_summed_up() -> None:
    state = status(12)
    state.engines[10].deaths = 2
    state.engines[11].gone = "canaries"
    lines = [line for line in drawn(state) if " 90 % " in line]
    assert len(lines) == ENGINES + 1
    assert " ".join(lines[-1].split()) == "━━━━━━━━━╌ 90 % 922/1,024 4 further 2 deaths · 1 out"


def test_what_is_not_known_is_not_claimed() -> None:
    text = "\n".join(drawn(status(), Pace(1.0)))
    assert "ETA —" in text
    assert "— rows/s" in text
    assert "— tokens/s" in text
    assert "ETA" not in "\n".join(drawn(Status(stage="starting workers")))


def test_text_of_others_does_nothing_to_a_terminal() -> None:
    state = status(1, stage=HOSTILE, reasons=Counter({HOSTILE: 1}), cache={HOSTILE: 1, "misses": 0})
    state.engines[0].name = state.engines[0].gone = HOSTILE
    seen = "\n".join(drawn(state)) + plain(state, Pace())
    assert not set(seen) & set("\x1b\x9b\u202e\r")
    assert seen.count("[red]x[/red]") >= 6  # shown as it is, not obeyed
    console = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=200)
    reporter = Reporter(console, live=False)
    reporter(status(note=HOSTILE))
    reporter.look()
    assert "\x1b" not in console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (clean("a\x1b[1m\tb\nc\x00"), "a\ufffd[1m\tb\nc\ufffd"),
        (one_line(" a\n\tb\x07 "), "a b\ufffd"),
        (duration(None), "—"),
        (duration(59.9), "0:59"),
        (duration(3723), "1:02:03"),
        (duration(200_000), "2 d 07:33 h"),
        (per_second(None), "—"),
        (per_second(0.0), "0"),
        (per_second(1.24), "1.2"),
        (per_second(12345.6), "12,346"),
        (size(999), "999 B"),
        (size(12_345_678), "12.3 MB"),
        (size(5e15), "5,000.0 TB"),
    ],
)
def test_figures_and_texts(made: str, expected: str) -> None:
    assert made == expected


class Pipe:
    """A reporter that writes plain lines, looked at by hand."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.console = Console(file=io.StringIO(), width=80)
        self.reporter = Reporter(self.console, clock=self.clock)

    def lines(self) -> list[str]:
        """What was written since the last time."""
        file: Any = self.console.file
        text = file.getvalue()
        file.seek(0)
        file.truncate()
        return str(text).splitlines()


def test_a_pipe_gets_a_line_now_and_then() -> None:
    pipe = Pipe()
    state = status(stage="surveying")
    pipe.reporter(state)
    pipe.reporter.look()
    assert [line.partition("·")[0] for line in pipe.lines()] == ["   0.0 s  surveying "]
    for second in range(int(PLAIN_EVERY_S) - 1):
        pipe.clock.now += 1
        state.done_units += 1
        pipe.reporter(state)
        pipe.reporter.look()
        assert pipe.lines() == [], second
    pipe.clock.now += 1
    pipe.reporter.look()
    assert len(pipe.lines()) == 1
    state.stage = "making rows"
    pipe.reporter(state)
    pipe.reporter.look()
    (line,) = pipe.lines()
    assert line.startswith("   5.0 s  making rows · 6,004/12,000 (50 %) · 5,812 accepted · 168 rejected")
    assert len(line) > 200  # never wrapped


def test_a_pipe_is_not_told_the_same_again_and_again() -> None:
    pipe = Pipe()
    pipe.reporter(Status(stage="starting workers"))
    for _ in range(int(2 * UNCHANGED_EVERY_S)):
        pipe.clock.now += 1
        pipe.reporter.look()
    assert len(pipe.lines()) == 2
    pipe.reporter.look(last=True)
    assert pipe.lines() == []


def test_notes_are_said_once() -> None:
    pipe = Pipe()
    for note in ("", "first", "first", "second", "first", "[bold]third[/bold] \x1b[1m"):
        pipe.reporter(Status(note=note))
    pipe.reporter.look()
    assert pipe.lines()[:3] == ["first", "second", "[bold]third[/bold] \ufffd[1m"]


def test_the_end_is_told_without_waiting() -> None:
    pipe = Pipe()
    state = status()
    with pipe.reporter as reporter:
        reporter(state)
        state.done_units = state.units
        state.note = "the last word"
        reporter(state)
    assert "12,000/12,000 (100 %)" in (said := pipe.lines())[-1]
    assert "the last word" in said


def test_a_call_only_remembers(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is made for every reply: nothing is built, drawn or asked of the clock unless a stage or a note is new."""
    pipe = Pipe()
    state = status(note="said")
    pipe.reporter(state)
    for owner, name in ((Status, "to_data"), (Reporter, "look"), (Reporter, "_turn"), (Clock, "__call__")):
        monkeypatch.setattr(owner, name, lambda *_: pytest.fail("a call did more than remember"))
    for _ in range(1000):
        state.tokens += 1
        pipe.reporter(state)
    monkeypatch.undo()
    pipe.reporter.look()
    assert "1,235,567 tokens" in pipe.lines()[-1]


def test_the_status_may_change_while_it_is_drawn() -> None:
    pipe = Pipe()
    state = status()
    pipe.reporter(state)
    done = threading.Event()

    def change() -> None:
        for n in range(20_000):
            state.reasons[f"validator:{n % 2000}"] += 1
            if n % 2000 == 1999:
                state.reasons.clear()
        done.set()

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=change)
    try:
        thread.start()
        while not done.is_set():
            pipe.clock.now += PLAIN_EVERY_S
            pipe.reporter.look()
    finally:
        thread.join()
        sys.setswitchinterval(usual)


def test_a_terminal_gets_a_live_view_that_is_gone_at_the_end() -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=80, soft_wrap=True)
    with Reporter(console, live=True) as reporter:
        reporter(status(note="a [note]"))
        reporter.look()
    text = file.getvalue()
    assert "5,812 accepted" in text
    assert "a [note]\n" in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert text.endswith("\x1b[2K")  # the last line of the view, erased


def test_a_pipe_is_no_terminal_even_where_colours_are_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    file = io.StringIO()
    with Reporter(Console(file=file, width=80)) as reporter:
        reporter(status())
    assert "\x1b[2K" not in file.getvalue()


@pytest.mark.parametrize("live", [False, True])
def test_a_run_outlives_its_terminal(live: bool) -> None:
    class Gone(io.StringIO):
        gone = False

        def write(self, text: str) -> int:
            if self.gone:
                raise OSError(5, "Input/output error")
            return super().write(text)

    file = Gone()
    with Reporter(Console(file=file, force_terminal=live, width=80), live=live) as reporter:
        reporter(status())
        reporter.look()
        file.gone = True
        reporter(status(stage="another", note="said to nobody"))
        reporter.look()
    assert file.getvalue()


def manifest(**changes: Any) -> dict[str, Any]:
    engine = {"rows": 30, "slots": 100, "occupancy": 0.9, "deaths": 0, "gone": ""}
    return {
        "counts": {"planned": 100, "accepted": 70, "rejected": 20, "quarantined": 5, "duplicate": 5},
        "reasons": {"answer:wrong": 10, "a:1": 4, "a:2": 3, "a:3": 2, "a:4": 1, "quarantine:engine_lost": 5},
        "funnel": {"gsm8k": {"read": 500, "lifted": 287}},
        "not_applicable": {"no_inverse": 4},
        "teachers": [{"name": "small"}, {"name": "large"}],
        "pass_rates": {"algebra": {"small": [40, 50]}, "logic": {"large": [20, 30], "small": [0, 10]}},
        "files": [{"bytes": 1_234_567}],
        "session": {
            "cache": {"memory": 3, "journal": 20, "redis": 0, "misses": 77},
            "canaries": {"small": [9, 16], "large": [0, 0]},
            "teachers": {
                "small": {
                    "asked": 60,
                    "tokens": 123_456,
                    "requeued": 3,
                    "engines": [engine, engine | {"slots": 300, "occupancy": 0.5, "deaths": 1, "gone": HOSTILE}],
                    "experts": {
                        "layers": [1, 2],
                        "figures": {
                            "utilisation": 0.951,
                            "capacity_factor": 1.25,
                            "target": 0.92,
                            "reached": True,
                            "gini": 0.2125,
                            "dead_experts": 1,
                            "experts": 16,
                            "gate_entropy": None,
                        },
                    },
                },
                "large": {"asked": 1, "tokens": 2, "requeued": 0, "engines": [engine], "experts": {"why_not": "fused"}},
            },
        },
    } | changes


def test_the_summary() -> None:
    assert list(summary(manifest(), Path("out/my set"))) == [
        "70 accepted, 20 rejected, 5 quarantined, 5 duplicate of 100 planned",
        "  10 × answer:wrong",
        "  4 × a:1",
        "  3 × a:2",
        "  2 × a:3",
        "  1 × a:4",
        "  5 for other reasons",
        "gsm8k lift funnel: read 500 → lifted 287",
        "4 children do not exist (4 no_inverse)",
        "pass rate of small: 66.7 % of 60 judged samples",
        "pass rate of large: 66.7 % of 30 judged samples",
        "small: 60 rows asked, 123,456 tokens, 2 engines 60.0 % busy (50.0 % to 90.0 %), 1 death, 3 rows asked again, "
        "9 of 16 canaries right",
        "  an engine was taken out: [red]x[/red]\ufffd[31m\ufffd2J\ufffd",
        "  experts: 95.1 % utilisation at capacity factor 1.25 (92 % is reached), Gini 0.212, 1 of 32 dead, gate "
        "entropy not known",
        "large: 1 row asked, 2 tokens, 1 engine 90.0 % busy",
        "  experts: load not known: fused",
        "cache: 23.0 % of 100 replies (3 memory, 20 journal, 0 redis)",
        "5 samples in quarantine: once the cause is mended, `dsgen retry-quarantine 'out/my set'` has them made again",
        "out/my set: 1 file, 1.2 MB. Look at it with `dsgen show 'out/my set'`",
    ]


def test_the_summary_of_a_run_without_models() -> None:
    told = manifest(
        counts={"planned": 2, "accepted": 2, "rejected": 0, "quarantined": 0, "duplicate": 0},
        reasons={},
        funnel={},
        not_applicable={},
        teachers=[],
        pass_rates={"algebra": {"derivation": [2, 2]}},
        session={},
    )
    assert list(summary(told, "s3://bucket/prefix")) == [
        "2 accepted, 0 rejected, 0 quarantined, 0 duplicate of 2 planned",
        "s3://bucket/prefix: 1 file, 1.2 MB. Look at it with `dsgen show s3://bucket/prefix`",
    ]
