"""Markdown from data that others wrote: escaped, so that it shows as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

_SPECIAL = re.compile(r"([\\`*_\[\]<>|~#&$!])")
_BLANK = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")


def of(data: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The mapping at a key; an empty one where there is none."""
    value = data.get(key)
    return value if isinstance(value, Mapping) else {}


def grid(head: tuple[str, ...], rows: Iterable[tuple[Any, ...]], *, raw: bool = False) -> str:
    """A table; its cells are escaped unless they are ``raw`` markdown."""
    lines = [head, tuple("---:" if i and len(head) == 2 else "---" for i in range(len(head)))]
    lines += [tuple(digits(c) if isinstance(c, int) else str(c) if raw else escaped(c) for c in row) for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def digits(value: int) -> str:
    """With commas between thousands."""
    return f"{value:,}"


def plain(value: Any) -> str:
    """One line without control characters."""
    return _BLANK.sub(" ", str(value)).strip()


def escaped(value: Any) -> str:
    """Text from a workflow or a record, so that markdown shows it as it is."""
    return _SPECIAL.sub(r"\\\1", plain(value))


def span(value: Any) -> str:
    """A code span, whatever the text holds; bars are escaped for tables."""
    text = plain(value).replace("|", "\\|")
    fence = "`" * (1 + max(map(len, re.findall(r"`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"
