"""Finding every displayed equation and inequality of a prose text, and evaluating each from the text itself.

A relation sign is the anchor; the mathematical run around it is what stands to its left and right without prose between.
An equation that is cut off by prose, or that stands under a condition, is reported as ``unread`` when its numbers do not
agree: only what plainly claims something false is called ``fails``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from dsgen.pipeline.core.mathtext import (
    CALLS,
    FAULTS,
    NO_SYMBOLS,
    RELATIONS,
    Reader,
    Symbols,
    Unreadable,
    compare,
    tokens,
)

State = Literal["holds", "fails", "unread", "defines"]
MAX_HEAVY = 1000
"""Equations with powers or factorials, or very long ones, that are evaluated in one text; the others stay unread."""


class Equation(NamedTuple):
    """A displayed equation, inequality or chain of them.

    ``defines`` is a bare name set equal to one value, which claims nothing that could be checked.
    """

    text: str
    start: int
    end: int
    state: State
    value: Any = None
    """The value of the last side that could be read."""
    reason: str = ""
    truth: bool = False
    """It states a truth (``7 > 5``) rather than a value."""


_SIGN = re.compile(r"[=<>≤≥≠≈≡≅]|\\(?:leq?|geq?|neq?|lt|gt|approx|equiv)(?![A-Za-z])")
_FAST = re.compile(r"(-?\d{1,18}) ?([-+*×]) ?(-?\d{1,18}) ?= ?(-?\d{1,18})")
_SINGLE = re.compile(
    rf"(?:([A-Za-z]) = )?((?=[\d(a-zCP])(?:[-\d+*/×÷^!(), ]|mod|div|(?:{'|'.join(CALLS)})\()+)"
    r"= ?(-?\d{1,300})(?:/([1-9]\d{0,300}))?(?: (?:[mgshL]|k?m/h)[²³]?)?"
)
_ARROW = re.compile(r"={3,}|[-=]+>|<[-=]{2,}|<-|</?[A-Za-z][^<>\n]{0,80}>")
_CODE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_BOLD = re.compile(r"(?<![\w*)])\*\*(?=[^\s*])([^*\n]{1,500})(?<=\S)\*\*(?![\w*])")
_LABEL = re.compile(r"\\(?:text|textbf|mbox|textrm|mathrm|boxed|fbox)\s?\{([^{}]{0,500})\}")
_DELIMITERS = re.compile(r"\\[()\[\]](?!\])")
_NOTE = re.compile(r"<<([^<>\n]{0,500})>>")
_FALSE = re.compile(r"[ ,]*(?:which )?(?:is|are) (?:false|not true|untrue|wrong|incorrect)\b|[ ,]*does not hold\b")
_CLAIMS = ("is ", "are ", "does ", "which ")
_MODULUS = re.compile(r"\\pmod\s*\{?\s*(\d{1,300})\s*\}?\s*$|\(\s*(?:\\?b?mod)\s*(\d{1,300})\s*\)\s*$")
_UNIT = re.compile(r"(?<=[\d)}\]])( ?)(?:[mgshLlWVJN])(?:\^?[23²³])?(?: ?/ ?[mgshLl](?:\^?[23²³])?)?\s*$")
_IF = re.compile(
    r"\b(?:if|suppose|assum\w+|unless|whether|when\w*|try\w*|would|let|case|for|guess|say|were|not|isn't|incorrectly)\b",
    re.IGNORECASE,
)
_BUT = re.compile(
    r"contradict|impossible|not |n't |false|wrong|incorrect|cannot|fails|too (?:big|small|large|much|many|few|low|high)"
)
_LEFT_WORD = re.compile(r"([A-Za-z]+)[ \t]*$")
_CONNECTIVES = frozenset(
    ["so", "thus", "hence", "then", "therefore", "gives", "get", "that", "is", "and", "but", "means", "have", "yields", "implies", "equals", "since", "because"]
)
_CUTTING = frozenset(
    ["half", "twice", "double", "triple", "thrice", "third", "thirds", "quarter", "quarters", "fourth", "fourths", "fifth", "times", "plus", "minus", "by", "per", "percent", "squared", "cubed", "dozen", "hundred", "thousand", "million", "sin", "cos", "tan", "log", "ln", "exp", "root", "sqrt", "cube", "square", "sum", "product", "difference", "average", "mean", "ratio", "remainder", "base", "from"]
)
_TAIL = re.compile(
    r"[ \t]*(?:times|plus|minus|divided|multiplied|percent|remainder|with (?:a )?remainder|hundred|thousand|million|billion"
    r"|dozen|squared|cubed|and (?:a half|\d+/\d+)|st\b|nd\b|rd\b|th\b|k\b|\([^()]{0,40}remain)|…|\.\.\."
)
_SENTENCE = re.compile(r"[.;!?]\s|\n")
_WORD_GAP = re.compile(r"(?<=[\d)]) ?(?:[A-Za-z]{2,}(?:\s?/\s?[A-Za-z]+)?(?: [a-z]{2,}){0,2})")


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
    if _SIGN.search(text) is None:
        return []
    original = text
    found: list[Equation] = []
    if "```" in text:
        text = _CODE.sub(lambda m: re.sub(r"[^\n]", " ", m[0]), text)
    if "<<" in text:
        for note in _NOTE.finditer(text):
            found += _segment(note[1], note.start(1), "", "", symbols)
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
    for sign in _SIGN.finditer(text):
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
            made = _segment(piece, place, before, after, symbols)
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
        if _SIGN.search(piece):
            yield piece, begin
        begin = cut + 1


def _sides(found: list[str]) -> tuple[list[list[str]], list[str]]:
    """Tokens between top-level relations, and these relations."""
    sides: list[list[str]] = [[]]
    relations = []
    depth = 0
    for token in found:
        if token in "([{" or token == "\\{":
            depth += 1
        elif token in ")]}" or token == "\\}":
            depth -= 1
        elif depth == 0 and token in RELATIONS:
            relations.append(token)
            sides.append([])
            continue
        sides[-1].append(token)
    return sides, relations


def _value(side: list[str], symbols: Symbols) -> Any:
    """The value of a side, or ``None`` if it cannot be read."""
    try:
        reader = Reader(side.copy(), symbols)
        value = reader.expression()
        return value if reader.at == len(reader.tokens) - 1 else None
    except FAULTS:
        return None


def _is_name(side: list[str], symbols: Symbols) -> bool:
    return len(side) == 1 and side[0] not in symbols and (side[0].isalpha() or side[0][:1] == "\\")


def _ulp(side: list[str]) -> Fraction | None:
    """The place value of the last digit shown, of a side that is one number."""
    digits = side[-1].replace(",", "") if side else ""
    if len(side) > 2 or (len(side) == 2 and side[0] != "-") or not digits.replace(".", "", 1).isdigit():
        return None
    if "." in digits:
        return Fraction(1, 10 ** len(digits.split(".")[1]))
    return Fraction(10 ** (len(digits) - len(digits.rstrip("0")))) if digits.strip("0") else Fraction(1)


def _link(relation: str, left: Any, right: Any, sides: tuple[list[str], list[str]], modulus: int | None) -> bool:
    if relation == "≡":
        if not modulus or type(left) is not int or type(right) is not int:
            raise Unreadable("congruence")
        return (left - right) % modulus == 0
    if relation == "≈":
        units = [u for u in map(_ulp, sides) if u is not None]
        if not units:
            raise Unreadable("approximation")
        return bool(abs(left - right) * 2 <= max(units))
    return compare(relation, left, right)


def _segment(piece: str, start: int, before: str, after: str, symbols: Symbols, depth: int = 0) -> list[Equation]:
    """The equations of a piece of a run: one chain, or those inside its brackets."""
    text = piece.strip(" \t\n,$")
    while text[:1] == "(" and text[-1:] == ")" and _closes(text) == len(text) - 1:
        text = text[1:-1].strip()
    offset = piece.find(text)
    begin = start + max(offset, 0)
    end = begin + len(text)
    body, modulus = text, None
    if "mod" in body:
        tail = _MODULUS.search(body)
        if tail is not None and ("≡" in body or "equiv" in body):
            body, modulus = body[: tail.start()], int(tail[1] or tail[2])
    unit = _UNIT.search(body)
    if unit is not None and body[unit.start() : unit.end()].strip()[0] not in symbols:
        body = body[: unit.start()]
    try:
        sides, relations = _sides(tokens(body))
    except FAULTS:
        return [Equation(text[:200], begin, end, "unread", None, "too_long")]
    if not relations:
        return list(_bracketed(text, begin, symbols, depth))
    negated = bool(_FALSE.match(after.lstrip(" ,")))
    head = sides[0]
    line_start = not before.strip(" \t") or before.rstrip(" \t").endswith("\n")
    context = before + piece[: max(offset, 0)]
    if not head or head[0] in ("+", "*", "/", "^", "=") or (head[0] == "-" and text[1:2] == " "):
        if line_start and head and head[0] in "-*":
            bullet = _judge([head[1:], *sides[1:]], relations, symbols, modulus, negated)
            if bullet.state == "holds" or head[0] == "*":
                return [bullet._replace(text=text, start=begin, end=end)]
        elif head:
            return [Equation(text, begin, end, "unread", None, "cut")]
        elif len(sides) > 2 or not context.strip():
            sides, relations = sides[1:], relations[1:]
            if not relations:
                return []
        else:
            return _named(text, begin, end, sides, relations, context, symbols)
    if before[-1:].isalnum() and piece[:1].strip() and not (line_start or head == []):
        return [Equation(text, begin, end, "unread", None, "cut")]
    made = _judge(sides, relations, symbols, modulus, negated)
    if made.state == "fails":
        why = _doubt(sides, relations, context, after, unit is not None, symbols)
        if why:
            made = made._replace(state="unread", reason=why)
    return [made._replace(text=text, start=begin, end=end)]


def _closes(text: str) -> int:
    """Where the bracket that opens a text closes."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return at
    return -1


