r"""Where a solution states its final answer: the last ``\boxed{}``, or a line that announces it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

MAX_ANSWER = 2_000
"""Characters of a final answer; what is longer is none."""
_BRACE = re.compile(r"\\f?boxed\s?\{|\\.|[{}]", re.DOTALL)
_LINE = re.compile(
    r"^[ \t]*####[ \t]*(\S[^\n]*)"
    r"|\b(?:the )?(?:final )?answer(?: is|:)(?:\*\*)?:?[ \t]*+(?=(\S[^\n]{0,2000}))",
    re.IGNORECASE | re.MULTILINE,
)


class Final(NamedTuple):
    """A stated final answer, and other boxes that contradict it if there are any."""

    text: str
    form: Literal["boxed", "line"]
    others: tuple[str, ...] = ()


def boxes(text: str) -> list[str]:
    r"""The contents of every outermost ``\boxed{}`` with balanced braces, in order; one pass, however braces stand."""
    at = text.find("boxed{")
    if at < 0 and "boxed {" not in text:
        return []
    opened: list[int] = []  # places behind the openers: of a box as they are, of any other brace negative
    closed: list[tuple[int, int]] = []
    for brace in _BRACE.finditer(text, max(0, at - 2) if at >= 0 else 0):
        sign = brace[0]
        if sign == "}":
            begin = opened.pop() if opened else -1
            if begin > 0:
                while closed and closed[-1][0] > begin:
                    closed.pop()
                closed.append((begin, brace.start()))
        elif sign[-1] == "{" and sign != "\\{":
            opened.append(brace.end() if len(sign) > 1 else -1)
    return [text[begin:end].strip() for begin, end in closed if end - begin <= MAX_ANSWER]


def final_answer(text: str) -> Final | None:
    """The final answer that a solution states; ``None`` when it states none.

    The last box wins. Boxes whose texts differ are handed on, since only a comparison can say whether they conflict.
    """
    boxed = [b for b in boxes(text) if b]
    if boxed:
        return Final(boxed[-1], "boxed", tuple(dict.fromkeys(b for b in boxed[:-1] if b != boxed[-1])))
    last = None
    for line in _LINE.finditer(text):
        last = line
    if last is None:
        return None
    found = (last[1] or last[2]).strip()
    if last[2]:
        found = re.split(r"\.(?:\s|$)", found, maxsplit=1)[0].strip()
    found = found.strip("* \t").rstrip(" .;,!")
    return Final(found, "line") if found and len(found) <= MAX_ANSWER else None
