"""The contract of all executable templates."""

import itertools
import json
import math
import pickle
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import pytest

from dsgen.pipeline.core import exact
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.core.program import PROFILES, Values
from dsgen.pipeline.core.space import Integer, Integers
from dsgen.pipeline.core.template import Template
from dsgen.seeds.catalog import FAMILIES, templates

KEY = Key.of("template contract", 1)
DRAWS = 60
TEMPLATES = templates()
CASES = [(name, profile) for name, t in TEMPLATES.items() for profile in PROFILES if t.capacity(profile)]
LIKE = Problem(
    parts=(Part("text", ""),),
    answer=None,  # type: ignore[arg-type]
    lineage=Lineage("templates", "contract/0", "00", KEY.raw.hex()),
    tier=Tier.EXACT,
    family="",
)
SINGULAR = re.compile(
    r"(?<![\d.,:/^×+-] )(?<![\d.,\-])\b1 (?!is\b|has\b|does\b|this\b|was\b|plus\b|times\b|unless\b)"
    r"(?!kg\b|cm\b|less\b)(\w+s)\b"
)
"""``1 apples``; not ``21 apples``, ``3 × 1 apples`` or ``1 is``."""
ARTICLE = re.compile(r"(?:\ba|(?:^|[.!?] )A) (?![aeiou]\b)[aeiou](?!ni|se)\w+|\b[Aa]n (?!hour)[^aeiouAEIOU8\W]\w+")
"""``a apple`` and ``an pear``."""


@cache
def posed(name: str, profile: str) -> list[Problem]:
    template = TEMPLATES[name]
    slots = range(min(DRAWS, template.capacity(profile)))
    drawn = [template.draw(profile, slot, KEY) for slot in slots]
    return [template.pose(values, LIKE) for values in drawn if values is not None]


def shape(value: Exact) -> str:
    if isinstance(value, bool):
        return "truth"
    if isinstance(value, (int, Fraction)):
        return "number"
    if isinstance(value, tuple):
        return "tuple of " + ", ".join(shape(v) for v in value)
    if isinstance(value, frozenset):
        return "set of " + ", ".join(sorted({shape(v) for v in value}))
    return "text"


def texts(problem: Problem) -> list[str]:
    assert problem.derivation is not None
    return [problem.statement, *(step.text for step in problem.derivation.steps)]


def test_there_are_templates_for_every_family() -> None:
    folders = [name.partition("/")[0] for name in TEMPLATES]
    assert set(folders) == set(FAMILIES)
    assert min(folders.count(f) for f in FAMILIES) >= 2
    assert {t.family for n, t in TEMPLATES.items() if n.startswith("tables/")} == {"data"}
    assert all(t.__doc__ or t.__module__ for t in TEMPLATES.values())
    assert templates() is TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_capacity(name: str) -> None:
    template = TEMPLATES[name]
    assert template.capacity("same") >= 1500
    assert template.capacity("easier") >= 100
    assert template.capacity("harder") == 0 or template.capacity("harder") >= 1000


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_draws_are_distinct_and_admissible(name: str, profile: str) -> None:
    template = TEMPLATES[name]
    problems = posed(name, profile)
    assert len(problems) >= 0.95 * min(DRAWS, template.capacity(profile))
    assert len({repr(p.values) for p in problems}) == len(problems)
    assert len({p.statement for p in problems}) == len(problems)
    assert all(template.admissible(p.values) for p in problems)


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_answers_are_derived_and_agree_with_the_second_solver(name: str, profile: str) -> None:
    template = TEMPLATES[name]
    for problem in posed(name, profile):
        derivation = problem.derivation
        assert derivation is not None
        assert derivation.faults() == []
        second = template.second(problem.values)
        assert exact.show(second) == exact.show(derivation.value) == problem.answer.show()
        assert second == derivation.value
        assert problem.second is not None
        assert problem.second() == second
    assert len({shape(p.derivation.value) for p in posed(name, profile) if p.derivation}) == 1
    assert len({exact.show(p.derivation.value) for p in posed(name, profile) if p.derivation}) > 1


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_solutions_read_well(name: str, profile: str) -> None:
    for problem in posed(name, profile):
        assert problem.derivation is not None
        steps = problem.derivation.steps
        sentences = sum(len(re.findall(r"[.!?](?:\s|$)", step.text)) for step in steps)
        assert 3 <= sentences <= 20
        assert steps[-1].node == problem.derivation.answer
        for text in texts(problem):
            assert text.strip()
            assert not re.search(r"\{\}|\{[a-z]\w*\}|None|Quantity|object at", text), text
            assert "  " not in text.replace("    ", "")
            assert not SINGULAR.search(text), text
            assert not ARTICLE.search(text), text
        for step in steps:
            assert step.text[0].isupper() or step.text[0] in "`f0123456789", step.text
            assert step.text.endswith((".", "!")), step.text


