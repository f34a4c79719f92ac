from __future__ import annotations

import time
from contextlib import suppress
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.reading.mathlex import Unreadable, names
from dsgen.pipeline.core.reading.mathtext import read
from dsgen.pipeline.core.trace import Quantity, Trace

HALF = Fraction(1, 2)

VALUES: dict[str, Any] = {
    "31 + 13": 44,
    "2 × (31 + 44)": 150,
    "-7": -7,
    "5 - -3": 8,
    "-2^2": -4,
    "(-2)^2": 4,
    "2^3^2": 512,
    "2**10": 1024,
    "2^{10}": 1024,
    "2^-1": HALF,
    "10 / 4": Fraction(5, 2),
    "12 ÷ 4": 3,
    "8 − 3": 5,
    "17 mod 5": 2,
    "17 div 5": 3,
    r"17 \bmod 5": 2,
    "2 + 3 * 4": 14,
    "(2 + 3) * 4": 20,
    "2(3 + 4)": 14,
    "5!": 120,
    "(2 + 3)!": 120,
    "2^3!": 64,
    "C(10, 3)": 120,
    "P(5, 2)": 20,
    "gcd(48, 180)": 12,
    "gcd(48,180)": 12,
    "lcm(4, 6, 10)": 60,
    "min(3, 1/2)": HALF,
    "max(3, 4)": 4,
    "abs(3 - 8)": 5,
    "|3 - 8|": 5,
    "sqrt(16)": 4,
    "√16": 4,
    r"\sqrt{\frac{4}{9}}": Fraction(2, 3),
    r"\sqrt[3]{-27}": -3,
    "floor(7 / 2)": 3,
    r"\lceil 7/2 \rceil": 4,
    "modinv(3, 7)": 5,
    "modpow(2, 10, 1000)": 24,
    "not(3 < 5)": False,
    "and(3 < 5, 2 > 1)": True,
    "(1, 2, 3)": (1, 2, 3),
    "{5, 2}": frozenset([2, 5]),
    r"\{5, 2\}": frozenset([2, 5]),
    "1,200": 1200,
    "1{,}200": 1200,
    "1,234,567.5": Fraction(2469135, 2),
    "$60": 60,
    r"\$60": 60,
    ".5": HALF,
    "0.50": HALF,
    "50%": HALF,
    r"50\%": HALF,
    "20% of 50": 10,
    "1/2 of 48": 24,
    "5 x 3": 15,
    "5 · 3": 15,
    "2 1/2": Fraction(5, 2),
    r"2\frac{1}{2}": Fraction(5, 2),
    r"\frac{1}{2}": HALF,
    r"\dfrac12": HALF,
    r"\left( 3 + 4 \right) \cdot 2": 14,
    r"6 \div 3 \times 2": 4,
    r"\binom{5}{2}": 10,
    "4²": 16,
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    value = read(text)
    assert value == VALUES[text]
    assert type(value) is type(VALUES[text])


SYMBOLS = {"x": 14, "y": Fraction(1, 3), r"\pi": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4 × x + 12", 68),
        ("4x", 56),
        ("x^2", 196),
        ("2x(x + 1)", 420),
        ("xy", Fraction(14, 3)),
        ("5 x 3", 15),
        (r"2\pi", 6),
    ],
)
def test_declared_symbols(text: str, value: Any) -> None:
    assert read(text, SYMBOLS) == value


REFUSED = {
    "empty": "",
    "word": "seven",
    "undeclared": "4 × z",
    "undeclared_x": "2x - 5",
    "division_by_zero": "1 / (3 - 3)",
    "incomplete": "3 +",
    "juxtaposed": "5 2",
    "ambiguous_division": "1/2(3)",
    "unbalanced": "(3 + 4",
    "too_many_closers": "3 + 4)",
    "irrational": "sqrt(2)",
    "negative_root": "sqrt(-4)",
    "power_tower": "9^9^9^9^9",
    "large_power": "2^99999999999",
    "small_power": "2^-99999999999",
    "large_factorial": "99999!",
    "factorial_tower": "9!!!!",
    "large_binomial": "C(10000, 5000)",
    "large_modpow": "modpow(" + "9" * 400 + ", " + "9" * 400 + ", " + "9" * 400 + ")",
    "long_number": "9" * 100_000,
    "long_sum": "1 + " * 100_000 + "1",
    "deep": "(" * 5_000 + "1" + ")" * 5_000,
    "deep_minus": "-" * 5_000 + "1",
    "deep_powers": "2^" * 5_000 + "1",
    "import": "__import__('os')",
    "attribute": "(1).__class__",
    "lambda": "(lambda: 1)()",
    "comprehension": "[1 for x in (1, 2)]",
    "string": "'1'",
    "null": "1\x00 + 1",
    "arabic_digits": "٣ + ٤",
    "function": "sin(30)",
    "truth_in_arithmetic": "yes + 1",
    "sum_of_tuple": "(1, 2) + 1",
    "set_power": "{2}^3",
    "megabyte": "3 * (" * 200_000,
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_exact_value_is_refused_at_once(case: str) -> None:
    begun = time.process_time()
    with pytest.raises(Unreadable):
        read(REFUSED[case])
    assert time.process_time() - begun < 0.5


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(Unreadable):
        read(text, SYMBOLS)


@given(st.text("0123456789+-*/^!%()[]{}.,|<>=x \\", max_size=60))
def test_any_text_of_signs_is_read_or_refused(text: str) -> None:
    with suppress(Unreadable):
        read(text)


OPERATIONS = st.sampled_from(["add", "sub", "mul", "div", "mod", "floordiv", "pow", "gcd", "abs", "floor", "max"])


@given(st.lists(st.tuples(OPERATIONS, st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=9), st.data())
def test_what_a_derivation_writes_is_read_back(steps: list[tuple[str, int, int]], data: st.DataObject) -> None:
    t = Trace()
    made: list[Quantity] = [
        t.given("a", data.draw(st.integers(-20, 20))),
        t.given("b", data.draw(st.fractions(-9, 9, max_denominator=9))),
    ]
    for op, left, right in steps:
        operands = (
            [made[left % len(made)]]
            if op in ("neg", "abs", "floor")
            else [made[left % len(made)], made[right % len(made)]]
        )
        try:
            made.append(t.apply(op, *operands))
        except (Degenerate, TypeError):
            continue
    text, value = t.equation(made[-1].index), made[-1].value
    left_text, _, right_text = text.partition(" = ")
    assert read(left_text) == value
    assert not right_text or read(right_text) == value


def test_names() -> None:
    assert names(r"2xy + \pi + sin(t) + v_0 + gcd(4, 6)") == {"x", "y", "\\pi", "t", "v_0"}
