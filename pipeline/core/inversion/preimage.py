"""All values of a parameter that give a program's result: proved from the step DAG, or found by trying."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from math import ceil, floor
from typing import Any, NamedTuple

from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.inversion.inverse import (
    Route,
    agrees,
    dependents,
    leaves_of,
    lines_below,
    may_mean_more,
    outcome,
    route,
)
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Tier
from dsgen.pipeline.core.program import Program, Values

LARGEST_BRUTE_FORCE = 5000
"""The second solver is run over domains up to this size."""
FEW_VALUES = 10
"""A domain with fewer values than these is widened if it can be."""
FEWEST_VALUES = 4
"""A domain is not cut down to fewer values than these, or it would nearly tell."""
LARGEST_DOMAIN = 400
"""All values of a domain up to this size are looked at, where nothing is proved about them."""
MOST_TRIES = 40
"""Casework shows no more values than these."""
MOST_EQUATIONS = 150
"""Casework shows no more calculations than these, in all."""
_WHOLE_THINGS = re.compile(
    r"\bhow (?:many|long)\b[^.?]*\b(?:needs?|needed|requires?d?|can|could|able|takes?|must|ha[sd] to|have to|buy|afford"
    r"|order|fit|fill|make)\b|\b(?:packs?|packages?|packets?|boxes|bags|cases|cartons|dozens?) of\b|\bcomes? in\b"
    r"|\b\d+ (?:[a-z]+ ){1,3}for \$",
    re.IGNORECASE,
)
"""Words of a text in which a quotient may count things that come whole."""


class Try(NamedTuple):
    """One value of the hidden parameter and what the program makes of it; ``None``: the calculation does not exist."""

    value: Exact
    derivation: Derivation | None
    obstacle: str = ""
    """Why the calculation does not exist."""


class Preimage(NamedTuple):
    """All values that give the result, ascending, and how that is known: by a way back, or by trying all."""

    values: Sequence[Exact]
    way: Route | None
    tries: Sequence[Try] = ()

    @property
    def bounded(self) -> bool:
        """Whether it holds only within the domain, so that the statement must name it."""
        return self.way is None or self.way.bounded


class Hidden:
    """One parameter of a program, hidden, with the rest of the values and the result held."""

    def __init__(self, program: Program, values: Values, name: str, forward: Derivation) -> None:
        self.program = program
        self.values = values
        self.name = name
        self.forward = forward
        self.own = values[name]
        self.domain = self._in_question(_wide_enough(program, name, values))
        self.leaves = leaves_of(forward, name)
        self.others: list[tuple[Exact, Derivation]] = []
        """A few other values, with what the program derives for them."""

    def replaced(self, value: Exact) -> dict[str, Exact]:
        """The program's values with another one for the parameter."""
        return {**self.values, self.name: value}

    def _in_question(self, domain: Sequence[Exact]) -> Sequence[Exact]:
        """The domain without values at its ends that the story rules out, as more broken bulbs than there are bulbs.

        Those that the program's own conditions rule out go as well, unless too few values would be left.
        """
        if len(domain) > LARGEST_BRUTE_FORCE or self.own not in domain:
            return domain
        possible = self._between(domain, self._admits)
        if len(possible) >= FEWEST_VALUES:
            return possible
        return self._between(domain, lambda value: self._try(value).derivation is not None)

    def _between(self, domain: Sequence[Exact], fits: Callable[[Exact], bool]) -> Sequence[Exact]:
        """The values from the first that fits to the last."""
        at = domain.index(self.own)
        first = next(i for i in range(at + 1) if i == at or fits(domain[i]))
        last = next(i for i in range(len(domain) - 1, at - 1, -1) if i == at or fits(domain[i]))
        return domain[first : last + 1]

    def preimage(self) -> Preimage | NotApplicable:
        """The exact preimage of the result.

        A reader must be able to find it from the text alone. So it is refused with ``hidden_condition`` where a value
        that only the program's own conditions leave out could be taken for a solution.
        """
        forward, leaves = self.forward, self.leaves
        if not leaves or not dependents(forward.nodes, leaves)[forward.answer]:
            return NotApplicable("does_not_matter")
        if forward.answer in leaves:
            return NotApplicable("trivial")
        if len(self.domain) < 2:
            return NotApplicable("no_domain")
        if len(self.domain) > LARGEST_BRUTE_FORCE:
            return NotApplicable("domain_too_large")
        if self.program.tier is Tier.LIFTED and self._may_be_rounded():
            return NotApplicable("may_be_rounded")
        self._look_around()
        way = route(forward, leaves, self.domain)
        if way is None or not self.others or not all(agrees(forward, leaves, v, d) for v, d in self.others):
            return self._search()
        if way.kind == "residue":
            return self._counted_off(way)
        if not may_mean_more(forward, leaves, self.own):
            return Preimage((self.own,), way)
        # The text is taken at its word within the domain only.
        if len(self.domain) > LARGEST_DOMAIN:
            return NotApplicable("domain_too_large")
        for value in self.domain:
            if not self._admits(value) and self._could_be_meant(value, outcome(forward, leaves, value)):
                return NotApplicable("hidden_condition")
        return Preimage((self.own,), way._replace(bounded=True))

    def _may_be_rounded(self) -> bool:
        """Whether the text leaves more values than the calculation, because its quotient counts whole things.

        Nine rooms for five students each are needed for 45 students, but also for 44.
        """
        forward, leaves = self.forward, self.leaves
        depends = dependents(forward.nodes, leaves)
        if not any(node.op == "div" and depends[i] for i, node in enumerate(forward.nodes)):
            return False
        text = " ".join(part.content for part in self.program.facts_parts(self.values, {}))
        if not _WHOLE_THINGS.search(text):
            return False
        own: Any = self.own
        near = range(1, max(2 * int(own), 20) + 1) if own <= LARGEST_BRUTE_FORCE else self.domain
        return any(
            outcome(forward, leaves, value, rounding=rounding) == forward.value
            for value in near
            if value != own
            for rounding in (floor, ceil)
        )

    def second(self) -> partial[Exact] | None:
        """The second solver of the backward question: the program's own, over the whole domain."""
        if self.program.second(self.values) is None:
            return None
        return partial(by_brute_force, self.program, dict(self.values), self.name, self.domain, self.forward.value)

    def _admits(self, value: Exact) -> bool:
        return self.program.admissible(self.replaced(value))

    def _try(self, value: Exact) -> Try:
        try:
            return Try(value, self.program.derive(self.replaced(value)))
        except Degenerate as obstacle:
            return Try(value, None, str(obstacle))

    def _look_around(self) -> None:
        """Derive for the ends of the domain, the neighbours and the middle."""
        domain = self.domain
        at = domain.index(self.own)
        for place in sorted({0, len(domain) - 1, at - 1, at + 1, len(domain) // 2}):
            if place != at and 0 <= place < len(domain):
                derivation = self._try(domain[place]).derivation
                if derivation is not None:
                    self.others.append((domain[place], derivation))

    def _could_be_meant(self, value: Exact, reached: Exact | None) -> bool:
        """Whether a reader of the text may take a value for a solution that the program's conditions leave out.

        That is so when the calculation gives the result for it, but for its sign: where a difference turns round, a
        length or an angle has the same size. Or when the second solver, which reads the text its own way, says so.
        """
        result = self.forward.value
        if reached == result or (_is_number(result) and _is_number(reached) and reached == -result):  # type: ignore[operator]
            return True
        try:
            return self.program.second(self.replaced(value)) == result
        except (ArithmeticError, ValueError, TypeError, LookupError, StopIteration, RuntimeError):
            return False

    def _counted_off(self, way: Route) -> Preimage | NotApplicable:
        """The values of the domain that leave the right remainder."""
        nodes = self.forward.nodes
        line = lines_below(nodes, dependents(nodes, self.leaves), self.leaves, way.end)[way.end]
        if line is None:
            raise AssertionError(f"{self.program.id}: {self.name} has a way by residues without a line")
        own: int = self.own  # type: ignore[assignment]
        found = [v for v in self.domain if line.slope * (v - own) % line.modulus == 0]  # type: ignore[operator]
        return Preimage(found, way) if all(map(self._admits, found)) else NotApplicable("hidden_condition")

    def _search(self) -> Preimage | NotApplicable:
        """Try the whole domain."""
        if len(self.domain) > MOST_TRIES:
            return NotApplicable("casework_too_long" if len(self.domain) <= LARGEST_DOMAIN else "domain_too_large")
        tries = [self._try(value) for value in self.domain]
        found = []
        for value, derivation, _ in tries:
            reached = derivation.value if derivation else None
            if self._admits(value):
                if reached == self.forward.value:
                    found.append(value)
            elif self._could_be_meant(value, reached):
                return NotApplicable("hidden_condition")
        if self.own not in found:
            raise AssertionError(f"{self.program.id}: {self.name} = {self.own} does not give its own result again")
        if sum(len(d.steps) for _, d, _ in tries if d) > MOST_EQUATIONS:
            return NotApplicable("casework_too_long")
        return Preimage(found, None, tries)


def by_brute_force(program: Program, values: Values, name: str, domain: Sequence[Exact], result: Exact) -> Exact:
    """The values of the domain for which the program's second solver comes to the result; a single one by itself."""
    found = []
    for value in domain:
        trial = {**values, name: value}
        if program.admissible(trial) and program.second(trial) == result:
            found.append(value)
    return found[0] if len(found) == 1 else frozenset(found)


def _wide_enough(program: Program, name: str, values: Values) -> Sequence[Exact]:
    """The domain of a parameter; where it has so few values that one can guess, the next larger one around it."""
    domain = program.domain(name, values)
    if 1 < len(domain) < FEW_VALUES:
        beyond: Any = domain[-1]
        beyond += beyond - domain[-2]
        wider = program.domain(name, {**values, name: beyond})
        if values[name] in wider:
            return wider
    return domain


def _is_number(value: Exact | None) -> bool:
    return type(value) is int or type(value) is Fraction
