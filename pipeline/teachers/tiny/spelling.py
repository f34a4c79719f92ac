"""Arithmetic spelled out digit by digit, so that every single equation is one that can be known by heart.

Column sums and differences go from the last digit to the first, products one digit of the shorter factor at a time,
divisions from the first digit on. Every equation is true as it stands, borrowed and carried digits included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import zip_longest


class Unspelled(ValueError):
    """An operation, or numbers, for which there is no spelling here."""


def spell(op: str, values: Sequence[object]) -> str:
    """The spelling of an operation of :mod:`dsgen.pipeline.core.arith` on whole numbers, one line.

    The line ends in the equation as a whole, such as ``47+38=85``; before a colon stands what is worked out, after it
    the single digits: ``47+38: 7+8=15 4+3+1=8 47+38=85``.

    Raises:
        Unspelled: the operation has no spelling, or not for these numbers.
    """
    rule = _RULES.get(op)
    numbers = [value for value in values if type(value) is int]
    if rule is None or len(numbers) != 2 or len(values) != 2:
        raise Unspelled(f"{op} of {', '.join(map(str, values))}")
    return rule(*numbers)


def _add(a: int, b: int) -> str:
    if (a < 0) == (b < 0):
        parts = _sum_digits(abs(a), abs(b))
    else:
        parts = _difference_digits(*sorted((abs(a), abs(b)), reverse=True))
    return _line(f"{_factor(a)}+{_factor(b)}", parts, a + b)


def _sub(a: int, b: int) -> str:
    if (a < 0) == (b < 0):
        parts = _difference_digits(*sorted((abs(a), abs(b)), reverse=True))
    else:
        parts = _sum_digits(abs(a), abs(b))
    return _line(f"{_factor(a)}-{_factor(b)}", parts, a - b)


def _mul(a: int, b: int) -> str:
    high, low = sorted((abs(a), abs(b)), reverse=True)
    return _line(f"{_factor(a)}*{_factor(b)}", _product_parts(high, low), a * b)


def _div(a: int, b: int) -> str:
    if a < 0 or not 0 < b < 10 or a % b:
        raise Unspelled(f"{a} divided by {b}")
    return _line(f"{a}/{b}", _quotient_parts(a, b), a // b)


def _mod(a: int, b: int) -> str:
    # A last digit is read off, and so is what a single-digit number leaves.
    if (b == 10 and a >= 0) or (0 < b < 10 and -10 < a < 10):
        return f"{a} mod {b}={a % b}"
    if a < 0 or not 0 < b < 10:
        raise Unspelled(f"{a} modulo {b}")
    return _line(f"{a} mod {b}", _quotient_parts(a, b), a % b)


_RULES: dict[str, Callable[[int, int], str]] = {"add": _add, "sub": _sub, "mul": _mul, "div": _div, "mod": _mod}


def _line(task: str, parts: Sequence[str], value: int) -> str:
    """A task whose parts are one plain equation is that equation."""
    return f"{task}: {' '.join(parts)} {task}={value}" if parts else f"{task}={value}"


def _factor(value: int) -> str:
    return str(value) if value >= 0 else f"({value})"


def _digits(value: int) -> list[int]:
    """The digits of a number, the last one first."""
    return [int(digit) for digit in reversed(str(value))]


def _sum_digits(a: int, b: int) -> list[str]:
    if max(a, b) < 10:
        return []
    parts, carry = [], 0
    for one, other in zip_longest(_digits(a), _digits(b), fillvalue=0):
        total = one + other + carry
        parts.append(f"{one}+{other}+{carry}={total}" if carry else f"{one}+{other}={total}")
        carry = total // 10
    return parts


def _difference_digits(a: int, b: int) -> list[str]:
    """For ``a`` not below ``b``; a borrowed ten stands in front, as in ``10+0-5=5``."""
    if a < 10:
        return []
    parts, borrow = [], 0
    for one, other in zip_longest(_digits(a), _digits(b), fillvalue=0):
        lent = one - borrow < other
        rest = one + 10 * lent - other - borrow
        parts.append(f"{'10+' if lent else ''}{one}-{other}{'-1' if borrow else ''}={rest}")
        borrow = int(lent)
    return parts


def _product_parts(high: int, low: int) -> list[str]:
    if high < 10:
        return []
    if low < 10:
        return _product_digits(high, low)
    parts, total = [], 0
    for place, digit in enumerate(_digits(low)):
        if digit == 0:
            continue
        parts += [*_product_digits(high, digit), f"{high}*{digit}={high * digit}"]
        row = high * digit * 10**place
        if total:
            parts += [*_sum_digits(total, row), f"{total}+{row}={total + row}"]
        total += row
    return parts


def _product_digits(high: int, digit: int) -> list[str]:
    parts, carry = [], 0
    for one in _digits(high):
        total = one * digit + carry
        parts.append(f"{one}*{digit}+{carry}={total}" if carry else f"{one}*{digit}={total}")
        carry = total // 10
    return parts


def _quotient_parts(a: int, b: int) -> list[str]:
    """Long division, the first digits that hold the divisor first: ``26=8*3+2 24=8*3+0`` for 264 by 8."""
    parts: list[str] = []
    rest = 0
    for digit in str(a):
        rest = 10 * rest + int(digit)
        if rest < b and not parts and len(str(a)) > 1:
            continue
        quotient, left = divmod(rest, b)
        parts.append(f"{rest}={b}*{quotient}+{left}")
        rest = left
    return parts
