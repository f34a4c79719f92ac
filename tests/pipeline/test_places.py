"""Where records are: every place of a fingerprint, in the order in which it came."""

from array import array

from hypothesis import given, settings
from hypothesis import strategies as st

import dsgen.pipeline.engine.places as module
from dsgen.pipeline.engine.places import Places, fingerprint

WORDS = st.lists(st.sampled_from([0, 1, 2, 2**53, 2**53 + 1, 2**63, 2**64 - 2, 2**64 - 1]), max_size=12)


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), WORDS), max_size=8))
def test_places_are_as_in_a_dictionary_of_lists(steps: list[tuple[bool, list[int]]]) -> None:
    fresh, module._FRESH = module._FRESH, 4
    try:
        places, model, place = Places(), {}, 0
        for at_once, words in steps:
            for word in words:
                model.setdefault(word, []).append(place)
                if not at_once:
                    places.add(word, place)
                place += 1
            if at_once:
                places.load(array("Q", words), array("Q", range(place - len(words), place)))
        assert len(places) == place
        for word in (0, 1, 2, 3, 2**53, 2**53 + 1, 2**63, 2**64 - 2, 2**64 - 1):
            assert places.find(word) == model.get(word, [])
    finally:
        module._FRESH = fresh


def test_a_million_places_are_in_a_few_runs() -> None:
    places = Places()
    for number in range(300_000):
        places.add(fingerprint(str(number)), number)
    assert len(places._runs) <= 5
    assert all(number in places.find(fingerprint(str(number))) for number in range(0, 300_000, 997))
