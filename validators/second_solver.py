"""The second solver of a problem must arrive at its answer, and the derivation must survive re-execution."""

from __future__ import annotations

from typing import Literal

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.answers import Answer
from dsgen.pipeline.core.candidate import Candidate, Verdict, failed, passed, undecided
from dsgen.pipeline.core.exact import Exact, plain, show
from dsgen.pipeline.core.operator import Validator


class SecondSolver(Validator):
    """Runs the second solver bound to the problem, and every node of its derivation, once more."""

    kind: Literal["second_solver"] = "second_solver"

    def applies(self, candidate: Candidate) -> bool:
        return candidate.problem.second is not None

    def validate_candidate(self, candidate: Candidate) -> Verdict:
        problem = candidate.problem
        if problem.second is None:
            return undecided("no_second_solver")
        derivation = problem.derivation
        if derivation is not None:
            faults = derivation.faults()
            if faults:
                return failed("faulty_derivation", faults[0], "re_execution", faults=len(faults))
            if not _agrees(problem.answer, derivation.value):
                seen = f"the derivation gives {derivation.value!r}, the answer is {problem.answer.show()}"
                return failed("derivation_disagrees", seen[:300], "re_execution")
        try:
            value = plain(problem.second())
        except Exception as error:  # noqa: BLE001 - a solver is a template's code and may fail in any way
            return undecided("second_solver_failed", f"{type(error).__name__}: {error}"[:300])
        if not _agrees(problem.answer, value):
            return failed("second_solver_disagrees", f"{_show(value)} against {problem.answer.show()}"[:300], "second")
        return passed("agrees", "", "second")


def _agrees(answer: Answer, value: Exact) -> bool:
    """Whether an exact value is the typed answer; its unit is the problem's own business."""
    own = getattr(answer, "value", None)
    if own is None:
        return False
    if isinstance(answer, answers.Text):
        return str(value).strip().casefold() == answer.value.strip().casefold()
    if isinstance(answer, answers.Expression):
        return _show(value) == answer.value
    return bool(own == value) and (type(own) is bool) is (type(value) is bool)


def _show(value: Exact) -> str:
    try:
        return show(value)
    except TypeError:
        return repr(value)
