"""The core's laws: exact values and problems survive data, keys separate scopes, derivations notice corruption."""

import pickle
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core import answers, exact, units
from dsgen.pipeline.core.answers import Boolean
from dsgen.pipeline.core.arith import Degenerate, evaluate
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.problem import Lineage, Mutation, Part, Problem, Tier
from dsgen.pipeline.core.reading.mathtext import read
from dsgen.pipeline.core.trace import Trace
from dsgen.pipeline.core.units import UnitMismatch

atoms = st.one_of(st.integers(), st.booleans(), st.fractions().map(exact.plain), st.text(max_size=8))
values = st.recursive(atoms, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8)


@settings(deadline=None)
@given(values)
def test_exact_values_survive_data(value: exact.Exact) -> None:
    import orjson

    back = exact.from_data(orjson.loads(orjson.dumps(exact.to_data(value))))
    assert back == value
    assert type(back) is type(value)


@given(st.frozensets(st.one_of(st.integers(), st.text(max_size=4)), max_size=5))
def test_sets_survive_data_and_show_in_one_order(value: frozenset[int | str]) -> None:
    assert exact.from_data(exact.to_data(value)) == value
    assert exact.show(value) == exact.show(frozenset(list(value)[::-1]))


@pytest.mark.parametrize("data", [{"frac": "1/2", "int": "3"}, {"float": 1}, None, [1], 1.5])
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match="not an exact value"):
        exact.from_data(data)


def test_scopes_do_not_run_into_each_other() -> None:
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("1") == digest(1)
    assert Key.of("run", 42).child("x") != Key.of("run", 43).child("x")
    drawn = {seed: [Key.of("run", seed).child("seed", i).rng().random() for i in range(200)] for seed in (42, 43)}
    assert not set(drawn[42]) & set(drawn[43]), "neighbouring seeds share nothing"


def fence() -> Derivation:
    t = Trace()
    width, extra = t.given("width", 14, units.parse("m")), t.given("extra", 6, units.parse("m"))
    length = t.step("The length is {}.", width + extra)
    return t.finish(t.step("Around it is {}.", 2 * (width + length)))


def test_a_derivation_is_recorded_and_written_from_its_nodes() -> None:
    made = fence()
    assert [s.text for s in made.steps] == ["The length is 14 + 6 = 20 m.", "Around it is 2 × (14 + 20) = 68 m."]
    assert made.value == 68
    assert made.faults() == []
    assert made.depth() == 3
    assert Derivation.from_data(made.to_data()) == made
    assert pickle.loads(pickle.dumps(made)) == made


@pytest.mark.parametrize("place", [2, 3, 5])
def test_a_corrupted_node_is_noticed(place: int) -> None:
    made = fence()
    node = made.nodes[place]
    assert node.inputs, "only inner nodes can be executed again"
    nodes = (*made.nodes[:place], node._replace(value=node.value + 1), *made.nodes[place + 1 :])
    assert replace(made, nodes=nodes).faults()


def test_a_node_that_depends_on_a_later_one_is_noticed() -> None:
    made = fence()
    node = made.nodes[2]._replace(inputs=(0, 4))
    assert "later node" in replace(made, nodes=(*made.nodes[:2], node, *made.nodes[3:])).faults()[0]


def test_adding_different_units_is_an_error() -> None:
    t = Trace()
    with pytest.raises(UnitMismatch):
        t.given("a", 1, units.parse("m")) + t.given("b", 2, units.parse("cm"))


def test_units_multiply_and_cancel() -> None:
    t = Trace()
    cost = t.given("price", 3, units.parse("dollar/m")) * t.given("length", 4, units.parse("m"))
    assert units.show(cost.unit) == "dollars"
    assert (cost / t.given("price", 3, units.parse("dollar/m"))).unit == units.parse("m")


@pytest.mark.parametrize(
    ("op", "operands"),
    [
        ("div", (1, 0)),
        ("mod", (5, 0)),
        ("sqrt", (2,)),
        ("sqrt", (-4,)),
        ("pow", (0, -1)),
        ("pow", (10, 10**6)),
        ("factorial", (-1,)),
        ("factorial", (10**6,)),
        ("modinv", (2, 4)),
        ("binom", (10**9, 5)),
    ],
)
def test_what_is_not_defined_or_too_large_is_degenerate(op: str, operands: tuple[int, ...]) -> None:
    with pytest.raises(Degenerate):
        evaluate(op, operands)


OPERATIONS = ("add", "sub", "mul", "div", "pow", "mod", "neg")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OPERATIONS), st.integers(-6, 12), st.booleans(), st.booleans()), max_size=6))
def test_what_a_trace_writes_reads_back_to_its_value(operations: list[tuple[str, int, bool, bool]]) -> None:
    """Brackets are where they must be: the written expression means what the nodes mean."""
    t = Trace()
    value = t.given("start", 7)
    for op, number, swap, state in operations:
        try:
            if op == "neg":
                value = -value
            else:
                operand = abs(number) % 3 if op == "pow" else number
                value = t.binary(op, operand, value) if swap and op != "pow" else t.binary(op, value, operand)
        except Degenerate:
            continue
        if state:
            value = t.step("{}", value)
    written = t.equation(value.index).rpartition(" = ")[0] or t.equation(value.index)
    assert read(written) == value.value, written


def problem() -> Problem:
    derivation = fence()
    return Problem(
        (Part("text", "How far is it around?"), Part("code", "print(1)", "python")),
        answers.of(derivation.value, derivation.nodes[derivation.answer].unit),
        Lineage("templates", "geometry/x#1", "00", "ff", (Mutation("perturb/v1:{}", 3, "a: 1 → 2"),)),
        Tier.EXACT,
        "geometry",
        derivation=derivation,
        values={"width": 14, "share": Fraction(1, 3)},
    )


def test_problems_survive_pickling_and_data_and_ids_are_contents() -> None:
    one = problem()
    assert pickle.loads(pickle.dumps(one)) == one
    assert Problem.from_data(one.to_data()) == one
    assert one.statement.endswith("```python\nprint(1)\n```")
    assert one.id == replace(one, lineage=replace(one.lineage, seed="other")).id
    assert one.id != replace(one, answer=Boolean(True)).id
    assert one.id != replace(one, parts=one.parts[:1]).id


@pytest.mark.parametrize("value", [3, Fraction(1, 2), True, "Ada", (1, 2), frozenset({1, 2})], ids=str)
def test_answers_survive_data(value: exact.Exact) -> None:
    answer = answers.of(value)
    assert answers.from_data(answer.to_data()) == answer
