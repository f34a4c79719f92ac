"""Lifting a GSM8K record into a program: some numbers of the question become parameters.

A record is lifted when its annotated calculations are exact and give its final answer, when it does not matter which of
the possible origins each of their numbers has, and when at least one number of the question can change without
changing how the problem is solved. What is doubtful keeps its value or is not lifted.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from random import Random

from dsgen.seeds.text.lift_check import Check
from dsgen.seeds.text.lift_domain import parameter_of
from dsgen.seeds.text.lift_expr import Const, Expr, Param, Result, map_leaves
from dsgen.seeds.text.lift_guards import fixed_by_relations, guards_of
from dsgen.seeds.text.lift_model import PROFILES, Lift, LiftStep, NotLifted, Parameter, Slot, uses
from dsgen.seeds.text.lift_numerals import write_number
from dsgen.seeds.text.lift_read import Equation, Solution, Unreadable, read_solution
from dsgen.seeds.text.lift_resolve import Origins, Resolution, name_of, resolve, traceable, world_constants
from dsgen.seeds.text.lift_risk import risky, structural_word
from dsgen.seeds.text.lift_sentence import Sources, sentences
from dsgen.seeds.text.numbers import Mention, read_numbers

STAGES = ("read", "annotated", "reproduced", "unambiguous", "lifted")
_TRIES = 300
_MANY_CHILDREN = 6
_LEAST_CHILDREN = 3

__all__ = ["PROFILES", "STAGES", "Lift", "LiftStep", "NotLifted", "Parameter", "Slot", "draw_values", "lift"]


@lru_cache(maxsize=1024)
def lift(question: str, answer: str) -> Lift | NotLifted:
    """The record as a program, or the last stage of :data:`STAGES` that it reached and why it stopped there."""
    try:
        return _lift(question, read_solution(answer), answer)
    except Unreadable as stop:
        return NotLifted(STAGES[STAGES.index(stop.stage) - 1], stop.reason)


def draw_values(lifted: Lift, profile: str, rng: Random, tries: int = _TRIES) -> dict[str, Fraction] | None:
    """Random admissible values that differ from the record's own; ``None`` when none is found."""
    parts = _draw(lifted.check, PROFILES.index(profile), rng, tries)
    return None if parts is None else lifted.check.fractions(parts)


def _draw(check: Check, place: int, rng: Random, tries: int) -> list[int] | None:
    spans = [(i, grid.ranges[place], grid) for i, grid in enumerate(check.grids) if grid.ranges[place]]
    for attempt in range(tries):
        parts = check.original.copy()
        for i, span, _ in spans:
            # Divisibility between several numbers is rare by chance: later attempts change fewer of them.
            if attempt < tries // 3 or rng.random() < 0.5:
                parts[i] = span[rng.randrange(len(span))]
        if parts != check.original and all(grid.holds(parts[i]) for i, _, grid in spans) and check.holds(parts):
            return parts
    return None


def _lift(question: str, solution: Solution, answer: str) -> Lift:
    mentions = tuple(read_numbers(question))
    frozen = set(risky(question, mentions))
    constants = world_constants(f"{question} {answer}")
    origins = Origins(mentions, frozenset(range(len(mentions))) - frozen, constants)
    equations = traceable(solution.equations, origins)
    if not equations or equations[-1].value != solution.gold:
        raise Unreadable("unambiguous", "number-without-origin")
    resolution = resolve(equations, origins)
    if word := structural_word(question):
        raise Unreadable("lifted", word)
    equations, exprs = _only_needed(equations, resolution)
    used = _used(exprs)
    fixed = fixed_by_relations(question, mentions, used, equations, exprs)
    free = frozenset(i for i in resolution.free if i in used) - fixed
    if not free:
        raise Unreadable("lifted", "nothing-free")
    return _assemble(question, mentions, free, equations, exprs, solution)


def _assemble(
    question: str,
    mentions: Sequence[Mention],
    free: frozenset[int],
    equations: Sequence[Equation],
    exprs: Sequence[Expr],
    solution: Solution,
) -> Lift:
    exprs = [_freeze(e, mentions, free) for e in exprs]
    steps = tuple(sentences(solution.lines, equations, Sources(mentions, free, exprs)))
    guards = guards_of(question, mentions, free, exprs)
    segments = _segments(question, mentions, free)
    for fine, wanted in ((False, _MANY_CHILDREN), (True, _LEAST_CHILDREN)):
        parameters = tuple(parameter_of(name_of(i), mentions[i], question, fine=fine) for i in sorted(free))
        lifted = Lift(segments, parameters, steps, guards)
        _check_identity(lifted, question, solution.gold)
        if _has_children(lifted, wanted):
            return lifted
    raise Unreadable("lifted", "too-few-children")


def _has_children(lifted: Lift, wanted: int) -> bool:
    """Whether a short search finds so many different admissible values."""
    rng = Random(lifted.render_question(lifted.originals))  # noqa: S311 - the same record is always judged the same way
    found: set[tuple[int, ...]] = set()
    for _ in range(6 * wanted):
        parts = _draw(lifted.check, PROFILES.index("same"), rng, 200)
        if parts is None:
            return False
        found.add(tuple(parts))
        if len(found) >= wanted:
            return True
    return False


def _check_identity(lifted: Lift, question: str, gold: Fraction) -> None:
    originals = lifted.originals
    if lifted.render_question(originals) != question:
        raise Unreadable("lifted", "cannot-be-rewritten")
    if lifted.evaluate(originals)[-1] != gold or lifted.admissible(originals) is not None:
        raise Unreadable("lifted", "does-not-reproduce")


def _segments(question: str, mentions: Sequence[Mention], free: frozenset[int]) -> tuple[str | Slot, ...]:
    segments: list[str | Slot] = []
    position = 0
    for index in sorted(free):
        mention = mentions[index]
        if write_number(mention.value, mention.style) != mention.text:
            raise Unreadable("lifted", "cannot-be-rewritten")
        segments += [question[position : mention.start], Slot(name_of(index))]
        position = mention.end
    return tuple(s for s in (*segments, question[position:]) if s != "")


def _freeze(expr: Expr, mentions: Sequence[Mention], free: frozenset[int]) -> Expr:
    names = {name_of(i): i for i in range(len(mentions))}

    def change(leaf: Const | Param | Result) -> Expr:
        if isinstance(leaf, Param) and names[leaf.name] not in free:
            return Const(mentions[names[leaf.name]].value)
        return leaf

    return map_leaves(expr, change)


def _used(exprs: Sequence[Expr]) -> frozenset[int]:
    return frozenset(int(u[1:]) - 1 for e in exprs for u in uses(e) if isinstance(u, str))


def _only_needed(equations: Sequence[Equation], resolution: Resolution) -> tuple[list[Equation], list[Expr]]:
    """The equations that the answer depends on, renumbered."""
    kept = sorted(resolution.needed)
    place = {old: new for new, old in enumerate(kept)}

    def renumber(leaf: Const | Param | Result) -> Expr:
        return Result(place[leaf.index]) if isinstance(leaf, Result) else leaf

    return [equations[i] for i in kept], [map_leaves(resolution.exprs[i], renumber) for i in kept]
