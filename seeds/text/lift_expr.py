"""Arithmetic expressions of a lifted record: a parser for plain arithmetic, exact evaluation, and writing.

The parser reads ``+ - * / ( )`` over decimal numbers and nothing else; everything is a :class:`~fractions.Fraction`.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from dsgen.seeds.text.lift_numerals import Number, decimal, decimal_places

MAX_LENGTH = 160
_MAX_DEPTH = 12
_TOKEN = re.compile(r"(\d+(?:\.\d*)?|\.\d+)|([-+*/()])")


class ExpressionError(ValueError):
    """The text is not plain arithmetic, or its value does not exist."""


@dataclass(frozen=True, slots=True)
class Const:
    """A number that no parameter changes."""

    value: Fraction


@dataclass(frozen=True, slots=True)
class Param:
    """The value of a parameter."""

    name: str


@dataclass(frozen=True, slots=True)
class Result:
    """The value of an earlier step."""

    index: int


@dataclass(frozen=True, slots=True)
class Binary:
    """One of ``+ - * /`` on two expressions."""

    op: str
    left: Expr
    right: Expr


Expr = Const | Param | Result | Binary


def parse(text: str) -> Expr:
    """The expression that a text of plain arithmetic is; its leaves are constants.

    Raises:
        ExpressionError: the text is too long, too deep, or not plain arithmetic.
    """
    compact = text.replace(" ", "")
    if not compact or len(compact) > MAX_LENGTH:
        raise ExpressionError("an expression has 1 to 160 characters")
    tokens: list[str] = []
    position = 0
    while position < len(compact):
        match = _TOKEN.match(compact, position)
        if match is None:
            raise ExpressionError(f"unexpected {compact[position]!r}")
        tokens.append(match.group())
        position = match.end()
    parser = _Parser(tokens)
    expr = parser.sum(0)
    if parser.at < len(tokens):
        raise ExpressionError(f"unexpected {tokens[parser.at]!r}")
    return expr


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.at = 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self, depth: int) -> Expr:
        if self.peek() == "+":
            self.take()
        expr = self.product(depth)
        while self.peek() in ("+", "-"):
            op = self.take()
            expr = Binary(op, expr, self.product(depth))
        return expr

    def product(self, depth: int) -> Expr:
        expr = self.atom(depth)
        while self.peek() in ("*", "/", "("):
            # 4(3) means 4*3
            op = self.take() if self.peek() != "(" else "*"
            expr = Binary(op, expr, self.atom(depth))
        return expr

    def atom(self, depth: int) -> Expr:
        token = self.take()
        if token == "(" and depth < _MAX_DEPTH:
            expr = self.sum(depth + 1)
            if self.take() != ")":
                raise ExpressionError("a bracket is not closed")
            return expr
        if not token or token in "+-*/()":
            raise ExpressionError(f"a number was expected, got {token!r}")
        return Const(Fraction(token))


def evaluate(
    expr: Expr,
    values: Mapping[str, Fraction],
    results: Sequence[Fraction],
    passed: list[Fraction] | None = None,
) -> Fraction:
    """The exact value; ``passed`` collects the values of all operations, operands first.

    Raises:
        ExpressionError: a division by zero.
    """
    if isinstance(expr, Const):
        return expr.value
    if isinstance(expr, Param):
        return values[expr.name]
    if isinstance(expr, Result):
        return results[expr.index]
    left = evaluate(expr.left, values, results, passed)
    right = evaluate(expr.right, values, results, passed)
    if expr.op == "/" and right == 0:
        raise ExpressionError("division by zero")
    value = _RUN[expr.op](left, right)
    if passed is not None:
        passed.append(value)
    return value


_RUN: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


def leaves(expr: Expr) -> Iterator[Const | Param | Result]:
    """The leaves from left to right."""
    if isinstance(expr, Binary):
        yield from leaves(expr.left)
        yield from leaves(expr.right)
    else:
        yield expr


def replace_leaves(expr: Expr, replacements: Iterator[Expr]) -> Expr:
    """The expression with its leaves, from left to right, replaced."""
    if isinstance(expr, Binary):
        left = replace_leaves(expr.left, replacements)
        return Binary(expr.op, left, replace_leaves(expr.right, replacements))
    return next(replacements)


def map_leaves(expr: Expr, change: Callable[[Const | Param | Result], Expr]) -> Expr:
    """The expression with every leaf changed by a function."""
    return replace_leaves(expr, iter([change(leaf) for leaf in leaves(expr)]))


def show_value(value: Number) -> str:
    """A finite decimal, or else a fraction: ``0.25``, ``2/3``."""
    if decimal_places(value) is None:
        return f"{value.numerator}/{value.denominator}"
    return decimal(value)


class Hole(NamedTuple):
    """A place of a text for the value of a parameter or, without a name, of a step."""

    name: str
    step: int
    factor: bool
    """Whether a fraction would need brackets there."""


_BINDS = {"+": 1, "-": 1, "*": 2, "/": 2}


def holes(expr: Expr, floor: int = 0) -> list[str | Hole]:
    """The expression as plain arithmetic, cut where values stand: ``2 × (`` ... `` + 4)``."""
    if isinstance(expr, Const):
        return [_in_brackets(expr.value, show_value(expr.value), floor > 0)]
    if isinstance(expr, Param):
        return [Hole(expr.name, -1, floor > 0)]
    if isinstance(expr, Result):
        return [Hole("", expr.index, floor > 0)]
    own = _BINDS[expr.op]
    left = holes(expr.left, own - 1)
    # a × (b / c) keeps its brackets, so that a reader sees the fraction as one factor.
    quotient = isinstance(expr.right, Binary) and expr.right.op == "/"
    right = holes(expr.right, own if expr.op in "-/" or quotient else own - 1)
    pieces = [*left, f" {'×' if expr.op == '*' else expr.op} ", *right]
    return pieces if own > floor else ["(", *pieces, ")"]


def worth(hole: Hole, values: Mapping[str, Number], results: Sequence[Number]) -> str:
    """The text that fills a hole."""
    name, step, factor = hole
    value = values[name] if name else results[step]
    return str(value) if type(value) is int and value >= 0 else _in_brackets(value, show_value(value), factor)


def _in_brackets(value: Number, text: str, factor: bool) -> str:
    return f"({text})" if value < 0 or (factor and "/" in text) else text


def write(expr: Expr, values: Mapping[str, Number], results: Sequence[Number]) -> str:
    """The expression as plain arithmetic over the numbers that its leaves stand for: ``2 × (3 + 4)``."""
    return "".join(p if isinstance(p, str) else worth(p, values, results) for p in holes(expr))
