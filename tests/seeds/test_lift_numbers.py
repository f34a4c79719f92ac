from fractions import Fraction

import pytest

from dsgen.seeds.text.lift_expr import ExpressionError, evaluate, parse, write
from dsgen.seeds.text.lift_numerals import Style, in_words, says_an, write_number
from dsgen.seeds.text.numbers import read_numbers

READ = [
    pytest.param("48 friends", [("48", "digits", 48)], id="digits"),
    pytest.param("$1,200.50 a year", [("$1,200.50", "digits", Fraction("1200.5"))], id="money"),
    pytest.param("$ .50", [("$ .50", "digits", Fraction(1, 2))], id="a bare point"),
    pytest.param(
        "twenty-five and one hundred five",
        [("twenty-five", "words", 25), ("one hundred five", "words", 105)],
        id="words",
    ),
    pytest.param(
        "two-thirds of 3/4",
        [("two-thirds", "part", Fraction(2, 3)), ("3/4", "fraction", Fraction(3, 4))],
        id="fractions",
    ),
    pytest.param(
        "2 1/2 or 2 and a half",
        [("2 1/2", "mixed", Fraction(5, 2)), ("2 and a half", "mixed", Fraction(5, 2))],
        id="mixed",
    ),
    pytest.param(
        "half, twice, dozen",
        [("half", "part", Fraction(1, 2)), ("twice", "multiple", 2), ("dozen", "multiple", 12)],
        id="multiples",
    ),
    pytest.param("3:30 pm on the 5th", [("3:30 pm", "clock", 3), ("5th", "ordinal", 5)], id="clock and ordinal"),
    pytest.param("3 million", [("3 million", "scaled", 3_000_000)], id="scaled"),
    pytest.param("4km by A4", [("4", "digits", 4), ("4", "glued", 4)], id="a glued unit and a name"),
    pytest.param("per second, the second", [("second", "ordinal", 2)], id="a second is a unit, too"),
]


@pytest.mark.parametrize(("text", "expected"), READ)
def test_numbers_are_read(text, expected):
    assert [(m.text, m.kind, m.value) for m in read_numbers(text)] == expected


def test_percent_cents_and_dozens_are_told_apart():
    percent, cents, dozen = read_numbers("20 percent of 75 cents for 5 dozen")[:3]
    assert (percent.percent, cents.cents, dozen.dozen) == (True, True, True)
    assert Fraction(4, 5) in percent.implied() and Fraction(3, 4) in cents.implied() and 60 in dozen.implied()


@pytest.mark.parametrize("text", ["48", "$1,200", "$12.50", ".5", "twelve", "Forty-two", "1200", "$ 7"])
def test_what_is_read_is_written_back(text):
    (mention,) = read_numbers(text)
    assert write_number(mention.value, mention.style) == text


def test_large_words_and_articles():
    assert in_words(999) == "nine hundred ninety-nine"
    assert write_number(Fraction(1500), Style(words=True)) == "1500"
    assert [n for n in ("8", "11", "18", "80", "110", "1,100", "11,000", "eight", "nine") if says_an(n)] == [
        "8",
        "11",
        "18",
        "80",
        "11,000",
        "eight",
    ]


@pytest.mark.parametrize(
    ("text", "value", "shown"),
    [
        ("20/100*60", 12, "20 / 100 × 60"),
        ("84*(1/4)", 21, "84 × (1 / 4)"),
        ("8-(3-2)", 7, "8 - (3 - 2)"),
        ("4(3)", 12, "4 × 3"),
        ("+2+.5", Fraction(5, 2), "2 + 0.5"),
    ],
)
def test_expressions_are_exact(text, value, shown):
    expr = parse(text)
    assert evaluate(expr, {}, []) == value
    assert write(expr, {}, []) == shown


@pytest.mark.parametrize("text", ["", "2**3", "a+1", "(1+2", "1//2", "-3", "2+", "1" * 200, "(" * 40 + "1" + ")" * 40])
def test_other_texts_are_refused(text):
    with pytest.raises(ExpressionError):
        parse(text)


def test_division_by_zero_is_refused():
    with pytest.raises(ExpressionError):
        evaluate(parse("1/(2-2)"), {}, [])
