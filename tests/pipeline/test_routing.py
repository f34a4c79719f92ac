"""Which teacher a problem goes to, and how long its reply is expected to be."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core.answers import Integer
from dsgen.pipeline.core.candidate import Message, Request
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.engine.lengths import Lengths
from dsgen.pipeline.engine.routing import Router, Routing
from dsgen.pipeline.teachers.config import PythonConfig


def problem(family: str) -> Problem:
    """A text without a derivation: no steps are known of it."""
    lineage = Lineage("text", "seed", "hash", Key.of("routing").raw.hex())
    return Problem((Part("text", "How many?"),), Integer(0), lineage, Tier.AGREED, family)


def router(*teachers: dict[str, Any], **routing: Any) -> Router:
    configs = [PythonConfig(target="a:B", model="m", name=f"t{i}", **t) for i, t in enumerate(teachers)]
    return Router(configs, Routing(**routing))


@pytest.mark.parametrize(
    ("teachers", "family", "expected"),
    [
        pytest.param([{}], "logic", 0, id="the only one"),
        pytest.param([{"families": ("algebra",)}, {}], "algebra", 0, id="its family"),
        pytest.param([{"families": ("algebra",)}, {}], "logic", 1, id="another family"),
        pytest.param([{}, {"families": ("algebra",)}], "algebra", 0, id="the first that takes it"),
        pytest.param([{"steps": (5, 9)}, {}], "algebra", 1, id="no steps are known"),
        pytest.param([{"steps": (0, 9)}, {}], "algebra", 0, id="few steps"),
    ],
)
def test_the_first_that_takes_it(teachers: list[dict[str, Any]], family: str, expected: int) -> None:
    assert router(*teachers).choose(problem(family), "unit", None) == expected


def test_the_pilot_deals_out_evenly() -> None:
    dealt = router({}, {}, {}, by_pass_rate=True)
    counts = Counter(dealt.choose(problem("logic"), f"unit{i}", None) for i in range(3000))
    assert all(900 < counts[i] < 1100 for i in range(3))


RATES = {
    "logic": {"t0": [10, 100], "t1": [90, 100], "t2": [92, 100]},
    "algebra": {"t0": [88, 100], "t1": [90, 100], "t2": [10, 100]},
    "rare": {"t0": [1, 1], "t1": [0, 1]},
}


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        pytest.param("logic", 1, id="the earlier of two that are alike"),
        pytest.param("algebra", 0, id="cheaper and hardly worse"),
        pytest.param("rare", 1, id="too few of its own: all families decide"),
        pytest.param("unseen", 1, id="none of its own: all families decide"),
    ],
)
def test_measured_pass_rates_decide(family: str, expected: int) -> None:
    chosen = router({}, {}, {}, by_pass_rate=True, tolerance=0.05).choose(problem(family), "unit", RATES)
    assert chosen == expected


@given(st.text(max_size=8), st.sampled_from(["logic", "algebra", "rare"]))
def test_the_choice_depends_on_nothing_else(unit: str, family: str) -> None:
    made = [router({}, {}, {}, by_pass_rate=True) for _ in range(2)]
    for rates in (None, RATES):
        assert made[0].choose(problem(family), unit, rates) == made[1].choose(problem(family), unit, rates)


def request(group: str, size: float) -> Request:
    return Request("r", (Message("user", "?"),), group=group, size=size)


def test_before_any_reply_larger_problems_count_as_longer() -> None:
    lengths = Lengths()
    assert lengths.predict(request("a", 20)) > lengths.predict(request("b", 5))


def test_groups_are_told_apart_and_unknown_ones_get_the_mean() -> None:
    lengths = Lengths()
    for _ in range(50):
        lengths.observe(request("long", 1), [8000])
        lengths.observe(request("short", 1), [80])
    long, short, unknown = (lengths.predict(request(g, 1)) for g in ("long", "short", "unknown"))
    assert short < 130 < unknown < 6000 < long
    # The size of a problem counts within its group.
    assert lengths.predict(request("short", 4)) == pytest.approx(4 * short)


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=40))
def test_predictions_stay_within_what_was_seen(counts: list[int]) -> None:
    lengths = Lengths()
    lengths.observe(request("g", 1), counts)
    assert max(1, min(counts)) * 0.99 <= lengths.predict(request("g", 1)) <= max(1, *counts) * 1.01
