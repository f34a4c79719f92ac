"""What every mutator promises, present and future: discovered ones with their default parameters, and more profiles."""

import pickle

import orjson
import pytest

import dsgen.mutators
from dsgen.mutators.perturb import Perturb
from dsgen.pipeline.core import answers
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Mutator, NotApplicable, discover
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.seeds.sources.templates import Templates

MUTATORS = [cls() for cls in discover(dsgen.mutators, Mutator).values()]
MUTATORS += [Perturb(profile="easier"), Perturb(profile="harder")]
KEY = Key.of("contract")
SEEDS = Templates(seeds=2).open()
CHILDREN = 4

SLUG = r"[a-z][a-z0-9_]*"


def parents() -> list[Problem]:
    """The first seed of every template."""
    found = [SEEDS.seed(i, KEY).problem for i in range(0, len(SEEDS), 2)]
    return [p for p in found if isinstance(p, Problem)]


PARENTS = parents()
CASES = [
    pytest.param(mutator, parent, id=f"{mutator.stamp}-{parent.lineage.seed}")
    for mutator in MUTATORS
    for parent in PARENTS
]


def as_text() -> Problem:
    """A problem that nothing lifted."""
    parts = (Part("text", "Ada has 3 apples and buys 4 more. How many apples does she have?"),)
    return Problem(parts, answers.Integer(7), Lineage("records", "apples/0", "00", KEY.raw.hex()), Tier.AGREED, "")


def children(mutator: Mutator, parent: Problem) -> list[Problem]:
    made = [mutator.mutate(parent, i, KEY) for i in range(min(CHILDREN, mutator.capacity(parent)))]
    return [c for c in made if isinstance(c, Problem)]


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda m: m.stamp)
def test_text_without_derivation_is_refused_with_a_reason(mutator: Mutator) -> None:
    import re

    refusal = mutator.mutate(as_text(), 0, KEY)
    assert isinstance(refusal, NotApplicable)
    assert re.fullmatch(SLUG, refusal.reason)
    assert mutator.capacity(as_text()) == 0


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda m: m.stamp)
def test_makes_children_of_some_template(mutator: Mutator) -> None:
    assert any(children(mutator, parent) for parent in PARENTS)


@pytest.mark.parametrize("mutator", MUTATORS, ids=lambda m: m.stamp)
def test_the_stamp_builds_the_mutator_again(mutator: Mutator) -> None:
    kind, _, parameters = mutator.stamp.partition(":")
    assert kind == f"{mutator.kind}/v{mutator.version}"
    assert type(mutator).model_validate(orjson.loads(parameters)) == mutator
    assert pickle.loads(pickle.dumps(mutator)) == mutator


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_a_child_depends_on_key_and_index_alone(mutator: Mutator, parent: Problem) -> None:
    count = min(CHILDREN, mutator.capacity(parent))
    forwards = [mutator.mutate(parent, i, KEY) for i in range(count)]
    backwards = [mutator.mutate(parent, i, KEY) for i in reversed(range(count))]
    for one, other in zip(forwards, reversed(backwards), strict=True):
        assert one == other
        if isinstance(one, Problem) and isinstance(other, Problem):
            assert one.to_data() == other.to_data()


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_children_survive_pickle_and_json(mutator: Mutator, parent: Problem) -> None:
    for child in children(mutator, parent):
        thawed = pickle.loads(pickle.dumps(child))
        assert thawed.to_data() == child.to_data()
        if child.second is not None:
            assert thawed.second() == child.second()
        read = Problem.from_data(orjson.loads(orjson.dumps(child.to_data())))
        assert read.id == child.id
        assert read.to_data() == child.to_data()


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_children_are_new_and_say_where_they_come_from(mutator: Mutator, parent: Problem) -> None:
    made = [(i, mutator.mutate(parent, i, KEY)) for i in range(min(CHILDREN, mutator.capacity(parent)))]
    ids = [parent.id]
    for index, child in made:
        if isinstance(child, Problem):
            ids.append(child.id)
            *before, last = child.lineage.mutations
            assert tuple(before) == parent.lineage.mutations
            assert (last.mutator, last.child) == (mutator.stamp, index)
            assert child.lineage.seed == parent.lineage.seed
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_children_are_right(mutator: Mutator, parent: Problem) -> None:
    for child in children(mutator, parent):
        assert child.statement.strip()
        if child.derivation is not None:
            assert child.derivation.faults() == []
            assert answers.of(child.derivation.value).show() == child.answer.show()
        if child.second is not None:
            assert answers.of(child.second()).show() == child.answer.show()
        if child.tier is Tier.EXACT:
            assert child.second is not None


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_the_parent_is_not_changed(mutator: Mutator, parent: Problem) -> None:
    before = orjson.dumps(parent.to_data())
    children(mutator, parent)
    assert orjson.dumps(parent.to_data()) == before


@pytest.mark.parametrize(("mutator", "parent"), CASES)
def test_capacity_is_honoured(mutator: Mutator, parent: Problem) -> None:
    capacity = mutator.capacity(parent)
    assert capacity >= 0
    assert isinstance(mutator.mutate(parent, capacity, KEY), NotApplicable)
    if capacity:
        assert isinstance(mutator.mutate(parent, capacity - 1, KEY), (Problem, NotApplicable))
