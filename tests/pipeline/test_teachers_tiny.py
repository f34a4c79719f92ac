"""The teacher that fits into the repository: its texts are true, its split is clean, its checkpoint is whole."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsgen.pipeline.core.arith import evaluate
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.reading.compare import Outcome, compare
from dsgen.pipeline.core.reading.final import final_answer
from dsgen.pipeline.teachers.chat import split_reasoning
from dsgen.pipeline.teachers.derivation import render
from dsgen.pipeline.teachers.prompt import prompt
from dsgen.pipeline.teachers.tiny import checkpoint
from dsgen.pipeline.teachers.tiny import tokenizer as bpe
from dsgen.pipeline.teachers.tiny.data import (
    HELD_OUT_PERCENT,
    PROFILES,
    TEMPLATES,
    chosen,
    example,
    held_out,
    problems,
    thought,
)
from dsgen.pipeline.teachers.tiny.spelling import Unspelled, spell
from dsgen.seeds.catalog import templates

KEY = Key.of("test")
TOKEN = re.compile(r"\(-\d+\)|\d+|mod|[-+*/]")
EQUATION = re.compile(r"(\S+(?: mod \d+)?)=(\S+)")


def value(text: str) -> Fraction:
    """The value of a text in numbers, + - * / and mod, read from the left: an own reader, to judge by."""
    found = TOKEN.findall(text)
    assert "".join(found) == text.replace(" ", ""), text
    negative = found[0] == "-"
    numbers = [Fraction(t.strip("()")) for t in found if t[-1].isdigit() or t[-1] == ")"]
    signs = [t for t in found[negative:] if t in ("+", "-", "*", "/", "mod")]
    assert len(signs) == len(numbers) - 1, text
    terms = [-numbers[0] if negative else numbers[0]]
    for sign, number in zip(signs, numbers[1:], strict=True):
        if sign in "+-":
            terms.append(number if sign == "+" else -number)
        elif sign == "mod":
            terms[-1] %= number
        else:
            terms[-1] *= number if sign == "*" else 1 / number
    return sum(terms, Fraction(0))


def equations(line: str) -> list[tuple[str, str]]:
    """Both sides of every equation of a line; nothing but equations stands behind the colon."""
    task, colon, work = line.partition(": ")
    found = EQUATION.findall(work if colon else line)
    assert " ".join(f"{left}={right}" for left, right in found) == (work if colon else line)
    if colon:
        assert found[-1][0] == task
    return found


WHOLE = st.integers(-5000, 5000)
OPERATIONS = st.one_of(
    st.tuples(st.sampled_from(["add", "sub"]), WHOLE, WHOLE),
    st.tuples(st.just("mul"), WHOLE, st.integers(-999, 999)),
    st.tuples(st.just("mod"), st.integers(0, 99_999), st.integers(1, 10)),
    st.tuples(st.just("mod"), st.integers(-9, -1), st.integers(1, 9)),
    st.tuples(st.integers(0, 9999), st.integers(1, 9)).map(lambda d: ("div", d[0] * d[1], d[1])),
)


@given(OPERATIONS)
def test_every_spelled_equation_is_true(operation: tuple[str, int, int]) -> None:
    op, a, b = operation
    line = spell(op, [a, b])
    found = equations(line)
    for left, right in found:
        assert value(left) == value(right), f"{left}={right} in {line}"
    assert int(found[-1][1]) == evaluate(op, (a, b))


@given(OPERATIONS)
def test_the_single_digits_are_small_enough_to_be_known_by_heart(operation: tuple[str, int, int]) -> None:
    """What is not an equation between whole numbers of the task has two digits at most."""
    op, a, b = operation
    for left, right in equations(spell(op, [a, b]))[:-1]:
        numbers = [abs(int(n)) for n in re.findall(r"\d+", f"{left} {right}")]
        restates = op == "mul" and re.fullmatch(r"\d+[+*]\d+", left)
        assert restates or max(numbers) < 100


@pytest.mark.parametrize(
    ("op", "values", "line"),
    [
        ("add", (3, 4), "3+4=7"),
        ("add", (47, 38), "47+38: 7+8=15 4+3+1=8 47+38=85"),
        ("sub", (80, 45), "80-45: 10+0-5=5 8-4-1=3 80-45=35"),
        ("sub", (2, 16), "2-16: 6-2=4 1-0=1 2-16=-14"),
        ("mul", (72, 4), "72*4: 2*4=8 7*4=28 72*4=288"),
        ("mul", (14, 12), "14*12: 4*2=8 1*2=2 14*2=28 4*1=4 1*1=1 14*1=14 8+0=8 2+4=6 0+1=1 28+140=168 14*12=168"),
        ("div", (264, 8), "264/8: 26=8*3+2 24=8*3+0 264/8=33"),
        ("mod", (114, 4), "114 mod 4: 11=4*2+3 34=4*8+2 114 mod 4=2"),
        ("mod", (33, 10), "33 mod 10=3"),
    ],
)
def test_spelling(op: str, values: tuple[int, int], line: str) -> None:
    assert spell(op, values) == line


@pytest.mark.parametrize(
    ("op", "values"),
    [
        ("pow", (2, 3)),
        ("div", (7, 2)),
        ("div", (264, 88)),
        ("div", (1, 0)),
        ("mod", (50, 21)),
        ("mod", (-50, 7)),
        ("add", (Fraction(1, 2), 1)),
        ("add", (1, 2, 3)),
        ("and", (True, False)),
    ],
)
def test_what_has_no_spelling_says_so(op: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(Unspelled, match=op if op not in ("div", "mod") else "."):
        spell(op, values)


@pytest.mark.parametrize("template", TEMPLATES)
def test_texts_are_what_a_run_asks_and_a_true_answer(template: str) -> None:
    for problem in [p for held in (False, True) for p in chosen(template, KEY, held=held, count=40)]:
        messages, target = example(problem)
        assert messages == prompt(problem, instructions="")
        assert [m.role for m in messages] == ["user"]
        reasoning, solution = split_reasoning(target)
        assert reasoning == thought(problem)
        assert solution == render(problem)
        final = final_answer(solution)
        assert final is not None
        assert compare(problem.answer, final.text, rescue=False).status is Outcome.CORRECT
        for line in reasoning.splitlines():
            for left, right in equations(line):
                assert value(left) == value(right), f"{left}={right} in {line}"


@pytest.mark.parametrize("template", TEMPLATES)
def test_nothing_is_both_trained_on_and_measured(template: str) -> None:
    """By id, by statement and by numbers, whatever the key of the draw."""
    trained = chosen(template, KEY, held=False, count=400)
    measured = chosen(template, Key.of("another"), held=True, count=100)
    assert trained
    assert measured
    assert not any(held_out(p) for p in trained)
    assert all(held_out(p) for p in measured)
    for feature in (lambda p: p.id, lambda p: p.statement, _numbers):
        assert not {feature(p) for p in trained} & {feature(p) for p in measured}


def _numbers(problem: Any) -> tuple[Any, ...]:
    return tuple((n, v) for n, v in problem.values.items() if isinstance(v, int))


@pytest.mark.parametrize("template", TEMPLATES)
def test_about_a_fifth_is_held_out(template: str) -> None:
    drawn = [p for p, _ in zip(problems(template, "same", KEY), range(1000), strict=False)]
    share = sum(map(held_out, drawn)) / len(drawn)
    assert abs(share - HELD_OUT_PERCENT / 100) < 0.08


def test_names_do_not_decide_what_is_held_out() -> None:
    """The same numbers in another dress are the same problem to learn."""
    template = templates()["geometry/fenced_garden"]
    first = next(problems(template.id, "same", KEY))
    owners = template.domains["owner"]
    for position in range(owners.size("same")):
        other = first.program.pose({**first.values, "owner": owners.at("same", position)}, _origin(first))  # type: ignore[union-attr]
        assert held_out(other) is held_out(first)


def _origin(problem: Any) -> Any:
    from dsgen.pipeline.core.program import Origin

    return Origin(problem.lineage, problem.draw)


def test_profiles_take_turns_and_nothing_comes_twice() -> None:
    found = chosen("number_theory/last_digit", KEY, held=False, count=10_000)
    assert len({p.id for p in found}) == len(found)
    capacity = sum(templates()["number_theory/last_digit"].capacity(p) for p in PROFILES)
    assert 0.7 * capacity < len(found) < 0.9 * capacity


def test_an_untaught_derivation_is_refused() -> None:
    problem = next(problems("combinatorics/committee", "same", KEY))
    with pytest.raises(Unspelled, match="binom"):
        thought(problem)


def _json(name: str) -> Any:
    return json.loads((checkpoint() / name).read_text(encoding="utf-8"))


def test_the_checkpoint_is_whole_and_small() -> None:
    names = {path.name for path in checkpoint().iterdir()}
    assert names == {
        "README.md",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert sum(path.stat().st_size for path in checkpoint().iterdir()) < 5_000_000


def test_the_weights_are_those_of_the_settings() -> None:
    """The header of the weights is JSON behind its length; no library is needed to read it."""
    with (checkpoint() / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    config = _json("config.json")
    assert config["architectures"] == ["Qwen3MoeForCausalLM"]
    assert {entry["dtype"] for entry in tensors.values()} == {"BF16"}
    assert tensors["model.embed_tokens.weight"]["shape"] == [config["vocab_size"], config["hidden_size"]]
    experts = {m[1] for name in tensors if (m := re.search(r"layers\.0\.mlp\.experts\.(\d+)\.", name))}
    assert len(experts) == config["num_local_experts"] > config["num_experts_per_tok"]
    assert 1.5e6 < sum(prod(entry["shape"]) for entry in tensors.values()) < 2.5e6


def test_the_tokenizer_keeps_digits_single_and_thinking_visible() -> None:
    tokenizer, config = _json("tokenizer.json"), _json("config.json")
    vocabulary = tokenizer["model"]["vocab"]
    assert {token for token in vocabulary if re.search(r"\d", token)} == set("0123456789")
    added = {entry["content"]: entry for entry in tokenizer["added_tokens"]}
    assert {name: entry["special"] for name, entry in added.items()} == (
        dict.fromkeys(bpe.SPECIAL, True) | dict.fromkeys(bpe.THINK, False)
    )
    assert added[bpe.END]["id"] == config["eos_token_id"] == _json("generation_config.json")["eos_token_id"]
    assert len(vocabulary.keys() | added.keys()) == config["vocab_size"] == bpe.VOCABULARY


def test_the_chat_template_writes_what_was_trained_on() -> None:
    jinja2 = pytest.importorskip("jinja2")
    problem = chosen(TEMPLATES[0], KEY, held=True, count=1)[0]
    turns = [{"role": m.role, "content": m.text} for m in prompt(problem, instructions="")]
    template = jinja2.Environment(autoescape=False).from_string(_json("tokenizer_config.json")["chat_template"])
    assert _json("tokenizer_config.json")["chat_template"] == bpe.CHAT_TEMPLATE
    asked = template.render(messages=turns, add_generation_prompt=True)
    assert asked == bpe.conversation((turn["role"], turn["content"]) for turn in turns)
    assert asked == f"<|user|>{turns[0]['content']}<|assistant|>"
    told = [{"role": "system", "content": "Solve with care."}, *turns]
    assert template.render(messages=told, add_generation_prompt=True) == asked
    assert bpe.conversation((turn["role"], turn["content"]) for turn in told) == asked
    answered = template.render(messages=[*turns, {"role": "assistant", "content": "42"}], add_generation_prompt=False)
    assert answered == f"{asked}42<|end|>"


def test_texts_survive_the_tokenizer() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(checkpoint() / "tokenizer.json"))
    for template in TEMPLATES:
        target = example(chosen(template, KEY, held=True, count=1)[0]).target
        assert tokenizer.decode(tokenizer.encode(target).ids) == target
    assert tokenizer.encode("1234").tokens == list("1234")
    unknown = "Ünïcode, 数学 and \t tabs stay what they are: 3/4"
    assert tokenizer.decode(tokenizer.encode(unknown).ids) == unknown


def test_the_card_names_what_is_taught() -> None:
    card = (checkpoint() / "README.md").read_text(encoding="utf-8")
    assert all(template in card for template in TEMPLATES)


@pytest.mark.slow
def test_the_teacher_is_right_most_of_the_time() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("transformers")
    torch.set_num_threads(1)  # more threads than idle cores wait for each other
    from dsgen.pipeline.teachers.tiny.evaluate import Speaker, measure

    scores = measure(Speaker.load(checkpoint()), count=8)
    assert {score.template for score in scores} == set(TEMPLATES)
    assert sum(score.share() for score in scores) / len(scores) >= 0.9
