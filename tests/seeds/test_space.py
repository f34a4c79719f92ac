"""The law of parameter spaces: different slots, different values, whatever the size and the condition."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.space import ENUMERABLE, PEOPLE, Choice, Domain, Integer, Integers, Name, Names, Shuffle, Space


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 600), seed=st.integers())
def test_a_permutation_is_a_bijection(size: int, seed: int) -> None:
    order = Key.of("bijection", seed).permutation(size)
    assert sorted(order[i] for i in range(size)) == list(range(size))


@settings(max_examples=30, deadline=None)
@given(size=st.integers(10**6, 10**40), seed=st.integers())
def test_a_large_permutation_stays_in_range_and_does_not_repeat(size: int, seed: int) -> None:
    order = Key.of("large", seed).permutation(size)
    images = [order[i] for i in itertools.chain(range(100), range(size - 100, size))]
    assert len(set(images)) == 200
    assert all(0 <= i < size for i in images)


def test_different_keys_give_different_orders() -> None:
    orders = {tuple(Key.of("order", n).permutation(50)[i] for i in range(50)) for n in range(20)}
    assert len(orders) == 20


@settings(max_examples=40, deadline=None)
@given(high=st.integers(2, 40), other=st.integers(2, 40), modulus=st.integers(1, 4), seed=st.integers())
def test_a_small_space_is_dealt_out_exactly_once(high: int, other: int, modulus: int, seed: int) -> None:
    space = Space.of({"a": Integer(1, high), "b": Integer(1, other)}, "same", lambda a, b: (a + b) % modulus == 0, "ab")
    wanted = {(a, b) for a in range(1, high + 1) for b in range(1, other + 1) if (a + b) % modulus == 0}
    drawn = [space.draw(slot, Key.of("small", seed)) for slot in range(space.capacity)]
    assert space.capacity == len(wanted)
    assert {(d["a"], d["b"]) for d in drawn if d} == wanted


@settings(max_examples=15, deadline=None)
@given(modulus=st.sampled_from([1, 2, 7, 30]), seed=st.integers())
def test_slots_of_a_large_space_never_share_values(modulus: int, seed: int) -> None:
    domains = {"a": Integer(0, 99), "b": Integer(0, 99), "c": Integer(0, 49)}
    space = Space.of(domains, "same", lambda a, b: (a * b) % modulus == 0, ["a", "b"])
    assert space.total == 500_000 > ENUMERABLE
    key = Key.of("large", seed)
    drawn = [space.draw(slot, key) for slot in range(0, space.capacity, max(1, space.capacity // 200))]
    found = [tuple(d.values()) for d in drawn if d]
    assert len(set(found)) == len(found) >= 0.99 * len(drawn)
    assert all(a * b % modulus == 0 for a, b, _ in found)


def test_a_slot_outside_the_capacity_is_refused() -> None:
    space = Space.of({"a": Integer(1, 5)}, "same", None, [])
    assert space.capacity == 5
    for slot in (-1, 5):
        with pytest.raises(IndexError, match="capacity 5"):
            space.draw(slot, Key.of("outside"))


def test_a_condition_that_nothing_fulfils_leaves_no_capacity() -> None:
    assert Space.of({"a": Integer(1, 5)}, "same", lambda a: a > 5, ["a"]).capacity == 0
    assert Space.of({"a": Integer(1, 10**6)}, "same", lambda a: a < 0, ["a"]).capacity == 0


@pytest.mark.parametrize(
    "domain",
    [Integer(3, 30, step=3), Integers(1, 4, length=3), Choice("a", "b", "c"), Name(), Names(2), Shuffle(4)],
    ids=lambda d: type(d).__name__,
)
def test_a_domain_has_as_many_different_values_as_it_says(domain: Domain) -> None:
    values = [domain.at("same", i) for i in range(domain.size("same"))]
    assert len(set(values)) == len(values)


def test_names_are_different_people_and_shuffles_are_permutations() -> None:
    names = Names(3)
    assert names.size("same") == len(PEOPLE) * (len(PEOPLE) - 1) * (len(PEOPLE) - 2)
    assert all(len(set(names.at("same", i))) == 3 for i in range(0, names.size("same"), 97))
    assert sorted(Shuffle(3).at("same", i) for i in range(6)) == sorted(itertools.permutations(range(3)))
