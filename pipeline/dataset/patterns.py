"""Reasoning patterns: which of them a problem shows, with evidence.

A pattern is assigned only if its rule matches what the answer depends on and every check that it is ``checked_by`` was
executed and passed. :mod:`~dsgen.pipeline.dataset.pattern_rules` says which checks there are. The rules see a problem
as counts of operations, so the patterns that fit are found once for all problems with the same counts; what depends on
values and structure is looked at for each problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

import orjson

from dsgen.pipeline.core import units
from dsgen.pipeline.core.arith import LEAVES, OPS, evaluate
from dsgen.pipeline.core.candidate import Status, Verdict
from dsgen.pipeline.core.derivation import Derivation, Node
from dsgen.pipeline.core.exact import show
from dsgen.pipeline.core.problem import Problem, Tier
from dsgen.pipeline.dataset.pattern_rules import (
    CERTIFICATES,
    CHECKS,
    COMMON,
    DERIVED,
    MUTATORS,
    NOT_DOMAINS,
    Pattern,
    coverage,
    families,
    patterns,
)

_SHOWN = 96
_CACHED = 8192


class _Found(NamedTuple):
    """A supported pattern whose rule fits a signature."""

    pattern: Pattern
    shown: tuple[tuple[tuple[_Kind, ...], int], ...]
    """For each ``op:`` clause the kinds of nodes that fit, and how many to cite."""
    extra: bool
    """There are predicates or checks left that need the derivation itself."""
    rule: str
    checks: str


_Kind = tuple[str, str, str]
"""Operation, role and numbers (``whole``, ``fraction``, ``reduced``) of a node."""


class _Signature(NamedTuple):
    """All that the rules look at, but for ``trace:`` predicates: no values, so that problems of a template share it."""

    family: str
    form: str
    lifted: bool
    mutators: tuple[str, ...]
    prose: bool
    second: bool
    """Whether the second solver passed."""
    long: bool
    counts: frozenset[tuple[_Kind, int]]


def tag(problem: Problem, verdicts: Mapping[str, Verdict]) -> tuple[tuple[str, ...], str]:
    """The ids of the patterns that a problem shows, in list order, and a JSON object with the evidence for each."""
    derivation = problem.derivation
    if derivation is None or problem.tier is Tier.AGREED:
        return (), "{}"
    verdict = verdicts.get("second_solver")
    second = verdict is not None and verdict.status is Status.PASS
    nodes, cap = derivation.nodes, _cap()
    wanted = bytearray(derivation.answer + 1)
    wanted[derivation.answer] = 1
    kinds: dict[_Kind, list[int]] = {}
    operations = 0
    for index in range(derivation.answer, -1, -1):
        if not wanted[index]:
            continue
        op, inputs, value, _, role = nodes[index]
        if op in LEAVES:
            continue
        operations += 1
        for i in inputs:
            wanted[i] = 1
        kind = (op, role, _numbers(op, [nodes[i][2] for i in inputs], value) if op in _TYPED else "")
        places = kinds.get(kind)
        if places is None:
            kinds[kind] = [index]
        elif len(places) < cap:
            places.append(index)
    if not second and derivation.faults():
        return (), "{}"
    mutations = problem.lineage.mutations
    signature = _Signature(
        problem.family,
        problem.form,
        problem.tier is Tier.LIFTED,
        tuple([m.mutator.partition("/v")[0] for m in mutations]) if mutations else (),
        _is_prose(problem),
        second,
        operations >= _LONG,
        frozenset([(kind, len(places)) for kind, places in kinds.items()]),
    )
    found = _CACHE.get(signature)
    if found is None:
        if len(_CACHE) >= _CACHED:
            _CACHE.clear()
        found = _CACHE[signature] = _match(signature)
    written: dict[int, str] = {}
    evidence: dict[str, str] = {}
    for pattern, shown, extra, rule, checks in found:
        if extra and not _holds(pattern, derivation, kinds):
            continue
        cited = "" if shown else f": {operations} load-bearing operations"
        for fitting, count in shown:
            places = kinds[fitting[0]] if len(fitting) == 1 else sorted([i for k in fitting for i in kinds[k]])[::-1]
            first, *others = places[:count][::-1]
            text = written.get(first)
            if text is None:
                text = written[first] = _write(first, nodes)
            cited += f", {text}" if cited else f": {text}"
            for other in others:
                cited += f", node {other}"
        evidence[pattern.id] = f"{rule}{cited}; checked by: {checks}"
    return tuple(evidence), orjson.dumps(evidence).decode()


_CACHE: dict[_Signature, tuple[_Found, ...]] = {}
_LONG = 30
"""A path of so many operations needs at least so many of them."""
_ALWAYS = frozenset({"reexecution", "second_solver"})
_TYPED = frozenset(op for _, ops, numbers in DERIVED if numbers != "any" for op in ops)


@cache
def _cap() -> int:
    """No rule asks for more nodes of one kind."""
    return max(c.least for p in patterns() if p.supported for c in p.clauses if c.kind == "op")


@cache
def _by_family() -> Mapping[str, str]:
    """Operations that only one family's patterns speak of, of those that can be assigned."""
    named: dict[str, set[str]] = {}
    for pattern in patterns():
        for clause in pattern.clauses:
            if clause.kind == "op" and pattern.supported and pattern.family not in NOT_DOMAINS:
                for name in clause.names - COMMON:
                    named.setdefault(name, set()).add(pattern.family)
    return {name: next(iter(of)) for name, of in named.items() if len(of) == 1}


