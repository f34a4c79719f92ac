"""Where a solution states its final answer: the last ``\\boxed{}``, or a line that announces it."""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

MAX_ANSWER = 2_000
"""Characters of a final answer; what is longer is none."""
_BOX = re.compile(r"\\f?boxed\s?\{")
_BRACE = re.compile(r"\\.|[{}]", re.DOTALL)
_LINE = re.compile(
    r"^[ \t]*####[ \t]*(\S[^\n]*)"
    r"|\b(?:the )?(?:final )?answer(?: is|:)(?:\*\*)?:?[ \t]*+(\S[^\n]*)",
    re.IGNORECASE | re.MULTILINE,
)


class Final(NamedTuple):
    """A stated final answer, and other boxes that contradict it if there are any."""

    text: str
    form: Literal["boxed", "line"]
    others: tuple[str, ...] = ()


def boxes(text: str) -> list[str]:
    """The contents of every outermost ``\\boxed{}`` with balanced braces, in order."""
    found: list[str] = []
    at = text.find("boxed")
    if at < 0:
        return found
    done = 0
    for box in _BOX.finditer(text, max(0, at - 3)):
        if box.start() < done:
            continue
        begin = box.end()
        depth = 1
        for brace in _BRACE.finditer(text, begin, begin + MAX_ANSWER):
            sign = brace[0]
            if sign == "{":
                depth += 1
            elif sign == "}":
                depth -= 1
                if depth == 0:
                    done = brace.end()
                    found.append(text[begin : brace.start()].strip())
                    break
    return found


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
    found = found.strip("*").rstrip(" .;,!")
    return Final(found, "line") if found and len(found) <= MAX_ANSWER else None
