"""The operations of a derivation: how each is executed on exact values and how it is written.

A node of a step DAG names one of these. :func:`evaluate` re-executes a node from the values of its inputs, so it
must not rely on how a template arrived at the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

from dsgen.pipeline.core.exact import Exact, plain

MAX_BITS = 4096
"""No integer of a derivation grows beyond this; larger ones are refused before they are computed."""


class Degenerate(ArithmeticError):
    """Parameters for which the calculation does not exist, such as a division by zero."""


@dataclass(frozen=True, slots=True)
class Op:
    """One operation: its executable meaning and its written form.

    The form ``value`` is for what has no sign of its own, such as looking up or sorting: only the result is written.
    """

    run: Callable[..., Any]
    form: Literal["infix", "call", "postfix", "prefix", "sum", "value"]
    sign: str = ""
    precedence: int = 9


def _divide(a: Any, b: Any) -> Exact:
    if b == 0:
        raise Degenerate("division by zero")
    if type(a) is int and type(b) is int and a % b == 0:
        return a // b
    return plain(Fraction(a) / b)


def _integers(name: str, *values: Any) -> None:
    if not all(isinstance(v, int) for v in values):
        raise Degenerate(f"{name} needs integers, got {values}")


def _mod(a: Any, b: Any) -> Exact:
    _integers("mod", a, b)
    if b == 0:
        raise Degenerate("remainder on division by zero")
    return int(a % b)


def _floordiv(a: Any, b: Any) -> Exact:
    if b == 0:
        raise Degenerate("division by zero")
    return int(a // b)


def _power(a: Any, b: Any) -> Exact:
    _integers("an exponent", b)
    size = max(abs(a.numerator).bit_length(), a.denominator.bit_length())
    if size * abs(b) > MAX_BITS:
        raise Degenerate(f"a power of more than {MAX_BITS} bits")
    if a == 0 and b < 0:
        raise Degenerate("a negative power of zero")
    return plain(Fraction(a) ** b) if b < 0 or type(a) is Fraction else a**b


def _factorial(n: Any) -> Exact:
    _integers("a factorial", n)
    if not 0 <= n <= 400:
        raise Degenerate(f"{n}! is outside 0! to 400!")
    return math.factorial(n)


def _nonnegative(name: str, run: Callable[..., int]) -> Callable[..., Exact]:
    def guarded(*values: Any) -> Exact:
        _integers(name, *values)
        if min(values) < 0 or max(values) > 10**4:
            raise Degenerate(f"{name}{values} is outside 0 to 10000")
        return run(*values)

    return guarded


def _sqrt(n: Any) -> Exact:
    value = Fraction(n)
    if value < 0:
        raise Degenerate(f"the square root of {n}")
    root = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    if root * root != value:
        raise Degenerate(f"the square root of {n} is not rational")
    return plain(root)


def _modinv(a: Any, m: Any) -> Exact:
    _integers("modinv", a, m)
    try:
        return int(pow(a, -1, m))
    except ValueError:
        raise Degenerate(f"{a} has no inverse modulo {m}") from None


def _modpow(a: Any, b: Any, m: Any) -> Exact:
    _integers("modpow", a, b, m)
    if m < 1 or b < 0:
        raise Degenerate(f"modpow({a}, {b}, {m})")
    return int(pow(a, b, m))


def _valuation(n: Any, p: Any) -> Exact:
    _integers("a valuation", n, p)
    if n == 0 or p < 2:
        raise Degenerate(f"how often {p} divides {n}")
    count = 0
    while n % p == 0:
        n //= p
        count += 1
    return count


def _numeral(base: Any, *digits: Any) -> Exact:
    """Digits, the highest first, as a number is written in a base."""
    _integers("a numeral", base, *digits)
    if not 2 <= base <= 36 or not digits or not all(0 <= d < base for d in digits):
        raise Degenerate(f"{digits} are not digits in base {base}")
    return "".join("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[d] for d in digits)


def _item(values: Any, position: Any) -> Exact:
    if not isinstance(values, (str, tuple)) or not 0 <= position < len(values):
        raise Degenerate(f"there is no place {position} in {values}")
    found: Exact = values[position]
    return found


def _slice(values: Any, start: Any, stop: Any, step: Any) -> Exact:
    _integers("a slice", start, stop, step)
    if step == 0:
        raise Degenerate("a slice with step 0")
    part: Exact = values[start:stop:step] if step > 0 else values[::step]
    return part


def _chain(first: Any, second: Any) -> Exact:
    """Two ordered chains as one, where the first ends in what the second begins with."""
    if first[-1] != second[0]:
        raise Degenerate(f"{first} and {second} do not meet")
    joined: Exact = first + second[1:]
    return joined


OPS: dict[str, Op] = {
    "add": Op(lambda a, b: plain(a + b), "infix", "+", 1),
    "sub": Op(lambda a, b: plain(a - b), "infix", "-", 1),
    "mul": Op(lambda a, b: plain(a * b), "infix", "×", 2),
    "div": Op(_divide, "infix", "/", 2),
    "mod": Op(_mod, "infix", "mod", 2),
    "floordiv": Op(_floordiv, "infix", "div", 2),
    "neg": Op(lambda a: plain(-a), "prefix", "-", 1),
    "pow": Op(_power, "infix", "^", 4),
    "factorial": Op(_factorial, "postfix", "!", 5),
    "sum": Op(lambda *values: plain(sum(values)), "sum", "+", 1),
    "gcd": Op(math.gcd, "call", "gcd"),
    "lcm": Op(math.lcm, "call", "lcm"),
    "binom": Op(_nonnegative("C", math.comb), "call", "C"),
    "perm": Op(_nonnegative("P", math.perm), "call", "P"),
    "min": Op(lambda *v: min(v), "call", "min"),
    "max": Op(lambda *v: max(v), "call", "max"),
    "abs": Op(abs, "call", "abs"),
    "sqrt": Op(_sqrt, "call", "sqrt"),
    "floor": Op(math.floor, "call", "floor"),
    "ceil": Op(math.ceil, "call", "ceil"),
    "modinv": Op(_modinv, "call", "modinv"),
    "modpow": Op(_modpow, "call", "modpow"),
    "lt": Op(lambda a, b: a < b, "infix", "<", 0),
    "le": Op(lambda a, b: a <= b, "infix", "≤", 0),
    "gt": Op(lambda a, b: a > b, "infix", ">", 0),
    "ge": Op(lambda a, b: a >= b, "infix", "≥", 0),
    "eq": Op(lambda a, b: a == b, "infix", "=", 0),
    "ne": Op(lambda a, b: a != b, "infix", "≠", 0),
    "not": Op(lambda a: not a, "call", "not"),
    "and": Op(lambda *v: all(v), "call", "and"),
    "or": Op(lambda *v: any(v), "call", "or"),
    "xor": Op(lambda a, b: bool(a) != bool(b), "call", "xor"),
    "implies": Op(lambda a, b: (not a) or bool(b), "call", "implies"),
    "tuple": Op(lambda *v: v, "call"),
    "set": Op(lambda *v: frozenset(v), "value"),
    "count": Op(lambda *v: len(v), "value"),
    "valuation": Op(_valuation, "value"),
    "numeral": Op(_numeral, "value"),
    "item": Op(_item, "value"),
    "argmax": Op(lambda *v: v.index(max(v)), "value"),
    "sorted": Op(lambda *v: tuple(sorted(v)), "value"),
    "slice": Op(_slice, "value"),
    "concat": Op(lambda *v: "".join(v), "value"),
    "append": Op(lambda values, *v: (*values, *v), "value"),
    "length": Op(len, "value"),
    "count_true": Op(lambda *v: sum(map(bool, v)), "value"),
    "chosen": Op(lambda values, *keep: frozenset(v for v, k in zip(values, keep, strict=True) if k), "value"),
    "chain": Op(_chain, "value"),
}
LEAVES = frozenset({"given", "const"})


def evaluate(op: str, values: tuple[Any, ...]) -> Exact:
    """The exact result of an operation.

    Raises:
        Degenerate: the operation is not defined for these values.
        KeyError: there is no such operation.
    """
    result: Exact = OPS[op].run(*values)
    if type(result) is int and result.bit_length() > MAX_BITS:
        raise Degenerate(f"a number of more than {MAX_BITS} bits")
    return result
