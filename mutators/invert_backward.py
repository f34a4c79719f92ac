"""The question turned round: a parameter is hidden, the result is told, and what the parameter is gets asked.

Hiding a number often leaves more than one value that gives the same result. So the exact preimage of the result comes
first: one value makes a unique question, a few make "find all", and more than a few make no child. The preimage is
either proved from the step DAG (a one-to-one way back, or a linear congruence) or found by trying the whole domain.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import show
from dsgen.pipeline.core.inversion.backsearch import by_residues, try_all
from dsgen.pipeline.core.inversion.backsolve import go_back
from dsgen.pipeline.core.inversion.backward import Backward
from dsgen.pipeline.core.inversion.frames import frames_of, masked
from dsgen.pipeline.core.inversion.inverse import dependents
from dsgen.pipeline.core.inversion.preimage import Hidden, Preimage
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Mutator, NotApplicable
from dsgen.pipeline.core.problem import Mutation, Part, Problem

MOST_SOLUTIONS = 12
"""A question for all values has no more answers than these."""
_SYMBOLS = ("x", "y", "z", "n", "k", "u", "w")


class InvertBackward(Mutator):
    """Backward questions with fresh values; child ``i`` hides the ``i``-th of the parameters that can be hidden.

    Where that one cannot, the next ones are tried in turn. The values are dealt out like those of ``perturb``, child
    ``i`` of the ``s``-th of ``S`` seeds taking slot ``S × i + s``, but from a shuffling of the space that is this
    mutator's own. Children of the same seed after different mutations get different shufflings.
    """

    kind: Literal["invert_backward"] = "invert_backward"
    profile: Literal["same", "easier", "harder"] = "same"

    def draws_from(self) -> str:
        return self.profile

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
            note = f"{name} hidden; " + ", ".join(f"{n}: {show(v)}" for n, v in values.items())
            child = _ask(Hidden(program, values, name, forward), problem, Mutation(self.stamp, index, note))
            if not isinstance(child, NotApplicable):
                return child
            reason = reason or child.reason
        return NotApplicable(reason)


def _ask(hidden: Hidden, parent: Problem, mutation: Mutation) -> Problem | NotApplicable:
    """The backward question, or why there is none."""
    preimage = hidden.preimage()
    if isinstance(preimage, NotApplicable):
        return preimage
    found = preimage.values
    if len(found) > MOST_SOLUTIONS:
        return NotApplicable("not_unique")
    if found[0] != hidden.own:
        # Each of its solutions could be drawn and would make the very same question: only the least one does.
        return NotApplicable("same_as_cousin")
    symbol = _letter(hidden)
    if not symbol:
        return NotApplicable("no_letter_left")
    parts = _statement(hidden, preimage, symbol)
    if isinstance(parts, NotApplicable):
        return parts
    unique = len(found) == 1
    return Problem(
        parts=parts,
        answer=answers.of(hidden.own) if unique else answers.Collection(frozenset(found)),
        lineage=parent.lineage.then(mutation),
        tier=hidden.program.tier,
        family=parent.family,
        form="backward" if unique else "find_all",
        derivation=_solution(hidden, preimage, symbol),
        values=hidden.values,
        draw=parent.draw,
        second=hidden.second(),
    )


def _letter(hidden: Hidden) -> str:
    """A letter that neither statement nor solution uses; empty when there is none."""
    texts = [part.content for part in hidden.program.facts_parts(hidden.values, {})]
    texts.append(hidden.program.result("", hidden.values))
    texts += [step.text for step in hidden.forward.steps]
    used = set(re.findall(r"(?<![A-Za-z_])[a-z](?![A-Za-z_])", " ".join(texts)))
    return next((s for s in _SYMBOLS if s not in used), "")


def _statement(hidden: Hidden, preimage: Preimage, symbol: str) -> tuple[Part, ...] | NotApplicable:
    program, name = hidden.program, hidden.name
    mask = {name: symbol}
    told = answers.of(hidden.forward.value).show()
    try:
        parts = program.facts_parts(hidden.values, mask)
        result = program.result(told, hidden.replaced(symbol))
        # The text must be the same whatever is hidden, or it would tell.
        tells = any(program.facts_parts(hidden.replaced(value), mask) != parts for value, _ in hidden.others[:1])
    except (TypeError, ValueError, AttributeError, KeyError, IndexError):
        return NotApplicable("cannot_be_hidden")
    if tells:
        return NotApplicable("leak")
    if not any(re.search(rf"(?<![A-Za-z_]){symbol}(?![A-Za-z_])", part.content) for part in parts):
        return NotApplicable("not_shown")
    parts = [Part(p.kind, _with_articles(p.content, symbol)) if p.kind == "text" else p for p in parts]
    bounds = _bounds(symbol, hidden.domain) if preimage.bounded or any(p.kind == "code" for p in parts) else ""
    meaning = program.meaning(name)
    what = f"{symbol}, {meaning}" if meaning else symbol
    if len(preimage.values) > 1:
        question = f"Find all possible values of {what}."
    else:
        question = f"What is {what}?" if meaning else f"Find {symbol}."
    tail = " ".join(sentence for sentence in (result, bounds, question) if sentence)
    if parts and parts[-1].kind == "text":
        return (*parts[:-1], Part("text", f"{parts[-1].content} {tail}"))
    return (*parts, Part("text", tail))


def _with_articles(text: str, symbol: str) -> str:
    """The text with "an x-page book" for "a x-page book"."""
    return re.sub(rf"\b([Aa])n? (?={symbol}\b)", r"\1n " if symbol in "xn" else r"\1 ", text)


def _solution(hidden: Hidden, preimage: Preimage, symbol: str) -> Derivation:
    frames = _frames(hidden, symbol)
    unique = len(preimage.values) == 1
    work = Backward(hidden.forward, hidden.leaves, frames, symbol, unique=unique)
    work.preliminaries()
    way = preimage.way
    if way is None:
        answer = try_all(work, hidden.name, preimage.tries, preimage.values)
    elif way.kind == "residue":
        answer = by_residues(work, way, go_back(work, way), preimage.values, _bounds(symbol, hidden.domain))
    else:
        answer = go_back(work, way)
    if unique:
        work.tape.symbols.update(hidden.forward.symbols)
        work.tape.symbols[symbol] = hidden.own
        if way is not None:
            work.replay(answer)
        work.complete(answer)
    return work.tape.finish(answer)


def _frames(hidden: Hidden, symbol: str) -> list[str | None]:
    """The forward sentences as far as they can be used with the parameter hidden."""
    forward = hidden.forward
    frames = frames_of(forward)
    depends = dependents(forward.nodes, hidden.leaves)
    for other, derivation in hidden.others:
        if len(derivation.steps) != len(frames):
            continue
        found: list[str | None] = []
        for mine, twin, step, step_of_twin in zip(
            frames, frames_of(derivation), forward.steps, derivation.steps, strict=True
        ):
            frame = masked(mine, hidden.own, twin, other, symbol)
            if frame is None and step.text == step_of_twin.text and step.node >= 0 and not depends[step.node]:
                frame = step.text  # it states more than one equation, and none of them has to do with the parameter
            found.append(frame)
        return found
    return [None] * len(frames)


def _bounds(symbol: str, domain: Sequence[Any]) -> str:
    """The sentence that names the domain."""
    first, last, step = domain[0], domain[-1], domain[1] - domain[0]
    even = all(b - a == step for a, b in pairwise(domain))
    if even and step == 1:
        return f"{symbol} is a whole number from {show(first)} to {show(last)}."
    if even and len(domain) > 4:
        if first % step == 0:
            return f"{symbol} is a multiple of {show(step)} from {show(first)} to {show(last)}."
        return f"{symbol} is one of the numbers {show(first)}, {show(domain[1])}, {show(domain[2])}, ..., {show(last)}."
    return f"{symbol} is one of the numbers {', '.join(map(show, domain[:-1]))} and {show(last)}."
