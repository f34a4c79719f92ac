"""The compiled guards and the spaces made from them, against the guards as the lift itself states them."""

import itertools
import json
import math
import pickle
from fractions import Fraction
from importlib.resources import files
from random import Random

import pytest

from dsgen.pipeline.core.keys import Key
from dsgen.seeds.text.lift import PROFILES, Lift, lift
from dsgen.seeds.text.lifted import LiftedProgram

KEY = Key.of("lift-check")
RECORDS = [
    json.loads(line)
    for line in (files("dsgen.seeds.data") / "gsm8k_train_500.jsonl").read_text(encoding="utf-8").splitlines()
]
SHIPPED = [found for r in RECORDS if isinstance(found := lift(r["question"], r["answer"]), Lift)]


def lifted(question: str, answer: str) -> Lift:
    found = lift(question, answer)
    assert isinstance(found, Lift), found
    return found


ENDLESS = lifted(
    "Ann walks 70 miles in 30 hours. How many miles does she walk in 60 hours?",
    "70/30*60=<<70/30*60=140>>140\n#### 140",
)
HUGE = lifted(
    "A firm has 300,000,000 shops with 500,000,000 boxes of 700,000,000 nails. How many nails are that?",
    "300000000*500000000*700000000=<<300000000*500000000*700000000=105000000000000000000000000>>"
    "105000000000000000000000000\n#### 105000000000000000000000000",
)
LARGE = lifted(
    "Jo packs 997 red, 883 blue, 769 green and 659 pink pens. Al takes 101 and Bo takes 211. How many pens stay?",
    "997+883+769+659=<<997+883+769+659=3308>>3308\n3308-101-211=<<3308-101-211=2996>>2996\n#### 2996",
)
PRICES = lifted(
    "Kim buys 12 pens for $1.25 each and 40 pads for $2.35 each. She pays 20% less. What does she pay?",
    "12*1.25=<<12*1.25=15>>15\n40*2.35=<<40*2.35=94>>94\n15+94=<<15+94=109>>109\n"
    "109*80/100=<<109*80/100=87.2>>87.2\n#### 87.2",
)


def random_values(found: Lift, rng: Random) -> dict[str, Fraction]:
    """Values inside and outside the domains, and between their steps."""
    values = found.originals
    profile = rng.choice(PROFILES)
    for p in found.parameters:
        domain, luck = p.domain(profile), rng.random()
        if domain.size and luck < 0.7:
            values[p.name] = domain.at(rng.randrange(domain.size))
        elif luck < 0.8:
            values[p.name] += Fraction(rng.randrange(-9, 30), rng.choice([1, 1, 2, 10, 100]))
    return values


def test_the_compiled_guards_judge_as_the_lift_does():
    rng = Random(7)
    judged = {True: 0, False: 0}
    for found in [*SHIPPED, *[ENDLESS, HUGE, LARGE, PRICES] * 5]:
        for _ in range(30):
            values = random_values(found, rng)
            admissible = found.admissible(values) is None
            assert found.check.admits(values) == admissible, (found.segments, values, found.admissible(values))
            judged[admissible] += 1
    assert min(judged.values()) > 1000


def test_most_shipped_lifts_compile_as_a_whole_and_into_machine_integers():
    assert sum(found.check.complete and not found.check.wide for found in SHIPPED) >= 0.98 * len(SHIPPED)
    assert not ENDLESS.check.complete
    assert HUGE.check.wide and HUGE.check.complete


@pytest.mark.parametrize("profile", PROFILES)
def test_a_space_holds_just_the_admissible_values(profile):
    counted = 0
    for found in [*SHIPPED, ENDLESS]:
        domains = [p.domain(profile) for p in found.parameters]
        if math.prod(max(1, d.size) for d in domains) > 300:
            continue
        columns = [
            [d.at(i) for i in range(d.size)] or [p.value] for d, p in zip(domains, found.parameters, strict=True)
        ]
        rows = (dict(zip(found.originals, row, strict=True)) for row in itertools.product(*columns))
        wanted = {tuple(v.values()) for v in rows if v != found.originals and found.admissible(v) is None}
        space = found.space(profile)
        drawn = [tuple(space.draw(slot, KEY).values()) for slot in range(space.capacity)]
        assert space.exact and len(drawn) == len(wanted) and set(drawn) == wanted
        counted += len(wanted)
    assert counted > 500


@pytest.mark.parametrize("found", [HUGE, LARGE], ids=["huge numbers", "many values"])
def test_a_space_too_large_for_a_table_deals_out_different_admissible_values(found):
    space = found.space("same")
    assert not space.exact and space.capacity > 10_000
    drawn = [space.draw(slot, KEY) for slot in range(0, space.capacity, space.capacity // 200)]
    kept = [tuple(v.items()) for v in drawn if v is not None]
    assert len(kept) >= 0.95 * len(drawn) and len(set(kept)) == len(kept)
    assert all(found.admissible({n: Fraction(v) for n, v in row}) is None for row in kept)
    with pytest.raises(IndexError):
        space.draw(space.capacity, KEY)


def test_values_come_in_their_plain_types():
    drawn = [PRICES.space("same").draw(slot, KEY) for slot in range(40)]
    numbers = [number for values in drawn if values for number in values.values()]
    assert {type(n) for n in numbers} == {int, Fraction}
    assert all(type(n) is int or n.denominator > 1 for n in numbers)


def test_a_domain_is_the_smallest_that_holds_the_value():
    program = LiftedProgram("x", PRICES)
    for name, value in program.original().items():
        domain = program.domain(name, program.original())
        assert value in domain and list(domain) == sorted(domain)
    assert program.domain("n1", program.original() | {"n1": 5000}) == (5000,)


def test_what_is_compiled_is_made_again_after_pickle():
    PRICES.space("same")
    twin = pickle.loads(pickle.dumps(PRICES))
    assert twin == PRICES and not {"check", "_spaces"} & vars(twin).keys()
    assert twin.space("same").draw(3, KEY) == PRICES.space("same").draw(3, KEY)


def test_numbers_too_wide_for_machine_integers_are_counted_exactly():
    found = lifted(
        "Ed has 999,983 crates of 888,887 boxes of 777,781 tins of 666,667 peas. How many peas are that?",
        "999983*888887*777781*666667=<<999983*888887*777781*666667=460898674873798412954767>>"
        "460898674873798412954767\n#### 460898674873798412954767",
    )
    assert found.check.wide
    space = found.space("same")
    drawn = [space.draw(slot, KEY) for slot in range(50)]
    assert all(found.admissible({n: Fraction(v) for n, v in values.items()}) is None for values in drawn if values)
    assert sum(values is not None for values in drawn) >= 48
