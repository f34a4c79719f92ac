"""The card's section on teachers, from what a manifest holds of them."""

from __future__ import annotations

from typing import Any

import pytest

from dsgen.pipeline.dataset.card import card
from dsgen.pipeline.dataset.card_teachers import teachers
from dsgen.pipeline.teachers.vllm.experts import ExpertLoad, figures

SAMPLING = {"n": 2, "temperature": 0.7, "top_p": 0.95, "max_tokens": 4096, "extra": {}}
ENGINE = {"rows": 30, "slots": 100, "occupancy": 0.9, "deaths": 0, "gone": ""}
# Two even layers, and one in which one expert of four gets nothing and another one half.
COUNTS = ((100, 100, 100, 100), (0, 100, 100, 200), (90, 100, 110, 100))


def load(*, gates: bool) -> dict[str, Any]:
    """What the manifest holds of an expert load, made by the code that makes it."""
    seen = ((277.0, 277.0, 277.0), (200, 200, 200)) if gates else ((), ())
    made = ExpertLoad((1, 3, 5), 2, COUNTS, *seen)
    return {**made.data(), "figures": figures(made)}


def manifest(**session: Any) -> dict[str, Any]:
    small = {"kind": "vllm", "model": "some-org/small", "revision": "", "name": "small", "families": ["algebra"]}
    large = {"kind": "openai", "model": "large|er", "revision": "r1", "name": None, "steps": [3, 9]}
    return {
        "teachers": [small | SAMPLING, large | SAMPLING | {"extra": {"top_k": 20}}],
        "pass_rates": {
            "algebra": {"small": [40, 50], "openai:large|er": [10, 10]},
            "logic": {"openai:large|er": [20, 30]},
        },
        "session": {
            "cache": {"memory": 1, "journal": 22, "redis": 0, "misses": 77},
            "canaries": {"small": [9, 16]},
            "teachers": {
                "small": {
                    "asked": 60,
                    "tokens": 123_456,
                    "requeued": 3,
                    "engines": [ENGINE, ENGINE | {"slots": 300, "occupancy": 0.5, "deaths": 1, "gone": "canaries"}],
                    "experts": load(gates=True),
                },
                "openai:large|er": {"asked": 40, "tokens": 9, "requeued": 0, "engines": [ENGINE]},
            },
            **session,
        },
    }


@pytest.mark.parametrize(
    "line",
    [
        "| small | `some-org/small` | not named | 2 | 0.7 | 0.95 | 4,096 | algebra |",
        "| openai:large\\|er | `large\\|er` | `r1` | 2 | 0.7 | 0.95 | 4,096 | 3 to 9 operations |",
        'Further sampling of openai:large\\|er: `{"top_k": 20}`.',
        "| all | openai:large\\|er | 75.0 % | 40 |",
        "| all | small | 80.0 % | 50 |",
        "| algebra | openai:large\\|er | 100.0 % | 10 |",
        "| logic | openai:large\\|er | 66.7 % | 30 |",
        "| small | 2, 1 taken out | 60 | 123,456 | 3 | 1 | 60.0 % | 9 of 16 |",
        "| openai:large\\|er | 1 | 40 | 9 | 0 | 0 | 90.0 % | none asked |",
        "Replies from the cache: 23 of 100 (23.0 %; memory 1, journal 22, redis 0).",
        "Of the last start only. 4 experts in each of 3 layers, 2 of them a token; up to 200 tokens went through a "
        "layer. Utilisation: the share of assignments that fit when every expert takes at most the capacity factor "
        "times an even share.",
        # 75 of 1200 do not fit: expert 4 of layer 3 takes 125 of its 200.
        "| utilisation at capacity factor 1.25 | 93.8 %; 92 % is reached |",
        # (0 + 0.375 + 0.0375) / 3
        "| Gini coefficient, mean over layers | 0.138 |",
        "| dead experts | 1 of 12 |",
        # 277 / 200 / ln 4
        "| gate entropy (1: prefers no expert, 0: always sure), mean over layers | 0.999 |",
        "| tokens of an expert in a layer: least, median, most | 0, 100, 200 |",
        "| 3 | 81.2 % | 0.375 | 0, 100, 200 | 1 |",
    ],
)
def test_what_the_section_says(line: str) -> None:
    assert line in teachers(manifest()).splitlines()