@pytest.mark.parametrize(("name", "profile"), CASES)
def test_equations_are_true(name: str, profile: str) -> None:
    """Whatever stands before an ``=`` is read again from the text alone and must give the number behind it."""
    for problem in posed(name, profile):
        for text in texts(problem)[1:]:
            pieces = text.split(" = ")
            for before, after in itertools.pairwise(pieces):
                left = LEFT.search(before)
                right = RIGHT.match(after)
                if left and right and not re.search(r"[a-z]$", before) and UNKNOWN.search(before) is None:
                    assert _value(left[1]) == Fraction(right[0]), text


LEFT = re.compile(r"((?:\d+|[()+×/^!,-]|\b(?:mod|div|gcd|lcm|C|sqrt|max|min|modinv)\b|(?<=\S) (?=\S))+)$")
RIGHT = re.compile(r"-?\d+(?:/\d+)?(?!\d|/|\.\d| [+×/^(-]| mod| div)")
UNKNOWN = re.compile(r"\b[a-z]$|\b[a-z] [+×/-] [^=]*$|[+×/-] [a-z]\b[^=]*$")


def _value(text: str) -> Fraction:
    source = text.strip(" ,").replace("×", "*").replace("^", "**").replace("mod", "%").replace("div", "//")
    source = re.sub(r"(\d+)!", r"factorial(\1)", source.replace("%inv", "modinv"))
    source = re.sub(r"(\d+)", r"N(\1)", source)
    return Fraction(eval(source, NAMES))  # numbers, signs, brackets and these names only


def _whole(function: Callable[..., int]) -> Callable[..., Fraction]:
    return lambda *values: Fraction(function(*map(int, values)))


NAMES = {
    "N": Fraction,
    "C": _whole(math.comb),
    "sqrt": _whole(math.isqrt),
    "modinv": _whole(lambda a, m: pow(a, -1, m)),
}
NAMES |= {f.__name__: _whole(f) for f in (math.gcd, math.lcm, math.factorial, max, min)}


@pytest.mark.parametrize("name", TEMPLATES)
def test_data_round_trips(name: str) -> None:
    problem = posed(name, "same")[0]
    assert problem.derivation is not None
    data = json.loads(json.dumps(problem.to_data()))
    back = Problem.from_data(data)
    assert back.id == problem.id
    assert back.answer == problem.answer
    assert Derivation.from_data(data["derivation"]) == problem.derivation
    again: Problem = pickle.loads(pickle.dumps(problem))
    assert again.statement == problem.statement
    assert again.second is not None
    assert again.second() == problem.derivation.value


@pytest.mark.parametrize("name", TEMPLATES)
def test_same_key_same_problem(name: str) -> None:
    fresh = type(TEMPLATES[name])()
    for slot, problem in enumerate(posed(name, "same")[:5]):
        values = fresh.draw("same", slot, KEY)
        assert values == problem.values
        assert values is not None
        assert fresh.pose(values, LIKE).id == problem.id


@pytest.mark.parametrize("name", TEMPLATES)
def test_hidden_parameters_do_not_leak(name: str) -> None:
    template = TEMPLATES[name]
    assert set(template.maskable()) <= set(template.domains)
    for problem in posed(name, "same")[:10]:
        for parameter in template.maskable():
            domain = template.domain(parameter, problem.values)
            assert problem.values[parameter] in domain
            text = "\n".join(part.show() for part in template.facts_parts(problem.values, {parameter: "x"}))
            assert re.search(r"(?<![a-zA-Z])x(?![a-zA-Z])", text), parameter
            other = next(v for v in domain if v != problem.values[parameter])
            changed = {**problem.values, parameter: other}
            assert text == "\n".join(part.show() for part in template.facts_parts(changed, {parameter: "x"}))
            said = template.result("42", problem.values)
            assert "42" in said
            assert said == template.result("42", changed)


@pytest.mark.parametrize("name", TEMPLATES)
def test_statements_show_every_parameter(name: str) -> None:
    template = TEMPLATES[name]
    for problem in posed(name, "same")[:10]:
        for parameter, domain in template.domains.items():
            changed = dict(problem.values)
            if isinstance(domain, Integer):
                changed[parameter] = next(v for v in domain.ranges["same"] if v != problem.values[parameter])
            elif isinstance(domain, Integers):
                changed[parameter] = tuple(v + 1 for v in problem.values[parameter])  # type: ignore[union-attr]
            else:
                continue
            assert _shown(template, changed) != _shown(template, problem.values), parameter


def _shown(template: Template, values: Values) -> tuple[list[Part], str]:
    return template.facts_parts(values, {}), template.question.format(**template._full(values))
