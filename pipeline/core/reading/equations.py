"""Finding every displayed equation and inequality of a prose text, and evaluating each from the text itself.

A relation sign is the anchor; the run of mathematics around it is what stands to its left and right without prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from dsgen.pipeline.core.reading.judging import SIGN, Equation, State, segment
from dsgen.pipeline.core.reading.mathlex import CALLS, tokens
from dsgen.pipeline.core.reading.mathtext import FAULTS, NO_SYMBOLS, Reader, Symbols

MAX_HEAVY = 1000
"""Equations with powers or factorials, or very long ones, that are evaluated in one text; the others stay unread."""
_FAST = re.compile(r"(-?\d{1,18}) ?([-+*×]) ?(-?\d{1,18}) ?= ?(-?\d{1,18})", re.ASCII)
_SINGLE = re.compile(
    rf"(?:([A-Za-z]) = )?((?=[\d(a-zCP])(?:[-\d+*/×÷^!(), ]|mod|div|(?:{'|'.join(CALLS)})\()+)"
    r"= ?(-?\d{1,300})(?:/([1-9]\d{0,300}))?(?: (?:[mgshL]|k?m/h)[²³]?)?",
    re.ASCII,
)
_ARROW = re.compile(r"={3,}|[-=]+>|<[-=]{2,}|<-|</?[A-Za-z][^<>\n]{0,80}>")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BOLD = re.compile(r"(?<![\w*)])\*\*(?=[^\s*])([^*\n]{1,500})(?<=\S)\*\*(?![\w*])")
_LABEL = re.compile(r"\\(?:text|textbf|mbox|textrm|mathrm|boxed|fbox)\s?\{([^{}]{0,500})\}")
_DELIMITERS = re.compile(r"\\[()\[\]](?!\])")
_NOTE = re.compile(r"<<([^<>\n]{0,500})>>")
_CLAIMS = ("is ", "are ", "does ", "which ")


@lru_cache(maxsize=256)
def _runs(extra: tuple[str, ...]) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Patterns of a run to the right of a place and, over the reversed text, to the left of it."""
    calls = [name for name in CALLS if len(name) > 1]
    signs = r"0-9 \t+\-−–*×·⋅÷∕/^%()\[\]{}|!$√⌊⌋⌈⌉²³½¼¾_&~,…"
    forward = [
        rf"[{signs}=<>≤≥≠≈≡]",
        r"\.(?=\d|\.)",
        r"\\(?!implies|Rightarrow|rightarrow|to\b|quad|qquad|therefore|because|begin|end|Longrightarrow|item)[A-Za-z]+",
        r"\\[,;:! (){}\[\]$%]",
        r"(?<=\d):(?=\d)| : (?=\d)",
        rf"(?<![A-Za-z])(?:{'|'.join(calls)})(?=\()",
        r"(?<![A-Za-z])(?:mod|div)(?![A-Za-z])",
        r"(?<=[\d%})] )of(?= [\d$])",
        r"(?<== )(?:yes|no|true|false)(?![A-Za-z])",
        r"(?<![A-Za-z'’\\])(?![aAI] [\w(])[A-Za-z](?![A-Za-z'’])",
        r"[ \t]*+(?:\\\\)?[ \t]*+\n[ \t]*+&?[ \t]*+(?=[=≈])",
        *[rf"(?<![A-Za-z]){re.escape(name)}(?![A-Za-z])" for name in extra],
    ]
    backward = [
        rf"[{signs}]",
        r"(?<=[\d.])\.",
        r"[A-Za-z]+\\",
        r"[,;:! (){}\[\]$%]\\",
        r"(?<=\d):(?=\d)|(?<=\d) : ",
        rf"(?<=\()(?:{'|'.join(c[::-1] for c in calls)})(?![A-Za-z])",
        r"(?<![A-Za-z])(?:dom|vid)(?![A-Za-z])",
        r"(?<=[\d$] )fo(?= [\d%})])",
        r"(?<![A-Za-z'’])(?:(?<![\w(] )[aAI]|[b-zB-HJ-Z])(?![A-Za-z'’])",
        *[rf"(?<![A-Za-z]){re.escape(name[::-1])}(?![A-Za-z])" for name in extra],
    ]
    return (
        re.compile(f"(?:{'|'.join(forward)})*+"),
        re.compile(rf"(?:[ \t]*+&?[ \t]*+\n[ \t]*+(?:\\\\)?)?+(?:{'|'.join(backward)})*+"),
    )


