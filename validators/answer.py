"""The final answer of a solution against the problem's typed answer."""

from __future__ import annotations

from typing import Literal

from dsgen.pipeline.core.candidate import Candidate, Verdict, failed, passed, undecided
from dsgen.pipeline.core.operator import Validator
from dsgen.pipeline.core.reading.compare import Outcome, compare
from dsgen.pipeline.core.reading.final import final_answer

MAX_BOXES = 20
"""Differing boxes that are compared one by one; with more the text decides nothing."""


class Answer(Validator):
    """The last box, or the line that announces the answer, must equal the reference by type and value."""

    kind: Literal["answer"] = "answer"
    rescue: bool = True
    """Whether Math-Verify may read what the typed reader cannot; verdicts say so."""

    def validate_candidate(self, candidate: Candidate) -> Verdict:
        final = final_answer(candidate.solution)
        if final is None:
            return failed("no_answer", candidate.solution[-80:], "form")
        answer = candidate.problem.answer
        result = compare(answer, final.text, rescue=self.rescue)
        outcome = result.status
        detail = f"{final.text[:120]} against {answer.show()[:120]}"
        if outcome is Outcome.BAD_REFERENCE or outcome is Outcome.TIMEOUT:
            return undecided(str(outcome), result.detail or detail, result.decided_by)
        if outcome is Outcome.CANNOT_PARSE:
            return failed("cannot_parse", result.detail or detail, result.decided_by)
        if outcome is Outcome.WRONG:
            return failed("wrong_answer", detail, result.decided_by)
        if final.others and (
            len(final.others) > MAX_BOXES
            or any(compare(answer, other, rescue=self.rescue).status is not Outcome.CORRECT for other in final.others)
        ):
            seen = "; ".join((*final.others[:5], final.text))
            return failed("conflicting_boxes", seen[:300], result.decided_by)
        return passed("equal", "", result.decided_by, form=final.form)
