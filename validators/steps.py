"""Every equation that a solution displays is evaluated again, from its text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from dsgen.pipeline.core.candidate import Candidate, Verdict, failed, passed
from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.operator import Validator
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.core.reading.equations import Equation, find
from dsgen.pipeline.core.reading.mathtext import NO_SYMBOLS


class Steps(Validator):
    """No displayed equation may be false.

    A solution that was rendered from its derivation must be readable in full, and every value that it displays must be
    one of the derivation's. In free text an equation that cannot be read is counted, up to ``max_unread``.
    """

    kind: Literal["steps"] = "steps"
    max_unread: int | None = None
    """More unread equations than this fail free text; ``None``: they are only counted."""

    def validate_candidate(self, candidate: Candidate) -> Verdict:
        problem = candidate.problem
        derivation = problem.derivation
        symbols: Mapping[str, Exact] = derivation.symbols if derivation is not None else NO_SYMBOLS
        if symbols and not candidate.exact:
            symbols = _stated(symbols, problem)
        equations = find(candidate.solution, symbols)
        values = set(problem.values.values()) | set(symbols.values())
        if derivation is not None:
            values.update([node.value for node in derivation.nodes])
        held = unread = verified = 0
        wrong: Equation | None = None
        unknown: Equation | None = None
        hazy: Equation | None = None
        for equation in equations:
            state = equation.state
            if state == "fails":
                wrong = wrong or equation
            elif state == "unread":
                unread += 1
                hazy = hazy or equation
            else:
                held += state == "holds"
                if equation.value in values:
                    verified += 1
                elif not equation.truth:
                    unknown = unknown or equation
        counts = {"checked": len(equations), "held": held, "unread": unread, "verified": verified}
        if wrong is not None:
            return failed("false_equation", _shown(wrong), "exact", **counts)
        if hazy is not None and (unread > self.max_unread if self.max_unread is not None else candidate.exact):
            return failed("unread_equation", _shown(hazy), "exact", **counts)
        if unknown is not None and candidate.exact and derivation is not None:
            return failed("unknown_value", _shown(unknown), "exact", **counts)
        return passed("ok", "", "exact", **counts)


def _stated(symbols: Mapping[str, Exact], problem: Problem) -> Mapping[str, Exact]:
    """The symbols that the statement itself introduces; a free text may mean anything by the others."""
    statement = problem.statement
    return {n: v for n, v in symbols.items() if re.search(rf"(?<![A-Za-z\\]){re.escape(n)}(?![A-Za-z])", statement)}


def _shown(equation: Equation) -> str:
    text = equation.text if len(equation.text) <= 160 else equation.text[:157] + "..."
    return f"{text!r} at character {equation.start}" + (f": {equation.reason}" if equation.reason else "")