def test_the_section_is_part_of_the_card() -> None:
    text = card(manifest())
    assert text.index("## Trust") < text.index("## Teachers\n\n| teacher |") < text.index("## Provenance")


@pytest.mark.parametrize("made", [{}, {"teachers": []}, {"teachers": [], "pass_rates": {"a": {"derivation": [1, 1]}}}])
def test_without_models_there_is_no_section(made: dict[str, Any]) -> None:
    assert teachers(made) == ""
    assert "## Teachers" not in card(made)


def test_utilisation_below_the_target_is_said() -> None:
    uneven = ExpertLoad((1,), 2, ((0, 0, 0, 400),))
    report = {"asked": 1, "tokens": 1, "requeued": 0, "engines": [ENGINE]}
    text = teachers(manifest(teachers={"small": report | {"experts": {**uneven.data(), "figures": figures(uneven)}}}))
    assert "| utilisation at capacity factor 1.25 | 31.2 %; 92 % is not reached |" in text
    assert "| dead experts | 3 of 4 |" in text


@pytest.mark.parametrize(
    ("experts", "line"),
    [
        (load(gates=False), "| gate entropy (1: prefers no expert, 0: always sure), mean over layers | not known |"),
        ({"why_not": "routers of kind X do not *tell*"}, "The load is not known: routers of kind X do not \\*tell\\*."),
        ({"why_not": ""}, "The load is not known: the engine does not tell."),
    ],
    ids=["gates-unseen", "why-not", "no-word"],
)
def test_what_is_not_known_is_said(experts: dict[str, Any], line: str) -> None:
    report = {"asked": 1, "tokens": 1, "requeued": 0, "engines": [ENGINE], "experts": experts}
    assert line in teachers(manifest(teachers={"small": report})).splitlines()


def test_no_tokens_are_no_even_load() -> None:
    idle = ExpertLoad((1, 2), 2, ((0, 0), (0, 0)))
    report = {"asked": 0, "tokens": 0, "requeued": 0, "engines": [ENGINE]}
    text = teachers(manifest(teachers={"a": report | {"experts": {**idle.data(), "figures": figures(idle)}}}))
    assert "| utilisation at capacity factor 1.25 | not known |" in text
    assert "| dead experts | not known |" in text


def test_only_the_least_even_of_many_layers_get_a_line() -> None:
    many = ExpertLoad(tuple(range(40)), 1, tuple((100 + layer, 100) for layer in range(40)))
    report = {"asked": 1, "tokens": 1, "requeued": 0, "engines": [ENGINE]}
    text = teachers(manifest(teachers={"a": report | {"experts": {**many.data(), "figures": figures(many)}}}))
    lines = text.partition("The 8 least even layers:")[2].strip().splitlines()[2:]
    assert [line.split()[1] for line in lines] == [str(n) for n in range(39, 31, -1)]


def test_a_resumed_run_that_asked_nobody_has_its_pass_rates() -> None:
    made = manifest() | {"session": {}}
    text = teachers(made)
    assert "| all | small | 80.0 % | 50 |" in text
    assert "last start" not in text


@pytest.mark.parametrize("missing", ["teachers", "cache", "canaries"])
def test_missing_parts_do_no_harm(missing: str) -> None:
    made = manifest()
    del made["session"][missing]
    assert "### Engines" in teachers(made)


def test_text_of_others_breaks_nothing() -> None:
    made = manifest()
    made["session"]["teachers"] = {"a\n# b | <i>": {"engines": [ENGINE], "experts": {"why_not": "x\n## y"}}}
    text = teachers(made)
    assert "\n# b" not in text
    assert "\n## y" not in text
    assert "| a \\# b \\| \\<i\\> | 1 | 0 |" in text
