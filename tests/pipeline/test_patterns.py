"""Pattern tags: the rule language, what counts as evidence, and that nothing is assigned without its checks."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from fractions import Fraction

import pytest

from dsgen.pipeline.core import answers
from dsgen.pipeline.core.candidate import Verdict, failed, passed, undecided
from dsgen.pipeline.core.problem import Lineage, Mutation, Part, Problem, Tier
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.pipeline.dataset import pattern_rules
from dsgen.pipeline.dataset.pattern_rules import CERTIFICATES, CHECKS, TRACE_PREDICATES, Clause, parse_rule
from dsgen.pipeline.dataset.patterns import coverage, families, patterns, tag

SOLVED = {"second_solver": passed("agrees")}


def made(
    answer: Quantity, *, family: str = "number_theory", tier: Tier = Tier.EXACT, text: str = "How many?"
) -> Problem:
    derivation = answer.trace.finish(answer)
    return Problem(
        parts=(Part("text", text),),
        answer=answers.of(derivation.value),
        lineage=Lineage("templates", "number_theory/test#0", "0", "0"),
        tier=tier,
        family=family,
        derivation=derivation,
    )


def shared(left: int, right: int) -> Problem:
    t = Trace()
    return made(t.apply("gcd", t.given("left", left), t.given("right", right)))


def ids(problem: Problem, verdicts: dict[str, Verdict] | None = None) -> set[str]:
    return set(tag(problem, SOLVED if verdicts is None else verdicts)[0])


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("op:gcd>=1", [("op", "gcd", {"gcd"}, 1)]),
        ("op:{add,sub}>=3", [("op", "", {"add", "sub"}, 3)]),
        ("fam:zebra & cert:{model,core}", [("fam", "zebra", {"zebra"}, 1), ("cert", "", {"model", "core"}, 1)]),
        ("mut:chain>=2", [("mut", "chain", {"chain"}, 2)]),
        ("trace:chained(percent_apply)", [("trace", "chained", {"percent_apply"}, 1)]),
        ("trace:needs{text,table}", [("trace", "needs", {"text", "table"}, 1)]),
        ("ast:depth>=3", [("ast", "depth", {"depth"}, 3)]),
    ],
)
def test_rules(text: str, clauses: list[tuple[str, str, set[str], int]]) -> None:
    assert parse_rule(text) == tuple(Clause(k, h, frozenset(n), least) for k, h, n, least in clauses)


@pytest.mark.parametrize("text", ["", "gcd>=1", "op:", "op:gcd >= 1", "op:gcd>=x", "op:{gcd", "what:gcd", "op:gcd &"])
def test_what_is_no_rule(text: str) -> None:
    with pytest.raises(ValueError, match="not a clause"):
        parse_rule(text)


def test_the_list_is_whole() -> None:
    everything = patterns()
    assert len(everything) == len({p.id for p in everything}) == 206
    assert len(families()) == 15
    for pattern in everything:
        assert pattern.clauses == parse_rule(pattern.rule)
        assert pattern.title and pattern.definition and pattern.family in families()
    assert patterns() is everything


def test_only_what_is_checked_is_supported() -> None:
    for pattern in patterns():
        kinds = {clause.kind for clause in pattern.clauses}
        if pattern.supported:
            assert pattern.checked_by and CHECKS.keys() >= set(pattern.checked_by)
            assert "reexecution" in pattern.checked_by
            assert kinds <= {"op", "mut", "fam", "trace", "cert"}
            assert all(c.names <= CERTIFICATES.keys() for c in pattern.clauses if c.kind == "cert")
            assert all(c.head in TRACE_PREDICATES for c in pattern.clauses if c.kind == "trace")
        if not pattern.checked_by:
            assert not pattern.supported
    by_id = {p.id: p for p in patterns()}
    # Numeric roots, polynomial identities, rank tests and SAT are not run.
    for name in ("vieta_relations", "polynomial_division_remainder", "truth_teller_puzzle", "pigeonhole"):
        assert not by_id[name].supported


def test_unsupported_patterns_are_never_assigned() -> None:
    roles = sorted({n for p in patterns() if not p.supported for c in p.clauses if c.kind == "op" for n in c.names})
    mutators = sorted({n for p in patterns() for c in p.clauses if c.kind == "mut" for n in c.names})
    supported = {p.id for p in patterns() if p.supported}
    for family in families():
        t = Trace()
        total = t.given("x", 3)
        for role in roles * 4:
            total = t.step("{}", total + 1, role=role)
        problem = made(total, family=family)
        lineage = problem.lineage
        for mutator in mutators:
            lineage = lineage.then(Mutation(f"{mutator}/v1:{{}}", 0))
        assert ids(replace(problem, lineage=lineage)) <= supported


def test_evidence_names_node_rule_and_checks() -> None:
    found, evidence = tag(shared(12, 18), SOLVED)
    assert found == ("gcd_lcm_reasoning",)
    assert json.loads(evidence) == {
        "gcd_lcm_reasoning": "op:{gcd,lcm}>=1: node 2 gcd(12, 18) = 6; "
        "checked by: re-execution of the derivation, second solver"
    }


def test_same_signature_different_values() -> None:
    first, second = (json.loads(tag(shared(*pair), SOLVED)[1])["gcd_lcm_reasoning"] for pair in ((12, 18), (35, 14)))
    assert "gcd(12, 18) = 6" in first
    assert "gcd(35, 14) = 7" in second
    # The same counts, but not exact any more: a quotient of integers.
    for right, names in ((4, {"multi_step_arithmetic"}), (5, {"fraction_manipulation"})):
        t = Trace()
        assert ids(made((t.given("x", 7) + 5) * 3 / right), {}) >= names
    t = Trace()
    x = t.given("x", 7)
    assert "multi_step_arithmetic" in ids(made(x * 2 * 3 / 6))
    t = Trace()
    x = t.given("x", 7)
    assert "multi_step_arithmetic" not in ids(made(x * 2 * 3 / 5))


def test_only_load_bearing_nodes_count() -> None:
    t = Trace()
    left, right = t.given("left", 12), t.given("right", 18)
    t.step("By the way, {}.", t.apply("gcd", left, right))
    assert ids(made(left * right)) == set()


@pytest.mark.parametrize("verdict", [None, failed("disagrees"), undecided("no_second_solver")])
def test_the_second_solver_must_pass(verdict: Verdict | None) -> None:
    assert ids(shared(12, 18), {"second_solver": verdict} if verdict else {}) == set()


def test_a_faulty_derivation_shows_nothing() -> None:
    t = Trace()
    problem = made((t.given("x", 7) + 5) * 3 - 1)
    assert ids(problem, {}) == {"multi_step_arithmetic"}
    assert problem.derivation is not None
    nodes = list(problem.derivation.nodes)
    nodes[2] = nodes[2]._replace(value=13)
    assert tag(replace(problem, derivation=replace(problem.derivation, nodes=tuple(nodes))), {}) == ((), "{}")


def test_lifted_rows_get_arithmetic_only() -> None:
    t = Trace()
    x, y = t.given("x", 12), t.given("y", 18)
    answer = t.step("{}", (t.apply("gcd", x, y) + x) * 3 * Fraction(1, 2) - y + 1, role="crt")
    problem = made(answer, tier=Tier.LIFTED, family="")
    assert ids(problem) == ids(problem, {}) == {"multi_step_arithmetic", "fraction_manipulation"}
    assert ids(replace(problem, tier=Tier.EXACT)) > ids(problem)


def test_what_has_no_derivation_shows_nothing() -> None:
    problem = shared(12, 18)
    assert tag(replace(problem, derivation=None, tier=Tier.AGREED), SOLVED) == ((), "{}")
    assert tag(replace(problem, tier=Tier.AGREED), SOLVED) == ((), "{}")


def test_fractions_are_told_apart() -> None:
    for build, shows in (
        (lambda x: x / 2, False),
        (lambda x: x / 4, True),
        (lambda x: x * Fraction(1, 3), True),
        (lambda x: x - 1, False),
    ):
        t = Trace()
        assert ("fraction_manipulation" in ids(made(build(t.given("x", 6))))) is shows


def test_percentages_must_build_on_each_other() -> None:
    t = Trace()
    base = t.given("price", 200)
    first = t.step("{}", base * 10 / 100, role="percent_apply")
    second = t.step("{}", (base - first) * 20 / 100, role="percent_apply")
    assert {"percentage_change", "successive_percentages"} <= ids(made(second, family="arithmetic"))
    apart = t.step("{}", base * 20 / 100, role="percent_apply")
    assert "percentage_change" in ids(made(first + apart, family="arithmetic"))
    assert "successive_percentages" not in ids(made(first + apart, family="arithmetic"))
    # The sum with something else is no product of factors.
    other = t.step("{}", (t.given("fee", 50) + first) * 20 / 100, role="percent_apply")
    assert "successive_percentages" not in ids(made(other, family="arithmetic"))


def test_units_must_follow() -> None:
    def walk(unit: str) -> Problem:
        t = Trace()
        hours = t.given("time", 3, (("h", 1),))
        minutes = t.apply("mul", hours, t.const(60, "min/h"), unit=unit)
        return made(t.step("{}", minutes, role="unit_convert"), family="arithmetic")

    assert "unit_conversion" in ids(walk("min"))
    assert "unit_conversion" not in ids(walk("km"))


def test_word_problems_are_told_in_words() -> None:
    t = Trace()
    answer = t.step("{}", t.given("x", 7) + 5, role="compare_relation")
    assert "comparison_by_difference" in ids(made(answer, text="Ann has 5 more than Bob."))
    assert "comparison_by_difference" not in ids(made(answer, text="Let a = b + 5."))


def test_long_horizons_depend_on_every_step() -> None:
    def walk(steps: int, factor: int, *, told: bool) -> bool:
        t = Trace()
        total = t.given("x", 3)
        for _ in range(steps // 2):
            total = (total * factor) % 1009
            total = t.step("{}", total) if told else total
        return "long_horizon_state" in ids(made(total))

    assert walk(40, 7, told=True)
    assert not walk(28, 7, told=True)
    # Multiplying by 1 can be left out.
    assert not walk(40, 1, told=True)
    assert not walk(40, 1, told=False)


def test_two_subjects_in_one_solution() -> None:
    t = Trace()
    ways = t.apply("binom", t.given("n", 6), 2)
    assert "cross_domain_transfer" not in ids(made(ways + 1))
    assert "cross_domain_transfer" in ids(made(t.apply("gcd", ways, 6)))


def test_coverage() -> None:
    assert coverage({}) == (0, 206)
    counts = {"gcd_lcm_reasoning": (100, 3), "chinese_remainder": (99, 9), "modular_inverse": (5000, 2)}
    assert coverage(counts) == (1, 206)


def test_the_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    patterns(), families()
    monkeypatch.setattr(pattern_rules, "files", None)
    tag(shared(4, 6), SOLVED)
    assert patterns() and families()


def test_tagging_is_fast() -> None:
    problems = [shared(6 * i, 9 * i) for i in range(1, 101)]
    best = 1.0
    for _ in range(5):
        begun = time.perf_counter()
        for problem in problems:
            tag(problem, SOLVED)
        best = min(best, (time.perf_counter() - begun) / len(problems))
    assert best < 100e-6  # about 5 µs on an idle machine


@pytest.mark.parametrize(
    ("form", "mutated", "second", "expected"),
    [
        pytest.param("backward", True, True, {"unknown_from_result", "unique_inverse"}, id="unique"),
        pytest.param("find_all", True, True, {"unknown_from_result", "preimage_set"}, id="find all"),
        pytest.param("backward", True, False, set(), id="no second solver"),
        pytest.param("forward", False, True, set(), id="forward"),
    ],
)
def test_preimages_are_certified_by_the_second_solver(
    form: str, mutated: bool, second: bool, expected: set[str]
) -> None:
    t = Trace()
    problem = replace(made(t.step("{}", t.given("x", 3) + 1)), form=form)
    if mutated:
        problem = replace(problem, lineage=problem.lineage.then(Mutation("invert_backward/v1:{}", 0)))
    found, _ = tag(problem, {"second_solver": passed("agrees")} if second else {})
    inversion = {p.id for p in patterns() if p.family == "inversion"}
    assert set(found) & inversion == expected