def _spaces(match: re.Match[str]) -> str:
    return " " * (match.end() - match.start())


def _inner(match: re.Match[str]) -> str:
    left = match.start(1) - match.start()
    return " " * left + match[1] + " " * (match.end() - match.end(1))


def find(text: str, symbols: Symbols = NO_SYMBOLS) -> list[Equation]:
    """Every displayed equation of a text with its state, in order.

    Fenced code is skipped; calculator annotations ``<<48/2=24>>`` are read by themselves.
    """
    if SIGN.search(text) is None:
        return []
    original = text
    found: list[Equation] = []
    if "```" in text:
        text = _CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    if "<<" in text:
        for note in _NOTE.finditer(text):
            found += segment(note[1], note.start(1), "", "", symbols)
        text = _NOTE.sub(_spaces, text)
    if "\\" in text:
        text = _DELIMITERS.sub("  ", _LABEL.sub(_inner, text))
    if "**" in text:
        text = _BOLD.sub(_inner, text)
    if ">" in text or "<" in text or "==" in text:
        text = _ARROW.sub(lambda m: ";" + " " * (len(m[0]) - 1), text)
    extra = tuple(sorted(n for n in symbols if len(n) > 1 and n[0] != "\\"))
    right, left = _runs(extra)
    backwards = text[::-1]
    size = len(text)
    done = heavy = 0
    for sign in SIGN.finditer(text):
        at = sign.start()
        if at < done:
            continue
        begin = max(done, size - left.match(backwards, size - at).end())  # type: ignore[union-attr]
        end = right.match(text, at).end()  # type: ignore[union-attr]
        done = max(end, at + 1)
        run = text[begin:end]
        core = run.strip()
        heavy += "^" in core or "!" in core or len(core) > 200
        if heavy > MAX_HEAVY:
            found.append(Equation(core[:200], begin, end, "unread", None, "budget"))
            continue
        if (run[0] in " \t" or not begin or not text[begin - 1].isalnum()) and not text.startswith(_CLAIMS, end):
            value = _plainly(core, symbols)
            if value is not None:
                begin += run.index(core[0])
                found.append(Equation(core, begin, begin + len(core), "holds", value))
                continue
        for piece, offset in _pieces(run):
            place = begin + offset
            before = text[max(0, place - 160) : place]
            after = text[place + len(piece) : place + len(piece) + 160]
            made = segment(piece, place, before, after, symbols)
            found += made
    if text is not original:
        found = [e._replace(text=original[e.start : e.end]) for e in found]
    return found


def _plainly(core: str, symbols: Symbols) -> Any:
    """The value of a run that is a single equation of numbers alone and holds; ``None`` sends it the long way."""
    fast = _FAST.fullmatch(core)
    if fast is not None:
        a, op, b, c = fast.groups()
        value: Any = int(a) + int(b) if op == "+" else int(a) - int(b) if op == "-" else int(a) * int(b)
        return value if value == int(c) else None
    single = _SINGLE.fullmatch(core)
    if single is None:
        return None
    name, left, above, below = single.groups()
    if name in symbols:
        return None
    try:
        reader = Reader(tokens(left))
        value = reader.expression()
    except FAULTS:
        return None
    shown = int(above) if below is None else Fraction(int(above), int(below))
    return value if value == shown and reader.at == len(reader.tokens) - 1 and type(value) is not bool else None


def _pieces(run: str) -> Iterator[tuple[str, int]]:
    """The parts of a run between top-level commas and brackets without a partner, with their places."""
    if "," not in run and run.count("(") == run.count(")"):
        yield run, 0
        return
    opened: list[int] = []
    cuts = []
    for at, sign in enumerate(run):
        if sign in "([{":
            opened.append(at)
        elif sign in ")]}":
            if opened:
                opened.pop()
            else:
                cuts.append(at)
    cuts += opened
    loose = set(opened)
    depth = 0
    for at, sign in enumerate(run):
        if sign in "([{" and at not in loose:
            depth += 1
        elif sign in ")]}":
            depth = max(0, depth - 1)
        elif sign == "," and depth == 0 and not (run[at + 1 : at + 4].isdigit() and run[at - 1 : at].isdigit()):
            cuts.append(at)
    begin = 0
    for cut in [*sorted(cuts), len(run)]:
        piece = run[begin:cut]
        if SIGN.search(piece):
            yield piece, begin
        begin = cut + 1


__all__ = ["Equation", "State", "find"]
