"""Reading mathematical text into exact values: plain or LaTeX-light, without ``eval`` and within fixed bounds.

The reader is one precedence-climbing pass over tokens that computes as it reads. Every bound (length, depth, size of a
number, of a power, of a factorial) is checked before the computation that it bounds.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from dsgen.pipeline.core.arith import MAX_BITS, OPS
from dsgen.pipeline.core.exact import Exact, plain
from dsgen.pipeline.core.reading.mathlex import CALLS, RELATIONS, TRUTHS, Unreadable, tokens

MAX_DEPTH = 50
MAX_DIGITS = 1300
_SMALL = 1 << 128

Symbols = Mapping[str, Exact]
NO_SYMBOLS: Symbols = {}

_SIMPLE = re.compile(r"(-?\d{1,300})(?: ?([-+*/×]) ?(\d{1,300}))?", re.ASCII)
_STOPS = RELATIONS | {"", ",", ")", "]", "}", r"\}", "|", r"\rfloor", r"\rceil"}
_PAIRS = {"|": ("|", "abs"), r"\lfloor": (r"\rfloor", "floor"), r"\lceil": (r"\rceil", "ceil")}
_NAMES = {"+": "add", "-": "sub", "*": "mul", "x": "mul", "of": "mul", "/": "div", "mod": "mod", "div": "floordiv"}
_NAMES["^"] = "pow"
_INFIX = {sign: OPS[name].precedence for sign, name in _NAMES.items()}
_RING = frozenset("+-*x")
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {OPS[n].sign: OPS[n].run for n in ("lt", "le", "gt", "ge", "eq", "ne")}


class Reader:
    """A pass over the tokens of one text that computes as it reads; ``at`` is the next token."""

    __slots__ = ("at", "depth", "in_call", "symbols", "tokens")

    def __init__(self, found: list[str], symbols: Symbols = NO_SYMBOLS) -> None:
        self.tokens = found
        found.append("")
        self.at = 0
        self.depth = 0
        self.in_call = False
        self.symbols = symbols

    def whole(self) -> Any:
        """The value of all tokens."""
        value = self.expression(-1)
        if self.at != len(self.tokens) - 1:
            raise Unreadable(f"left over: {self.tokens[self.at][:20]}")
        return value

    def expression(self, floor: int = 0) -> Any:
        """The value of the longest expression from here whose operators bind tighter than ``floor``.

        Floor 0 reads sums and stops at a relation; floor -1 reads relations too, as inside brackets.
        """
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("too_deep")
        value = self.operand()
        found = self.tokens
        divided = False
        while True:
            token = found[self.at]
            if token in _STOPS:
                if token in RELATIONS and floor < 0:
                    self.at += 1
                    value = compare(token, value, self.expression())
                    continue
                break
            power = _INFIX.get(token, 0)
            if token == "x":  # times, or a symbol: a number must follow the one and cannot follow the other
                following = found[self.at + 1][:1]
                if "x" in self.symbols and not following.isdigit():
                    power = 0
                elif not following.isdigit() and following not in ("(", "."):
                    raise Unreadable("undeclared: x")
            if not power:
                if token == "!":
                    self.at += 1
                    value = self.apply("factorial", value)
                    continue
                if token == "%":
                    self.at += 1
                    value = self.checked(self.apply("div", value, 100))
                    continue
                if floor >= 2:
                    break
                if divided:
                    raise Unreadable("ambiguous_division")
                if token[0] in "0123456789.":
                    raise Unreadable("juxtaposed_numbers")
                right = self.expression(2)  # a product without a sign
                token = "*"
            else:
                if power <= floor:
                    break
                self.at += 1
                if token == "^":
                    right = self.group() if found[self.at] == "{" else self.expression(3)
                else:
                    if token == "of" and type(value) is not Fraction and found[self.at - 2] != "%":
                        raise Unreadable("of")
                    right = self.expression(power)
            divided = False
            if type(value) is int and type(right) is int and token in _RING:
                if token == "+":
                    value += right
                elif token == "-":
                    value -= right
                else:
                    value *= right
                if -_SMALL < value < _SMALL:
                    continue
            else:
                divided = token == "/"
                value = self.apply(_NAMES[token], value, right)
            self.checked(value)
        self.depth -= 1
        return value

    def operand(self) -> Any:
        """The value of one number, name, call or bracket."""
        found = self.tokens
        token = found[self.at]
        self.at += 1
        if not token:
            raise Unreadable("incomplete")
        if token[0] in "0123456789.":
            return self.numeral(token)
        if token == "(":
            inside, self.in_call = self.in_call, False
            values = self.listed(")")
            self.in_call = inside
            return values[0] if len(values) == 1 else tuple(values)
        if token == "-":
            return self.apply("neg", self.expression(3))
        if token in self.symbols:
            return self.symbols[token]
        name = token[1:] if token[0] == "\\" and token[1:] in CALLS else token
        if name in CALLS and found[self.at] == "(":
            self.at += 1
            inside, self.in_call = self.in_call, True
            values = self.listed(")")
            self.in_call = inside
            return self.call(name, values)
        if name in TRUTHS:
            return TRUTHS[name]
        if token == "\\frac":
            return self.apply("div", self.group(), self.group())
        if token == "\\sqrt":
            return self.root()
        if token == "\\binom":
            return self.call("C", [self.group(), self.group()])
        if token in ("{", "\\{"):
            return frozenset(self.listed("}" if token == "{" else "\\}"))
        if token in _PAIRS:
            (value,) = self.listed(_PAIRS[token][0])
            return self.apply(_PAIRS[token][1], value)
        if len(token) > 1 and token.isalpha() and all(letter in self.symbols for letter in token):
            product: Any = 1
            for letter in token:
                product = self.checked(plain(product * _number(self.symbols[letter])))
            return product
        return self.other(token)

    def other(self, token: str) -> Any:
        """The value of a token that the language does not know."""
        raise Unreadable(f"undeclared: {token[:20]}")

    def apply(self, op: str, *values: Any) -> Any:
        """The result of an operation on numbers, see :data:`~dsgen.pipeline.core.arith.OPS`."""
        return OPS[op].run(*map(_number, values))

    def call(self, name: str, values: list[Any]) -> Any:
        """The value of a function, if it is certain beforehand that it is not too large."""
        if name in ("C", "P") and len(values) == 2 and all(type(v) is int for v in values):
            n, k = values
            if (min(k, n - k) if name == "C" else k) * n.bit_length() > 2 * MAX_BITS:
                raise Unreadable("too_large")
        elif name == "modpow" and sum(v.bit_length() for v in values if type(v) is int) > 1024:
            raise Unreadable("too_large")
        return CALLS[name](*values)

    def numeral(self, token: str) -> Any:
        """The number that a token is, with a proper fraction after it if it is a mixed numeral."""
        found = self.tokens
        if "," in token:
            if self.in_call:  # between the brackets of a call a comma parts the arguments
                parts = [p for part in token.split(",") for p in (part, ",")][:-1]
                found[self.at - 1 : self.at] = parts
                return self.numeral(parts[0])
            token = token.replace(",", "")
        if len(token) > MAX_DIGITS:
            raise Unreadable("too_many_digits")
        value: Any = plain(Fraction(token)) if "." in token else int(token)
        following = found[self.at]
        if following == "\\frac" and type(value) is int:
            self.at += 1
            above, below = self.group(), self.group()
            if type(above) is not int or type(below) is not int or not 0 < above < below:
                raise Unreadable("juxtaposed_numbers")
            return value + Fraction(above, below)
        if following.isdigit() and "." not in token:
            above, slash, below = [*found[self.at : self.at + 3], "", ""][:3]
            if slash != "/" or not below.isdigit() or len(below) > 9 or not 0 < int(above) < int(below):
                raise Unreadable("juxtaposed_numbers")
            self.at += 3
            return value + Fraction(int(above), int(below))
        return value

    def listed(self, closer: str) -> list[Any]:
        """The values between brackets, parted by commas."""
        found = self.tokens
        if found[self.at] == closer:
            self.at += 1
            return []
        values = [self.expression(-1)]
        while found[self.at] == ",":
            self.at += 1
            values.append(self.expression(-1))
        if found[self.at] != closer:
            raise Unreadable(f"expected {closer}")
        self.at += 1
        return values

    def group(self) -> Any:
        """A LaTeX argument: ``{...}``, or one digit or letter."""
        token = self.tokens[self.at]
        self.at += 1
        if token == "{":
            (value,) = self.listed("}")
            return value
        if token.isdigit():
            if len(token) > 1:
                self.tokens[self.at - 1 : self.at] = [token[0], token[1:]]
            return int(token[0])
        if token in self.symbols:
            return self.symbols[token]
        raise Unreadable("argument")

    def root(self) -> Any:
        """What stands under a root sign, rooted."""
        found = self.tokens
        degree = 2
        if found[self.at] == "[":
            self.at += 1
            (degree,) = self.listed("]")
        value = self.group() if found[self.at] == "{" else self.operand()
        if degree == 2:
            return self.apply("sqrt", value)
        if degree != 3 or type(value) is not int:
            raise Unreadable("root")
        size = 1 << -(-abs(value).bit_length() // 3)
        low = 0
        while low < size:  # the least number whose cube is not below |value|
            middle = (low + size) // 2
            low, size = (middle + 1, size) if middle**3 < abs(value) else (low, middle)
        if low**3 != abs(value):
            raise Unreadable("irrational")
        return low if value >= 0 else -low

    def checked(self, value: Any) -> Any:
        """The value, if it is not too large to go on with."""
        if type(value) is int:
            if value.bit_length() > MAX_BITS:
                raise Unreadable("too_large")
        elif type(value) is Fraction and max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
            raise Unreadable("too_large")
        return value


def _number(value: Any) -> Any:
    if type(value) is int or type(value) is Fraction:
        return value
    raise Unreadable("not_a_number")


def compare(relation: str, left: Any, right: Any) -> bool:
    """Whether a relation holds between two exact values.

    Raises:
        Unreadable: the relation is not defined between them.
    """
    if relation not in _COMPARE:
        raise Unreadable(f"relation: {relation}")
    if (type(left) is bool) != (type(right) is bool):
        raise Unreadable("a truth value and a number")
    if relation not in "=≠":
        _number(left)
        _number(right)
    return bool(_COMPARE[relation](left, right))


FAULTS = (ArithmeticError, TypeError, ValueError, AttributeError, KeyError, IndexError, RecursionError)
"""What a reader may raise on a text that it cannot read; :func:`read` makes all of it :class:`Unreadable`."""


def read(text: str, symbols: Symbols = NO_SYMBOLS) -> Exact:
    """The exact value of a text: a number, a truth value, a tuple or a set.

    Raises:
        Unreadable: the text has no value in this language, uses an undeclared symbol, or is too large.
    """
    simple = _SIMPLE.fullmatch(text)
    if simple is not None:
        left, sign, right = simple.groups()
        value: Any = int(left)
        if sign is None:
            return value  # type: ignore[no-any-return]
        if sign == "+":
            return value + int(right)  # type: ignore[no-any-return]
        if sign == "-":
            return value - int(right)  # type: ignore[no-any-return]
        if sign != "/":
            return value * int(right)  # type: ignore[no-any-return]
        if right.strip("0"):
            return plain(Fraction(value, int(right)))
        raise Unreadable("division by zero")
    try:
        result: Exact = Reader(tokens(text), symbols).whole()
    except FAULTS as error:
        raise error if isinstance(error, Unreadable) else Unreadable(f"undefined: {error}"[:200]) from None
    return result