def _bracketed(text: str, begin: int, symbols: Symbols, depth: int) -> Iterator[Equation]:
    """Equations inside the brackets of a text that has none outside, as in ``12 (3 × 4 = 12)``."""
    at = text.find("(")
    while at >= 0 and depth < 3:
        close = _closes(text[at:])
        inner = text[at + 1 : at + close] if close > 0 else ""
        if not inner:
            break
        if _SIGN.search(inner):
            yield from _segment(inner, begin + at + 1, "(", "", symbols, depth + 1)
        at = text.find("(", at + close + 1)


def _judge(
    sides: list[list[str]], relations: list[str], symbols: Symbols, modulus: int | None, negated: bool
) -> Equation:
    """The state of a chain by the values of its sides."""
    values = [_value(side, symbols) for side in sides]
    first, last = 0, len(sides)
    while last - first > 2 and values[first] is None and relations[first] == "=" and _is_name(sides[first], symbols):
        first += 1  # a name for what follows
    known = [v for v in values if v is not None]
    truth = negated or any(r != "=" for r in relations)
    shown = known[-1] if known else None
    if last - first == 2 and relations[first] == "=":
        named = [_is_name(sides[i], symbols) and values[i] is None for i in (first, first + 1)]
        if any(named) and known:
            return Equation("", 0, 0, "defines", shown)
    unread = False
    failed = False
    for i in range(first, last - 1):
        left, right = values[i], values[i + 1]
        if left is None or right is None:
            unread = True
            continue
        try:
            failed |= not _link(relations[i], left, right, (sides[i], sides[i + 1]), modulus)
        except FAULTS:
            unread = True
    if negated:
        state: State = "unread" if unread else "holds" if failed else "fails"
    else:
        state = "fails" if failed else "unread" if unread else "holds"
    return Equation("", 0, 0, state, shown, "unreadable" if state == "unread" else "", truth)


