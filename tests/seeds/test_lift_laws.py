"""Laws of lifted records, with the arithmetic of a solution's text done again by another parser."""

import ast
import json
import operator
import pickle
import re
from fractions import Fraction
from importlib.resources import files
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.seeds.text.lift import Lift, draw_values, lift

RECORDS = [
    json.loads(line)
    for line in (files("dsgen.seeds.data") / "gsm8k_train_500.jsonl").read_text(encoding="utf-8").splitlines()[:150]
]
LIFTS = [(r, found) for r in RECORDS if isinstance(found := lift(r["question"], r["answer"]), Lift)]
SIDE = r"[-+*/().\d× ]*\d\)*"
EQUATION = re.compile(rf"(?<![\w.])((?:\(|\d|\.\d){SIDE}) = (-?\d+(?:\.\d+)?(?:/\d+)?)(?![\d/])")
RUN = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def worth(node: ast.expr, source: str) -> Fraction:
    if isinstance(node, ast.BinOp):
        return RUN[type(node.op)](worth(node.left, source), worth(node.right, source))
    assert isinstance(node, ast.Constant)
    return Fraction(ast.get_source_segment(source, node))


def equations(text: str) -> list[tuple[Fraction, Fraction]]:
    found = []
    for left, right in EQUATION.findall(text):
        source = left.strip().replace("×", "*")
        found.append((worth(ast.parse(source, mode="eval").body, source), Fraction(right)))
    return found


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(LIFTS), st.sampled_from(["easier", "same", "harder"]), st.integers(0, 2**32))
def test_a_child_is_right_by_its_own_text(pair, profile, seed):
    _, lifted = pair
    values = draw_values(lifted, profile, Random(seed))
    if values is None:
        return
    results = lifted.evaluate(values)
    stated = equations(lifted.render_solution(values))
    assert len(stated) == len(lifted.steps)
    assert all(left == right for left, right in stated)
    assert [right for _, right in stated] == results
    assert lifted.admissible(values) is None
    question = lifted.render_question(values)
    assert question != lifted.render_question(lifted.originals)
    for parameter in lifted.parameters:
        if parameter.style == type(parameter.style)():
            assert str(values[parameter.name]) in question


WORDS = [
    "Ann",
    "has",
    "48",
    "1/2",
    "twice",
    "$1,200.50",
    "20%",
    "half",
    "a dozen",
    "3:30 pm",
    "9" * 5000,
    ".",
    "?",
    "of",
    "0",
]
LINES = [
    "<<1/0=2>>2",
    "4+4=<<4+4=8>>8",
    "x=<<8=8>>8",
    "<<(((=2>>",
    "= = 5",
    "<<>>",
    "8 * 8 = 64",
    "#### 8",
    "####",
    "9" * 5000,
]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(WORDS), max_size=12), st.lists(st.sampled_from(LINES) | st.text(max_size=20), max_size=5)
)
def test_no_text_breaks_the_lift(words, lines):
    assert lift(" ".join(words), "\n".join(lines)) is not None
    assert lift(" ".join(words), "\n".join([*lines, "#### 8"])) is not None


def test_the_records_own_values_give_the_record_back():
    for record, lifted in LIFTS:
        originals = lifted.originals
        assert lifted.render_question(originals) == record["question"]
        gold = Fraction(record["answer"].rpartition("####")[2].strip().replace(",", ""))
        assert lifted.evaluate(originals)[-1] == gold
        assert lifted.admissible(originals) is None
        assert equations(lifted.render_solution(originals))[-1][1] == gold


def test_every_parameter_matters():
    for _, lifted in LIFTS:
        assert lifted.parameters
        for parameter in lifted.parameters:
            moved = lifted.originals | {parameter.name: parameter.value + Fraction(1, 97)}
            assert lifted.evaluate(moved)[-1] != lifted.evaluate(lifted.originals)[-1], lifted.segments


def test_lifts_survive_pickle_and_show_as_plain_data():
    for _, lifted in LIFTS[:40]:
        assert pickle.loads(pickle.dumps(lifted)) == lifted
        assert json.loads(json.dumps(lifted.to_data())) == lifted.to_data()