def _numbers(op: str, values: list[Any], value: Any) -> str:
    fraction = Fraction in map(type, values)
    if type(value) is not Fraction:
        return "fraction" if fraction else "whole"
    if op == "mul":
        written = values[0].denominator * values[1].denominator
    else:
        written = abs(values[1]) if op == "div" and not fraction else 1
    return "reduced" if written > value.denominator else "fraction"


def _is_prose(problem: Problem) -> bool:
    """Whether the statement is told in words only: what rules call a word problem."""
    return all(part.kind == "text" and "=" not in part.content for part in problem.parts)


@cache
def _names(kind: _Kind) -> frozenset[str]:
    op, role, numbers = kind
    derived = [name for name, ops, of in DERIVED if op in ops and of in ("any", numbers)]
    return frozenset([op, role, *derived]) - {""}


def _match(signature: _Signature) -> tuple[_Found, ...]:
    """The supported patterns that every problem of a signature may show."""
    family, form, lifted, mutators, prose, second, long, counts = signature
    known = [MUTATORS.get(m, m) for m in mutators]
    found = []
    for pattern in patterns():
        if not pattern.supported or ("second_solver" in pattern.checked_by and not second):
            continue
        if lifted and (pattern.family != "arithmetic" or pattern.checked_by != ("reexecution",)):
            continue
        shown = []
        for clause in pattern.clauses:
            if clause.kind == "op":
                fitting = tuple(kind for kind, _ in counts if _names(kind) & clause.names)
                fits = sum(n for kind, n in counts if kind in fitting) >= clause.least
                shown.append((fitting, clause.least))
            elif clause.kind == "mut":
                fits = sum(m in clause.names for m in known) >= clause.least
            elif clause.kind == "cert":
                fits = form in {CERTIFICATES[name] for name in clause.names}
            elif clause.kind == "fam":
                fits = family in clause.names or (prose and "word_problem" in clause.names)
            elif clause.head == "families":
                of = sorted((name, kind) for kind, _ in counts for name in _names(kind) if name in _by_family())
                chosen = {_by_family()[name]: kind for name, kind in of}
                fits = len(chosen) >= clause.least
                shown += [((kind,), 1) for kind in chosen.values()]
            else:
                fits = clause.head != "critical_path" or long
            if not fits:
                break
        else:
            checks = ", ".join(CHECKS[c] for c in pattern.checked_by)
            extra = any(c.kind == "trace" and c.head != "families" for c in pattern.clauses)
            extra = extra or not _ALWAYS.issuperset(pattern.checked_by)
            found.append(_Found(pattern, tuple(shown), extra, pattern.rule, checks))
    return tuple(found)


