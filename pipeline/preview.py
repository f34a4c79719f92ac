"""A few rows of a workflow, made in this process: no Ray, no folder, no teacher but the derivation."""

from __future__ import annotations

from typing import Any

from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import Consultant, NotApplicable
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.workflow import Workflow

_TRIES = 50
_MODEL_TEXT = "(a teacher model would write this)"


def preview_rows(workflow: Workflow, rows: int) -> list[dict[str, Any]]:
    """Rows from places spread over the plan; children that do not exist are passed over."""
    plan = workflow.plan()
    order = Key.of("preview", workflow.seed).permutation(len(plan))
    shown: list[dict[str, Any]] = []
    for position in range(min(len(plan), rows * _TRIES)):
        if len(shown) == rows:
            break
        ((unit, problem, _),) = plan.problems([order[position]])
        if isinstance(problem, NotApplicable):
            continue
        text = render(problem)
        candidate = Candidate(problem, text or "", "derivation", exact=text is not None)
        validators = [v for v in workflow.validators if not isinstance(v, Consultant) and v.applies(candidate)]
        verdicts = {v.kind: v.validate_candidate(candidate) for v in validators}
        against = [(kind, v.reason) for kind, v in verdicts.items() if v.status is not Status.PASS] if text else []
        shown.append(
            {
                "id": plan.unit_id(unit),
                "family": problem.family,
                "form": problem.form,
                "tier": str(problem.tier),
                "statement": problem.statement,
                "solution": text or _MODEL_TEXT,
                "answer": problem.answer.show(),
                "rejected_by": against[0][0] if against else "",
                "reason": against[0][1] if against else "",
            }
        )
    return shown
