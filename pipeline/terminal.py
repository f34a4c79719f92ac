"""Text from files, models and endpoints on its way to a terminal, which obeys control characters."""

from __future__ import annotations

import re

_BLANK = re.compile(r"\s+")


def clean(text: str) -> str:
    """Text without control characters and marks that turn its direction; lines and tabs stay."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(text: str) -> str:
    """The same in one line, without leading and trailing space."""
    return clean(_BLANK.sub(" ", text).strip())
