"""The question turned round: a parameter is hidden, the result is told, and what the parameter is gets asked.

Hiding a number often leaves more than one value that gives the same result. So the exact preimage of the result comes
first: one value makes a unique question, a few make "find all", and more than a few make no child. The preimage is
either proved from the step DAG (a one-to-one way back, or a linear congruence) or found by trying the whole domain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from functools import partial
from typing import Any, Literal, NamedTuple

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.answers import Answer, Collection
from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.backsearch import Try, by_residues, try_all
from dsgen.pipeline.core.backsolve import Backward, go_back
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.frames import frames_of, masked
from dsgen.pipeline.core.inverse import (
    Route,
    agrees,
    dependents,
    has_differences,
    leaves_of,
    lines_below,
    outcome,
    route,
)
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Mutator, NotApplicable
from dsgen.pipeline.core.problem import Mutation, Part, Problem
from dsgen.pipeline.core.program import Program, Values

LARGEST_DOMAIN = 400
LARGEST_BRUTE_FORCE = 5000
MOST_TRIES = 40
MOST_EQUATIONS = 150
MOST_SOLUTIONS = 12
_SYMBOLS = ("x", "y", "z", "n", "k", "u", "w")


class InvertBackward(Mutator):
    """Backward questions with fresh values; child ``i`` hides the ``i``-th of the parameters that can be hidden.

    The values are dealt out like those of ``perturb``, child ``i`` of the ``s``-th of ``S`` seeds taking slot
    ``S × i + s``, but from a shuffling of the space that is this mutator's own. Children of the same seed after
    different mutations get different shufflings.
    """

    kind: Literal["invert_backward"] = "invert_backward"
    profile: Literal["same", "easier", "harder"] = "same"

    def capacity(self, problem: Problem) -> int:
        program = problem.program
        if program is None or problem.form != "forward" or not program.maskable():
            return 0
        return program.capacity(self.profile) // problem.draw.population

    def mutate(self, problem: Problem, index: int, key: Key) -> Problem | NotApplicable:
        program = problem.program
        if program is None:
            return NotApplicable("no_derivation")
        if problem.form != "forward":
            return NotApplicable("not_forward")
        names = program.maskable()
        if not names:
            return NotApplicable("nothing_to_hide")
        if index >= self.capacity(problem):
            return NotApplicable("no_such_profile" if program.capacity(self.profile) == 0 else "space_exhausted")
        trail = [part for m in problem.lineage.mutations for part in (m.mutator, m.child)]
        ordinal, population = problem.draw
        values = program.draw(self.profile, population * index + ordinal, key.child(self.kind, *trail))
        if values is None:
            return NotApplicable("no_admissible_values")
        try:
            forward = program.derive(values)
        except Degenerate:
            return NotApplicable("degenerate")
        first = index % len(names)
        reason = ""
        for name in (*names[first:], *names[:first]):
            made = _Hidden(program, values, name, forward).ask(problem)
            if not isinstance(made, NotApplicable):
                note = f"{name} hidden; " + ", ".join(f"{n}: {show(v)}" for n, v in values.items())
                parts, answer, form, derivation, second = made
                return Problem(
                    parts=parts,
                    answer=answer,
                    lineage=problem.lineage.then(Mutation(self.stamp, index, note)),
                    tier=program.tier,
                    family=problem.family,
                    form=form,
                    derivation=derivation,
                    values=values,
                    draw=problem.draw,
                    second=second,
                )
            reason = reason or made.reason
        return NotApplicable(reason)


class _Asked(NamedTuple):
    parts: tuple[Part, ...]
    answer: Answer
    form: str
    derivation: Derivation
    second: partial[Exact] | None


class _Preimage(NamedTuple):
    """All values that give the result, and how that is known."""

    values: Sequence[Exact]
    way: Route | None
    tries: Sequence[Try] = ()

    @property
    def bounded(self) -> bool:
        """Whether it holds only within the domain, so that the statement must name it."""
        return self.way is None or self.way.bounded


class _Hidden:
    """One parameter of one problem, hidden."""

    def __init__(self, program: Program, values: Values, name: str, forward: Derivation) -> None:
        self.program = program
        self.values = values
        self.name = name
        self.forward = forward
        self.own = values[name]
        self.domain = program.domain(name, values)
        self.leaves = leaves_of(forward, name)
        self.others: list[tuple[Exact, Derivation]] = []
        """Some other values with what the program derives for them."""

    def ask(self, problem: Problem) -> _Asked | NotApplicable:
        """The backward question, or why there is none."""
        forward = self.forward
        if not self.leaves or not dependents(forward.nodes, self.leaves)[forward.answer]:
            return NotApplicable("does_not_matter")
        if forward.answer in self.leaves:
            return NotApplicable("trivial")
        if len(self.domain) < 2:
            return NotApplicable("no_domain")
        if len(self.domain) > LARGEST_BRUTE_FORCE:
            return NotApplicable("domain_too_large")
        self._look_around()
        preimage = self._preimage()
        if isinstance(preimage, NotApplicable):
            return preimage
        found = preimage.values
        if len(found) > MOST_SOLUTIONS:
            return NotApplicable("not_unique")
        if found[0] != self.own:
            # Each of its solutions could be drawn and would make the very same question: only the least one does.
            return NotApplicable("same_as_cousin")
        symbol = self._symbol()
        if not symbol:
            return NotApplicable("no_letter_left")
        bounds = _bounds(symbol, self.domain) if preimage.bounded or self._shows_code() else ""
        parts = self._statement(symbol, bounds, all_of_them=len(found) > 1)
        if isinstance(parts, NotApplicable):
            return parts
        derivation = self._solution(preimage, symbol, bounds)
        answer = Collection(frozenset(found)) if len(found) > 1 else answers.of(self.own)
        form = "find_all" if len(found) > 1 else "backward"
        return _Asked(parts, answer, form, derivation, self._second())

    def _with(self, value: Exact) -> dict[str, Exact]:
        return {**self.values, self.name: value}

    def _try(self, value: Exact) -> Try:
        try:
            return Try(value, self.program.derive(self._with(value)))
        except Degenerate as obstacle:
            return Try(value, None, str(obstacle))

    def _could_be_meant(self, value: Exact, outcome: Exact | None) -> bool:
        """Whether a reader of the text may take a value for a solution that the program's conditions leave out.

        That is so when the calculation gives the result for it, but for its sign: where a difference turns round, a
        length or an angle has the same size. Or when the second solver, which reads the text its own way, says so.
        """
        result = self.forward.value
        if outcome is not None and (outcome == result or (_is_number(result) and outcome == -result)):  # type: ignore[operator]
            return True
        try:
            return self.program.second(self._with(value)) == result
        except (ArithmeticError, ValueError, TypeError, LookupError, StopIteration, RuntimeError):
            return False

    def _look_around(self) -> None:
        """Derive for the ends of the domain, the neighbours and the middle."""
        domain = self.domain
        at = domain.index(self.own)
        places = {0, len(domain) - 1, at - 1, at + 1, len(domain) // 2}
        for place in sorted(places):
            if place != at and 0 <= place < len(domain):
                derivation = self._try(domain[place]).derivation
                if derivation is not None:
                    self.others.append((domain[place], derivation))

    def _preimage(self) -> _Preimage | NotApplicable:
        forward, leaves = self.forward, self.leaves
        way = route(forward, leaves, self.domain)
        if way is not None and self.others and all(agrees(forward, leaves, v, d) for v, d in self.others):
            if way.kind == "residue":
                found = self._residues(way)
                admitted = all(self.program.admissible(self._with(v)) for v in found)
                return _Preimage(found, way) if admitted else NotApplicable("hidden_condition")
            if not has_differences(forward, leaves):
                return _Preimage((self.own,), way)
            # A difference may be meant without its sign, so the text is taken at its word within the domain only.
            if len(self.domain) > LARGEST_DOMAIN:
                return NotApplicable("domain_too_large")
            for value in self.domain:
                if not self.program.admissible(self._with(value)):
                    if self._could_be_meant(value, outcome(forward, leaves, value)):
                        return NotApplicable("hidden_condition")
            return _Preimage((self.own,), way._replace(bounded=True))
        return self._search()

    def _residues(self, way: Route) -> list[Exact]:
        nodes = self.forward.nodes
        line = lines_below(nodes, dependents(nodes, self.leaves), self.leaves, way.end)[way.end]
        if line is None or type(self.own) is not int:
            raise AssertionError(f"{self.name}: a route by residues without a line")
        return [v for v in self.domain if line.slope * (v - self.own) % line.modulus == 0]  # type: ignore[operator]

    def _search(self) -> _Preimage | NotApplicable:
        if len(self.domain) > LARGEST_DOMAIN:
            return NotApplicable("domain_too_large")
        if len(self.domain) > MOST_TRIES:
            return NotApplicable("casework_too_long")
        result = self.forward.value
        tries: list[Try] = []
        found: list[Exact] = []
        equations = 0
        for value in self.domain:
            trial = self._try(value)
            tries.append(trial)
            reached = trial.derivation.value if trial.derivation else None
            equations += len(trial.derivation.steps) if trial.derivation else 0
            if self.program.admissible(self._with(value)):
                if reached == result:
                    found.append(value)
            elif self._could_be_meant(value, reached):
                return NotApplicable("hidden_condition")
        if self.own not in found:
            raise AssertionError(f"{self.program.id}: {self.name} = {self.own} does not give its own result again")
        return NotApplicable("casework_too_long") if equations > MOST_EQUATIONS else _Preimage(found, None, tries)

    def _symbol(self) -> str:
        """A letter that neither statement nor solution uses; empty when there is none."""
        texts = [p.content for p in self.program.facts_parts(self.values, {})]
        texts.append(self.program.result("", self.values))
        texts += [step.text for step in self.forward.steps]
        used = set(re.findall(r"(?<![A-Za-z_])[a-z](?![A-Za-z_])", " ".join(texts)))
        return next((s for s in _SYMBOLS if s not in used), "")

    def _shows_code(self) -> bool:
        """Whether the statement is a program, which may branch on what is hidden."""
        return any(p.kind == "code" for p in self.program.facts_parts(self.values, {}))

    def _statement(self, symbol: str, bounds: str, *, all_of_them: bool) -> tuple[Part, ...] | NotApplicable:
        program, name = self.program, self.name
        hidden = {name: symbol}
        told = answers.of(self.forward.value).show()
        other = self._with(self.others[0][0]) if self.others else self.values
        try:
            parts = program.facts_parts(self.values, hidden)
            result = program.result(told, self._with(symbol))
            tells = program.facts_parts(other, hidden) != parts
        except (TypeError, ValueError, AttributeError, KeyError, IndexError):
            return NotApplicable("cannot_be_hidden")
        if tells:
            return NotApplicable("leak")
        if not any(re.search(rf"(?<![A-Za-z_]){symbol}(?![A-Za-z_])", p.content) for p in parts):
            return NotApplicable("not_shown")
        meaning = program.meaning(name)
        what = f"{symbol}, {meaning}" if meaning else symbol
        if all_of_them:
            question = f"Find all possible values of {what}."
        else:
            question = f"What is {what}?" if meaning else f"Find {symbol}."
        tail = " ".join(s for s in (result, bounds, question) if s)
        if parts and parts[-1].kind == "text":
            parts[-1] = Part("text", f"{parts[-1].content} {tail}")
        else:
            parts.append(Part("text", tail))
        return tuple(parts)

    def _solution(self, preimage: _Preimage, symbol: str, bounds: str) -> Derivation:
        frames: list[str | None] = frames_of(self.forward)
        for other, derivation in self.others:
            if len(derivation.steps) == len(frames):
                twin = frames_of(derivation)
                frames = [masked(f, self.own, g, other, symbol) for f, g in zip(frames, twin, strict=True)]
                break
        work = Backward(self.forward, self.leaves, frames, symbol)
        work.preliminaries()
        way = preimage.way
        unique = len(preimage.values) == 1
        if way is None:
            answer = try_all(work, self.name, preimage.tries, preimage.values)
        elif way.kind == "residue":
            answer = by_residues(work, way, go_back(work, way), preimage.values, bounds)
        else:
            answer = go_back(work, way)
        if unique:
            work.tape.symbols[symbol] = self.own
            if way is not None:
                work.tape.symbols.update(self.forward.symbols)
                work.replay(answer)
        return work.tape.finish(answer)

    def _second(self) -> partial[Exact] | None:
        if self.program.second(self.values) is None:
            return None
        return partial(_by_brute_force, self.program, dict(self.values), self.name, self.domain, self.forward.value)


def _by_brute_force(program: Program, values: Values, name: str, domain: Sequence[Exact], result: Exact) -> Exact:
    """The values of the domain for which the program's second solver comes to the result; a single one by itself."""
    found = []
    for value in domain:
        trial = {**values, name: value}
        if program.admissible(trial) and program.second(trial) == result:
            found.append(value)
    return found[0] if len(found) == 1 else frozenset(found)


def _is_number(value: Exact) -> bool:
    return type(value) is int or type(value) is Fraction


def _bounds(symbol: str, domain: Sequence[Any]) -> str:
    """The sentence that names the domain."""
    first, last, step = domain[0], domain[-1], domain[1] - domain[0]
    even = all(b - a == step for a, b in zip(domain, domain[1:], strict=False))
    if even and step == 1:
        return f"{symbol} is a whole number from {show(first)} to {show(last)}."
    if even and len(domain) > 4:
        if first % step == 0:
            return f"{symbol} is a multiple of {show(step)} from {show(first)} to {show(last)}."
        return f"{symbol} is one of the numbers {show(first)}, {show(domain[1])}, {show(domain[2])}, ..., {show(last)}."
    return f"{symbol} is one of the numbers {', '.join(map(show, domain[:-1]))} and {show(last)}."
