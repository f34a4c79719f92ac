"""Errors, as a tree.

DsgenError
├── UserError            the user can mend it: exit code 2, one message, no traceback
│   ├── WorkflowError    a workflow file; carries every fault in it
│   ├── SourceError      a seed file that is missing or holds an unreadable record
│   ├── DatasetError     an output folder that is not what the command needs
│   └── TeacherError     an endpoint that cannot be reached or refuses the key
├── EngineLost           a teacher's engine died with what it was working on; those rows are asked again
└── TemplateError        a template contradicts its own second solver or its own declaration: a bug in the template
"""

from __future__ import annotations


class DsgenError(Exception):
    """Base of every error that dsgen raises on purpose."""


class UserError(DsgenError):
    """A mistake that the user can mend; the message says where, what was seen and what to do."""


class WorkflowError(UserError):
    """A workflow that cannot be run, with all its faults at once."""

    def __init__(self, path: str, faults: list[str]) -> None:
        self.path = path
        self.faults = faults
        lines = "\n".join(f"  {fault}" for fault in faults)
        super().__init__(f"{path} is not a valid workflow:\n{lines}")


class SourceError(UserError):
    """A seed source that cannot be read."""


class DatasetError(UserError):
    """An output folder that cannot be used as asked."""


class TeacherError(UserError):
    """A teacher that cannot work at all, as opposed to one failed request."""


class EngineLost(DsgenError):
    """A teacher's engine is gone, and its rows with it; a fresh one may serve them."""


class TemplateError(DsgenError):
    """A template whose own parts disagree."""
