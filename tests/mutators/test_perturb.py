"""The same problem with other numbers."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.mutators.perturb import Perturb
from dsgen.pipeline.core import answers
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.seeds.sources.templates import Templates

KEY = Key.of("perturb")
GARDENS = Templates(seeds=5, only=("geometry/fenced_garden",)).open()
CONGRUENCES = Templates(seeds=5, only=("number_theory/two_congruences",)).open()


class Tiny(Template):
    """Six instances, and no larger ones."""

    apples = Integer(1, 6)
    facts = "There are {apples} apples."
    question = "How many halves can be made of them?"
    result_text = "There are {answer} halves."

    def solve(self, t: Trace, apples: Quantity) -> Quantity:
        return t.step("There are {} halves.", 2 * apples)

    def check(self, apples: int) -> int:
        return apples + apples


def seed_of(template: Template, ordinal: int, population: int, key: Key = KEY) -> Problem:
    lineage = Lineage("templates", f"{template.id}#{ordinal}", template.hash, key.raw.hex())
    bare = Problem((), answers.Boolean(True), lineage, Tier.EXACT, template.family)
    bare = replace(bare, draw=bare.draw._replace(ordinal=ordinal, population=population))
    values = template.draw("same", ordinal, key)
    assert values is not None
    return template.pose(values, bare)


def garden(index: int, key: Key = KEY) -> Problem:
    problem = GARDENS.seed(index, key).problem
    assert isinstance(problem, Problem)
    return problem


def child(parent: Problem, profile: str, index: int, key: Key = KEY) -> Problem:
    made = Perturb(profile=profile).mutate(parent, index, key)  # type: ignore[arg-type]
    assert isinstance(made, Problem)
    return made


@pytest.mark.parametrize("profile", ["same", "easier", "harder"])
def test_statement_answer_and_lineage(profile: str) -> None:
    parent = garden(0)
    made = child(parent, profile, 2)
    v = made.values
    assert made.statement == (
        f"{v['owner']} has a rectangular garden that is {v['width']} m wide. It is {v['extra']} m longer than it is "
        f"wide. A fence costs {v['price']} dollars per metre. "
        "How many dollars does a fence around the whole garden cost?"
    )
    assert made.answer.show() == str(2 * (2 * v["width"] + v["extra"]) * v["price"])  # type: ignore[operator]
    assert made.lineage.seed == "geometry/fenced_garden#0"
    (mutation,) = made.lineage.mutations
    assert mutation.mutator == f'perturb/v1:{{"profile":"{profile}"}}'
    assert mutation.child == 2
    assert f"width: {parent.values['width']} → {v['width']}" in mutation.note or v["width"] == parent.values["width"]


@pytest.mark.parametrize(
    ("profile", "widths", "prices"),
    [
        pytest.param("same", range(4, 61), range(3, 26), id="same"),
        pytest.param("easier", range(4, 23), range(3, 11), id="easier"),
        pytest.param("harder", range(61, 901), range(26, 181), id="harder"),
    ],
)
def test_magnitudes(profile: str, widths: range, prices: range) -> None:
    for index in range(60):
        made = child(garden(1), profile, index)
        assert made.values["width"] in widths
        assert made.values["price"] in prices


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 4), st.integers(0, 10_000), st.integers(0, 2**32))
def test_law_the_fence_is_counted_metre_by_metre(ordinal: int, index: int, run: int) -> None:
    key = Key.of("run", run)
    made = child(garden(ordinal, key), "same", index, key)
    width, extra, price = (int(made.values[n]) for n in ("width", "extra", "price"))  # type: ignore[call-overload]
    cost = 0
    for side in (width, width, width + extra, width + extra):
        for _ in range(side):
            cost += price
    assert made.answer == answers.Integer(cost, "dollars")


def test_cousins_never_share_values() -> None:
    shown = set()
    total = 0
    for index in range(5):
        parent = CONGRUENCES.seed(index, KEY).problem
        assert isinstance(parent, Problem)
        shown.add(tuple(parent.values.values()))
        total += 1
        for i in range(40):
            shown.add(tuple(child(parent, "same", i).values.values()))
            total += 1
    assert len(shown) == total


def test_a_whole_space_is_used_once_and_then_exhausted() -> None:
    template = Tiny()
    seen = []
    for ordinal in range(2):
        parent = seed_of(template, ordinal, 2)
        assert Perturb().capacity(parent) == 2
        seen += [parent.values["apples"], *[child(parent, "same", i).values["apples"] for i in range(2)]]
        assert Perturb().mutate(parent, 2, KEY) == NotApplicable("space_exhausted")
    assert sorted(seen, key=int) == [1, 2, 3, 4, 5, 6]  # type: ignore[arg-type]


def test_no_larger_numbers_where_a_template_names_none() -> None:
    parent = seed_of(Tiny(), 0, 1)
    assert Perturb(profile="harder").capacity(parent) == 0
    assert Perturb(profile="harder").mutate(parent, 0, KEY) == NotApplicable("no_such_profile")


def test_text_and_backward_problems_are_refused() -> None:
    lineage = Lineage("records", "a/0", "00", KEY.raw.hex())
    text = Problem((Part("text", "What is 2 + 2?"),), answers.Integer(4), lineage, Tier.AGREED, "")
    assert Perturb().mutate(text, 0, KEY) == NotApplicable("no_derivation")
    assert Perturb().mutate(replace(garden(0), form="backward"), 0, KEY) == NotApplicable("not_forward")
