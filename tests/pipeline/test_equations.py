from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core.reading.equations import find

SYMBOLS = {"x": 14}

STATES = {
    "The garden is 14 + 20 = 34 m long.": "holds",
    "It costs 96 × 7 = 672 dollars.": "holds",
    "The remainder is (3 - 2) mod 7 = 1.": "holds",
    "Hence k = (5 × 7) mod 3 = 2.": "holds",
    "The area is 4 × 22 = 88 m².": "holds",
    "She earns $12 × 5 = $60 per week.": "holds",
    "1,200 × 3 = 3,600": "holds",
    "a chain: 2 + 3 = 5 = 10 / 2": "holds",
    "a chain: 2 + 3 = 6 = 12 / 2": "fails",
    "7 > 5": "holds",
    "5 > 7 is false.": "holds",
    "7 > 5 is false.": "fails",
    "5 > 7": "fails",
    "3 ≤ 3 < 4": "holds",
    "2 + 2 ≠ 5": "holds",
    r"$3 + 4 = 7$": "holds",
    r"\(3 + 4 = 8\)": "fails",
    r"\[ 3 \times 4 = 12 \]": "holds",
    r"\frac{1}{2} + \frac{1}{3} = \frac{5}{6}": "holds",
    r"3 + 4 = \boxed{7}": "holds",
    "3 + 4 = **7**": "holds",
    "2**3 = 8": "holds",
    "4 × x + 12 = 68": "holds",
    "4x + 12 = 69": "fails",
    "1/3 = 0.33": "fails",
    "1/3 ≈ 0.33": "holds",
    "2/3 ≈ 0.66": "fails",
    r"2/3 \approx 0.667": "holds",
    "100 - 20 = 80%": "unread",
    "20% of 50 = 10": "holds",
    "17 ≡ 3 (mod 7)": "holds",
    r"17 \equiv 4 \pmod{7}": "fails",
    "10 / 4 = 2 remainder 2": "unread",
    "half of 48 = 24": "unread",
    "5 groups of 3 = 15": "unread",
    "2 hours = 120 minutes": "unread",
    "5 apples + 3 apples = 8 apples": "holds",
    "5 apples + 3 apples = 9 apples": "unread",
    "sin(30) = 0.5": "unread",
    "f(3) = 9": "unread",
    "y + 2 = 5": "unread",
    "y = 5": "defines",
    "Total cost = 15": "defines",
    "If 3 + 4 = 8, we are lost.": "unread",
    "12 (3 × 4 = 12) apples": "holds",
    "(3 + 4 = 7)": "holds",
    "1) 3 + 4 = 8": "fails",
    "- 3 + 4 = 7": "holds",
    "* 3 + 4 = 8": "fails",
    "2 × 7\n= 14": "holds",
    "2 × 7\n= 15": "fails",
    "not(3 < 5) = no": "holds",
    "not(3 < 5) = yes": "fails",
    "{2, 5} = {5, 2}": "holds",
    "2x - 5 = -10": "unread",
    "1/3 = 0.333...": "unread",
    "9^9^9^9 = 1": "unread",
}


@pytest.mark.parametrize("text", STATES)
def test_states(text: str) -> None:
    symbols = SYMBOLS if text.startswith("4") else {}
    (equation,) = find(text, symbols)
    assert equation.state == STATES[text], equation
    assert text[equation.start : equation.end] == equation.text


@pytest.mark.parametrize(
    "text",
    ["", "no equation", "a => b", "x -> y", "=====", "```\n1 = 2\n```", "<think>so</think>", "> quoted"],
)
def test_what_is_no_equation(text: str) -> None:
    assert find(text) == []


def test_several_in_a_text_are_told_apart() -> None:
    text = "First 2 + 2 = 4, then 3 × 3 = 9; so 4 + 9 = 14 and gcd(4, 6) = 2.\n<<48/2=24>>24 and 7 < 8"
    found = [(e.text, e.state) for e in find(text)]
    assert sorted(found) == [
        ("2 + 2 = 4", "holds"),
        ("3 × 3 = 9", "holds"),
        ("4 + 9 = 14", "fails"),
        ("48/2=24", "holds"),
        ("7 < 8", "holds"),
        ("gcd(4, 6) = 2", "holds"),
    ]


@given(st.integers(-999, 999), st.sampled_from("+-×"), st.integers(0, 999), st.integers(-(10**6), 10**6))
def test_an_equation_holds_exactly_when_it_is_true(a: int, sign: str, b: int, shown: int) -> None:
    truth = a + b if sign == "+" else a - b if sign == "-" else a * b
    template = "We compute {} {} {} = {} apples."
    assert [e.state for e in find(template.format(a, sign, b, truth))] == ["holds"]
    assert [e.state for e in find(template.format(a, sign, b, shown))] == ["holds" if shown == truth else "fails"]


@given(st.lists(st.integers(1, 99), min_size=2, max_size=5), st.sampled_from("<>≤≥"))
def test_chains_of_inequalities(numbers: list[int], sign: str) -> None:
    pairs = list(pairwise(numbers))
    truth = all({"<": a < b, ">": a > b, "≤": a <= b, "≥": a >= b}[sign] for a, b in pairs)
    (equation,) = find(f"Then {f' {sign} '.join(map(str, numbers))}.")
    assert equation.state == ("holds" if truth else "fails")


@given(st.text(max_size=400))
def test_no_text_breaks_it(text: str) -> None:
    for equation in find(text, SYMBOLS):
        assert 0 <= equation.start <= equation.end <= len(text)


@given(st.text("0123456789+-*/=<>()[]{}|,.$%^! \nxa\\`", max_size=80))
def test_no_text_of_signs_breaks_it(text: str) -> None:
    for equation in find(text, SYMBOLS):
        assert 0 <= equation.start <= equation.end <= len(text)


def test_a_long_solution_takes_time_in_proportion() -> None:
    line = "Round 7: `total` becomes (16 × 3 + 1) mod 20 = 9.\n"
    begun = time.process_time()
    found = find(line * 4000)
    assert time.process_time() - begun < 2
    assert len(found) == 4000
    assert {e.state for e in found} == {"holds"}
