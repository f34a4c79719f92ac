"""The texts of a lift, cut once into what stands and what is filled in: the question and the solution's sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dsgen.seeds.text.lift_expr import Hole, holes, show_value, worth
from dsgen.seeds.text.lift_numerals import Number, Style, decimal_places, says_an, write_number

if TYPE_CHECKING:
    from dsgen.seeds.text.lift_model import LiftStep, Parameter, Shown, Slot

_ARTICLE = re.compile(r"\b(an?)(\s+)$", re.IGNORECASE)


class Blank(NamedTuple):
    """A place for a number in a style, with the article before it: ``a `` may become ``an ``."""

    hole: Hole
    style: Style
    article: str
    """Its first letter; empty when there is none."""
    gap: str
    """What stands between the article and the number."""


Piece = str | Hole | Blank


class Sentence(NamedTuple):
    """The sentence of a step; ``joined`` ones go on in the text of the step before."""

    pieces: tuple[Piece, ...]
    joined: bool
    bare: bool
    """Whether it is an equation alone, which gets a full stop."""


class QuestionText:
    """The question with its slots."""

    def __init__(self, segments: Sequence[str | Slot], parameters: Sequence[Parameter]) -> None:
        self._parameters = {p.name: p for p in parameters}
        self._pieces: list[tuple[str, str, str, str]] = []
        """What stands before a slot, the article and the gap at its end, and the slot's parameter."""
        before, first = "", True
        for segment in segments:
            if isinstance(segment, str):
                before = segment
            else:
                self._pieces.append((*_split(before, first=first), segment.name))
                before, first = "", False
        self._end = before

    def render(self, values: Mapping[str, Number], hidden: Mapping[str, str]) -> str:
        """The text with these values; hidden ones are shown as the given symbols."""
        text = []
        for before, article, gap, name in self._pieces:
            parameter = self._parameters[name]
            if name in hidden:
                written, as_it_was = parameter.style.prefix + hidden[name], True
            else:
                value = values[name]
                written, as_it_was = write_number(value, parameter.style), value == parameter.value
            text.append(before)
            if article:
                text.append((article if as_it_was else _article(article[0], written)) + gap)
            text.append(written)
        text.append(self._end)
        return "".join(text)


class SolutionText:
    """The sentences of the worked solution."""

    def __init__(self, steps: Sequence[LiftStep]) -> None:
        self._sentences = []
        line = -1
        for index, step in enumerate(steps):
            equation = (*holes(step.expr), " = ", Hole("", index, False))
            bare = not step.before and not step.after
            pieces = (*_pieces(step.before), *equation, *_pieces(step.after))
            self._sentences.append(Sentence(tuple(_merged(pieces)), not bare and step.line == line, bare))
            line = -1 if bare else step.line

    def render(self, values: Mapping[str, Number], results: Sequence[Number]) -> list[tuple[str, int]]:
        """The sentences, each with the last step that it states."""
        found: list[tuple[str, int]] = []
        for index, (pieces, joined, bare) in enumerate(self._sentences):
            text = "".join([p if type(p) is str else _written(p, values, results) for p in pieces])
            if bare:
                found.append((f"{text}.", index))
            else:
                found.append(((found.pop()[0] + text if joined else text).strip(), index))
        return found


def _pieces(parts: Sequence[str | Shown]) -> list[Piece]:
    found: list[Piece] = []
    for part in parts:
        if isinstance(part, str):
            found.append(part)
            continue
        article = gap = ""
        if found and isinstance(found[-1], str):
            found[-1], article, gap = _split(found[-1], first=len(found) == 1)
        (hole,) = holes(part.expr)
        if not isinstance(hole, Hole):
            raise TypeError("a sentence shows parameters and results")
        found.append(Blank(hole, part.style, article[:1], gap))
    return found


def _split(text: str, *, first: bool) -> tuple[str, str, str]:
    """A text that stands before a number: all but its last article, the article, the gap after it."""
    match = _ARTICLE.search(text)
    if match is None or (match.start() == 0 and not first):
        # What follows a number without a space is no word of its own.
        return text, "", ""
    return text[: match.start()], match.group(1), match.group(2)


def _merged(pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces with neighbouring texts as one."""
    found: list[Piece] = []
    for piece in pieces:
        if found and isinstance(piece, str) and isinstance(found[-1], str):
            found[-1] += piece
        else:
            found.append(piece)
    return found


def _written(piece: Piece, values: Mapping[str, Number], results: Sequence[Number]) -> str:
    if isinstance(piece, Hole):
        return worth(piece, values, results)
    if isinstance(piece, str):
        return piece
    (name, step, _), style, article, gap = piece
    value = values[name] if name else results[step]
    endless = decimal_places(value) is None
    written = style.prefix + show_value(value) if endless else write_number(value, style)
    return f"{_article(article, written)}{gap}{written}" if article else written


def _article(letter: str, written: str) -> str:
    return letter + ("n" if says_an(written) else "")
