"""The outer form of a solution: finished, not empty, not too long, with a final answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dsgen.pipeline.core.candidate import Candidate, Verdict, failed, passed
from dsgen.pipeline.core.operator import Validator
from dsgen.pipeline.core.reading.final import final_answer


class Format(Validator):
    """A solution that was cut off, is empty, rambles or ends without an answer is of no use."""

    kind: Literal["format"] = "format"
    max_characters: int | None = Field(default=None, ge=1)
    """Longer solutions fail; ``None``: any length will do."""
    require_box: bool = False
    """Whether the final answer must stand in a ``\\boxed{}``."""

    def validate_candidate(self, candidate: Candidate) -> Verdict:
        solution = candidate.solution
        if candidate.finish_reason == "length":
            return failed("truncated", f"stopped by the length limit after {len(solution)} characters", "form")
        if not solution or solution.isspace():
            return failed("empty", "", "form")
        if self.max_characters is not None and len(solution) > self.max_characters:
            return failed("too_long", f"{len(solution)} characters, {self.max_characters} allowed", "form")
        final = final_answer(solution)
        if final is None or (self.require_box and final.form != "boxed"):
            return failed("no_final_answer", solution[-80:], "form")
        return passed("ok", "", "form", characters=len(solution), form=final.form)
