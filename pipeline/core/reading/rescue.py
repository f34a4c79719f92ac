"""Math-Verify as the reader of last resort, behind guards of size.

Its own time limits rest on signals, which do not work in threads, so they stay off: what could take long is refused
before it is asked, and callers run validators in processes that can be killed.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from typing import Any, NamedTuple

MAX_CHARS = 400
_FOREIGN = re.compile(r"__|[\"`@#]|\.\s*[A-Za-z_]|\b(?:import|lambda|eval|exec)\b")
"""What no mathematical text holds: programs are never handed to an algebra system."""
_TOWER = re.compile(r"(?:\^|\*\*)\s*[({]*[^(){}^*+\-/,=]{0,40}[)}]*\s*(?:\^|\*\*)")
_LARGE_POWER = re.compile(r"(?:\^|\*\*)\s*[({]*\s*-?\s*[\d,]{4,}|\d{40,}")
_NESTED_POWER = re.compile(r"(?:\^|\*\*)\s*\{[^{}]*(?:\{[^{}]*\}[^{}]*)*(?:\^|\*\*|!)")
_FACTORIAL = re.compile(r"\d{3,}\s*[)}]*\s*!|!\s*!|!\s*\)+\s*!")
_DEEP = re.compile(r"[({\[]\s*" * 20)


class Rescue(NamedTuple):
    """What Math-Verify made of a pair: ``None`` where a side could not be read."""

    gold_read: bool
    text_read: bool
    equal: bool | None
    detail: str = ""


def refused(text: str) -> bool:
    """Whether a text is no mathematics, or might keep a computer algebra system busy for long."""
    return bool(
        len(text) > MAX_CHARS
        or _FOREIGN.search(text)
        or _TOWER.search(text)
        or _NESTED_POWER.search(text)
        or _LARGE_POWER.search(text)
        or _FACTORIAL.search(text)
        or _DEEP.search(text)
        or text.count("^") + text.count("**") > 12
        or text.count("\\int") + text.count("\\sum") + text.count("\\prod") + text.count("\\lim")
    )


@cache
def _library() -> tuple[Any, Any, Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import logging  # noqa: PLC0415

        from math_verify import LatexExtractionConfig, parse, verify  # noqa: PLC0415
    for name in ("math_verify", "math_verify.parser", "math_verify.grader", "math_verify.utils"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return parse, verify, [LatexExtractionConfig()]


def _parsed(text: str) -> list[Any]:
    parse, _, configs = _library()
    body = text.strip()
    if not body.startswith(("$", "\\(", "\\[")):
        body = f"${body}$"
    found: list[Any] = parse(body, extraction_config=configs, parsing_timeout=None)
    return found


def ask(gold: str, text: str) -> Rescue:
    """Whether Math-Verify takes a text for the reference."""
    if refused(gold):
        return Rescue(False, True, None, "the reference is too large or too strange for a rescue")
    if refused(text):
        return Rescue(True, False, None, "too large or too strange for a rescue")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            left = _parsed(gold)
            if not left:
                return Rescue(False, True, None, "the reference cannot be read")
            right = _parsed(text)
            if not right:
                return Rescue(True, False, None, "cannot be read")
            _, verify, _ = _library()
            same = bool(verify(left, right, float_rounding=12, numeric_precision=50, strict=True, timeout_seconds=None))
    except (Exception, RecursionError) as error:  # noqa: BLE001 - a parser of free text fails in many ways
        return Rescue(True, False, None, f"{type(error).__name__}: {error}"[:200])
    return Rescue(True, True, same)
