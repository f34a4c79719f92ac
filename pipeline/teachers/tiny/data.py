"""What the teacher learns from: dsgen's own problems as prompts, their derivations as texts to be written.

The parameter space of every template is split once and for all by its numbers: a problem whose numbers are held out is
never trained on, whatever names and goods stand in it. Accuracy is measured on held-out problems only.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import NamedTuple

from dsgen.pipeline.core.arith import LEAVES, Degenerate
from dsgen.pipeline.core.candidate import Message
from dsgen.pipeline.core.exact import show
from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.problem import Lineage, Problem
from dsgen.pipeline.core.program import Draw, Origin
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.teachers.prompt import prompt
from dsgen.pipeline.teachers.tiny.spelling import spell
from dsgen.seeds.catalog import templates

TEMPLATES = (
    "algebra/two_tariffs",
    "arithmetic/ages",
    "arithmetic/market_change",
    "code/stack_machine",
    "combinatorics/menu_with_rule",
    "geometry/altitude_and_bisector",
    "geometry/fenced_garden",
    "number_theory/last_digit",
)
"""What is taught: whole-number answers by sums, differences, products and divisions by a single digit."""

PROFILES = ("same", "easier")
"""Magnitudes of the numbers that are taught."""

HELD_OUT_PERCENT = 20
_SPLIT = "tiny teacher: held-out numbers"
# Read off what the solution has stated already: nothing to work out.
_READ_OFF = LEAVES | {"count", "tuple", "item"}


class Example(NamedTuple):
    """A conversation of one turn, and the text that the teacher is to answer it with."""

    messages: tuple[Message, ...]
    target: str


def held_out(problem: Problem) -> bool:
    """Whether a problem's numbers belong to the part of the space that is kept for measuring."""
    numbers = [f"{name}={show(value)}" for name, value in sorted(problem.values.items()) if _is_numeric(value)]
    template = problem.program.id if problem.program else ""
    return int.from_bytes(digest(_SPLIT, template, *numbers, size=8), "big") % 100 < HELD_OUT_PERCENT


def _is_numeric(value: object) -> bool:
    return type(value) is int or (isinstance(value, tuple) and all(type(v) is int for v in value))


def problems(template_id: str, profile: str, key: Key) -> Iterator[Problem]:
    """All problems of a template and a profile, in the order of the key; no two share their values."""
    template = templates()[template_id]
    for slot in range(template.capacity(profile)):
        values = template.draw(profile, slot, key)
        if values is None:
            continue
        lineage = Lineage("templates", f"{template_id}#{slot}", template.hash, key.raw.hex())
        try:
            yield template.pose(values, Origin(lineage, Draw(slot, 1)))
        except Degenerate:
            continue


def chosen(
    template_id: str, key: Key, *, held: bool, count: int, profiles: tuple[str, ...] = PROFILES
) -> list[Problem]:
    """At most ``count`` different problems of one part of the split, the profiles taking turns."""
    by_profile = [(p for p in problems(template_id, profile, key) if held_out(p) is held) for profile in profiles]
    turns = (p for turn in zip_longest(*by_profile) for p in turn if p is not None)
    return list(islice(_different(turns), count))


def _different(found: Iterator[Problem]) -> Iterator[Problem]:
    """Profiles overlap: what is drawn under two of them counts once."""
    seen = set()
    for problem in found:
        if problem.id not in seen:
            seen.add(problem.id)
            yield problem


def example(problem: Problem) -> Example:
    """What a run sends for a problem, and the answer with its arithmetic inside ``<think>``."""
    return Example(prompt(problem, instructions=""), f"<think>\n{thought(problem)}\n</think>\n\n{render(problem)}")


def thought(problem: Problem) -> str:
    """Every operation of the derivation in order, spelled out, a line each; none twice.

    Raises:
        Unspelled: the derivation has an operation that is not taught.
        ValueError: the problem has no derivation.
    """
    derivation = problem.derivation
    if derivation is None:
        raise ValueError(f"problem {problem.id} has no derivation to spell out")
    nodes = derivation.nodes
    lines = [spell(n.op, [nodes[i].value for i in n.inputs]) for n in nodes if n.op not in _READ_OFF]
    return "\n".join(dict.fromkeys(lines))