def _holds(pattern: Pattern, derivation: Derivation, kinds: Mapping[_Kind, list[int]]) -> bool:
    """Whether the ``trace:`` predicates of a pattern hold for this derivation, and the checks of its own pass."""
    for clause in pattern.clauses:
        if clause.head == "critical_path" and derivation.depth() < clause.least:
            return False
        if clause.head == "chained":
            places = {i for kind, at in kinds.items() if _names(kind) & clause.names for i in at}
            if not any(_feeds(derivation.nodes, places - {later}, later) for later in places):
                return False
    return ("units" not in pattern.checked_by or _units_hold(derivation)) and (
        "drop_step" not in pattern.checked_by or _drop_changes(derivation)
    )


def _feeds(nodes: tuple[Node, ...], earlier: set[int], later: int) -> bool:
    """Whether a node is a multiple of an earlier one, or of an earlier one's sum or difference with its own base.

    Then its value is the product of all factors times the first base, which the re-executed nodes prove.
    """
    for index in _factors(nodes, later):
        if index in earlier:
            return True
        if nodes[index].op in ("add", "sub"):
            left, right = nodes[index].inputs
            if (left in earlier and right in _factors(nodes, left)) or (
                right in earlier and left in _factors(nodes, right)
            ):
                return True
    return False


def _factors(nodes: tuple[Node, ...], index: int) -> set[int]:
    """The nodes that a node is made from by multiplication and division alone."""
    found: set[int] = set()
    waiting = list(nodes[index].inputs)
    while waiting:
        above = waiting.pop()
        if above not in found:
            found.add(above)
            if nodes[above].op in ("mul", "div"):
                waiting += nodes[above].inputs
    return found


def _units_hold(derivation: Derivation) -> bool:
    nodes = derivation.nodes
    for index in derivation.load_bearing():
        node = nodes[index]
        if node.op not in ("add", "sub", "mul", "div"):
            continue
        left, right = (nodes[i].unit for i in node.inputs)
        if node.op in ("add", "sub"):
            fits = node.unit == left == right
        else:
            fits = node.unit == units.multiply(left, right, 1 if node.op == "mul" else -1)
        if not fits:
            return False
    return True


def _drop_changes(derivation: Derivation) -> bool:
    """Whether the answer changes when the step in the middle of the longest path is left out.

    A step is what a sentence states; a path on which hardly anything is stated counts by its operations.
    """
    nodes = derivation.nodes
    depths: list[int] = []
    for node in nodes:
        depths.append(1 + max((depths[i] for i in node.inputs), default=0) if node.inputs else 0)
    path = [derivation.answer]
    while nodes[path[-1]].inputs:
        path.append(max(nodes[path[-1]].inputs, key=lambda i: depths[i]))
    stated = {step.node for step in derivation.steps}
    steps = [index for index in path if index in stated]
    if len(steps) < 3:
        steps = path
    dropped, before = steps[len(steps) // 2], steps[len(steps) // 2 + 1]
    values = [node.value for node in nodes]
    values[dropped] = values[before]
    changed = {dropped}
    try:
        for index in range(dropped + 1, derivation.answer + 1):
            if not changed.isdisjoint(nodes[index].inputs):
                values[index] = evaluate(nodes[index].op, tuple(values[i] for i in nodes[index].inputs))
                changed.add(index)
    except (ArithmeticError, TypeError):
        return True
    return values[derivation.answer] != derivation.value


def _write(index: int, nodes: tuple[Node, ...]) -> str:
    """``node 4 gcd(12, 18) = 6``, cut where it is long."""
    op, inputs, value, _, role = nodes[index]
    values = [show(nodes[i][2]) for i in inputs]
    form = OPS[op]
    if form.form == "infix":
        text = f"{values[0]} {form.sign} {values[1]}"
    elif form.form == "sum":
        text = " + ".join(values)
    elif form.form == "postfix":
        text = values[0] + form.sign
    else:
        text = f"{form.sign or op}({', '.join(values)})"
    text = f"{text[:_SHOWN]}…" if len(text) > _SHOWN else text
    result = show(value)
    result = f"{result[:_SHOWN]}…" if len(result) > _SHOWN else result
    return f"node {index} {f'{role}: ' if role else ''}{text} = {result}"


__all__ = ["CHECKS", "Pattern", "coverage", "families", "patterns", "tag"]