def _named(
    text: str, begin: int, end: int, sides: list[list[str]], relations: list[str], context: str, symbols: Symbols
) -> list[Equation]:
    """One value after prose: ``Total = 15`` defines; ``5 apples + 3 apples = 8`` is read if it holds without its words."""
    value = _value(sides[1], symbols)
    if value is None:
        return [Equation(text, begin, end, "unread", None, "cut")]
    clause = _SENTENCE.split(context)[-1]
    if not any(c.isdigit() for c in clause) and relations == ["="]:
        return [Equation(text, begin, end, "defines", value)]
    words = _WORD_GAP.sub("", clause).strip()
    if any(sign in words for sign in "+*×/·÷-−"):
        try:
            held = compare(relations[0], _value(tokens(words), symbols), value)
        except FAULTS:
            held = False
        if held:
            return [Equation(text, begin, end, "holds", value)]
    return [Equation(text, begin, end, "unread", value, "cut")]


def _doubt(
    sides: list[list[str]], relations: list[str], before: str, after: str, unit: bool, symbols: Symbols
) -> str:
    """Why a chain that does not hold may not be claimed as it was read; empty when it plainly is."""
    if any("%" in side for side in sides):
        bare = [[t for t in side if t != "%"] for side in sides]
        if _judge(bare, relations, symbols, None, False).state == "holds":
            return "percent"
    word = _LEFT_WORD.search(before[-40:])
    name = word[1].lower() if word else ""
    plain_sides = all(len(side) == 1 or (len(side) == 2 and side[0] == "-") for side in sides)
    if name in _CUTTING or (plain_sides and name and name not in _CONNECTIVES and set(relations) <= {"=", "≈"}):
        return "cut"
    if name == "of" or (plain_sides and unit):
        return "cut"
    if _TAIL.match(after) or (any(side and side[-1].isalpha() for side in sides)):
        return "cut"
    sentence = _SENTENCE.split(before)[-1]
    if _IF.search(sentence):
        return "conditional"
    if _BUT.search(_SENTENCE.split(after, maxsplit=1)[0]):
        return "denied"
    return ""
