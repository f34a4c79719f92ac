"""What a user can mend about a plan."""

from __future__ import annotations

from dsgen.pipeline.core.errors import UserError


class SizingError(UserError):
    """A model's config that cannot be read or hardware that is not known: nothing is guessed in its place."""
