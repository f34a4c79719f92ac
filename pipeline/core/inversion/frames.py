"""The sentences of a derivation with their numbers taken out, to be used again with a parameter hidden."""

from __future__ import annotations

import re

from dsgen.pipeline.core import units
from dsgen.pipeline.core.derivation import Derivation, Node
from dsgen.pipeline.core.exact import Exact, show
from dsgen.pipeline.core.trace import Trace

SLOT = "\x00"
"""Where the equation of a step stands in its frame."""
_NUMBER = re.compile(r"(\d+(?:/\d+)?)")
_LEADS_ON = re.compile(
    r"^(?:(?:So|Thus)\b(?! far\b| many\b| much\b| long\b)|Next(?=,)|Now\b(?! that\b)"
    r"|(?:Hence|Then|Therefore|Finally|And|But|Also|After that)\b),? *"
)
_WORD = re.compile(r"[a-z]{2,}[ ,]|a ")
_CONCLUDES = re.compile(r"(?<!^)\b(?:so(?! far\b)|because|since|therefore|hence|thus)\b", re.IGNORECASE)
_POINTS_BACK = re.compile(r"^(?:it|its|they|there|then|here)\b|\b(?:that|this|these|those|such)\b", re.IGNORECASE)


def frames_of(derivation: Derivation) -> list[str | None]:
    """For every step its sentence with :data:`SLOT` for the equation; ``None`` where the equation cannot be found.

    A sentence that states no value is its own frame.
    """
    tape = Trace()
    tape.nodes = list(derivation.nodes)
    found: list[str | None] = []
    for text, node in derivation.steps:
        frame = text if node < 0 else None
        if node >= 0:
            equation = tape.equation(node)
            if text.count(equation) == 1:
                frame = text.replace(equation, SLOT)
            tape.stated.add(node)
        found.append(frame)
    return found


def masked(frame: str | None, value: Exact, other_frame: str | None, other_value: Exact, symbol: str) -> str | None:
    """The frame with a hidden parameter as its symbol, read off from the same step for another value.

    ``None`` when the two differ in anything but that number: then the sentence tells something that follows from it.
    """
    if frame is None or other_frame is None or frame == other_frame:
        return frame if frame == other_frame else None
    pieces, other_pieces = _NUMBER.split(frame), _NUMBER.split(other_frame)
    if len(pieces) != len(other_pieces):
        return None
    hidden = (show(value), show(other_value))
    for place, pair in enumerate(zip(pieces, other_pieces, strict=True)):
        if pair[0] != pair[1]:
            if pair != hidden:
                return None
            pieces[place] = symbol
    return "".join(pieces)


def measured(node: Node) -> str:
    """A node's value with its unit."""
    return with_unit(show(node.value), node.unit, one=node.value == 1)


def with_unit(text: str, unit: units.Unit, *, one: bool = False) -> str:
    """A text followed by a unit, if there is one."""
    if not unit:
        return text
    shown = units.show(unit, one=one)
    return text + shown if shown == "°" else f"{text} {shown}"


def told(frame: str | None, node: Node) -> str | None:
    """A sentence that tells a step's value without its calculation, fit to stand alone; ``None`` where there is none.

    Words such as "so" in front are dropped. A sentence that points back at another one does not stand alone, and one
    that gives a reason of its own cannot be given another.
    """
    if frame is None or is_bare(frame) or _POINTS_BACK.search(frame) or _CONCLUDES.search(frame):
        return None
    return opened(frame.replace(SLOT, measured(node)))


def is_bare(frame: str) -> bool:
    """Whether a frame is nothing but its equation."""
    return frame.removesuffix(".") == SLOT


def opened(sentence: str) -> str:
    """The sentence without a word in front that draws a conclusion from the one before."""
    text = _LEADS_ON.sub("", sentence)
    # A word is capitalised, but neither a name in mathematics nor one in code.
    return text[:1].upper() + text[1:] if text != sentence and _WORD.match(text) else text
