import json
import pickle
from importlib.resources import files

import pytest

from dsgen.mutators.invert_backward import InvertBackward
from dsgen.mutators.perturb import Perturb
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Problem, Tier
from dsgen.seeds.text.lift import Lift, lift
from dsgen.seeds.text.lifted import LiftedProgram
from dsgen.seeds.text.record import as_problem

KEY = Key.of("lifted")


def seeds(count: int) -> list[Problem]:
    lines = (files("dsgen.seeds.data") / "gsm8k_train_500.jsonl").read_text(encoding="utf-8").splitlines()
    found = []
    for line in lines[:count]:
        record = json.loads(line)
        lifted = lift(record["question"], record["answer"])
        if isinstance(lifted, Lift):
            name = f"gsm8k/{record['idx']}"
            gold = record["answer"].rpartition("####")[2].strip()
            text = as_problem("gsm8k", name, record["question"], gold, KEY)
            program = LiftedProgram(name, lifted)
            problem = program.pose(program.original(), text)
            assert (problem.statement, problem.answer) == (text.statement, text.answer)
            found.append(problem)
    return found


SEEDS = seeds(60)


def test_a_lifted_problem_says_so_and_holds():
    for problem in SEEDS:
        assert problem.tier == Tier.LIFTED
        assert problem.derivation.faults() == []
        assert problem.derivation.value == problem.answer.value
        assert len(problem.derivation.steps) >= 1


@pytest.mark.parametrize("profile", ["same", "easier", "harder"])
def test_perturbed_children_differ_from_their_seed_and_each_other(profile):
    mutator = Perturb(profile=profile)
    made = 0
    for problem in SEEDS:
        children = [mutator.mutate(problem, i, KEY) for i in range(min(4, mutator.capacity(problem)))]
        statements = [c.statement for c in children if not isinstance(c, NotApplicable)]
        assert len({problem.statement, *statements}) == len(statements) + 1
        made += len(statements)
        assert all(c.derivation.faults() == [] for c in children if not isinstance(c, NotApplicable))
    assert made >= len(SEEDS)


def test_backward_children_ask_for_the_hidden_number():
    mutator = InvertBackward()
    for problem in SEEDS[:20]:
        child = mutator.mutate(problem, 0, KEY)
        if isinstance(child, NotApplicable):
            continue
        assert f"The answer to this question is {problem.program.derive(child.values).value}." in child.statement
        assert child.derivation.faults() == []


def test_slot_zero_is_the_record_and_no_other_slot_is():
    program = SEEDS[0].program
    assert program.draw("same", 0, KEY) == program.original()
    drawn = [program.draw("same", slot, KEY) for slot in range(1, program.capacity("same"))]
    assert program.original() not in drawn
    assert len({tuple(d.items()) for d in drawn if d}) == len([d for d in drawn if d])


def test_a_program_survives_pickle():
    program = SEEDS[0].program
    twin = pickle.loads(pickle.dumps(program))
    assert twin.lift == program.lift
    assert [twin.draw("same", s, KEY) for s in range(3)] == [program.draw("same", s, KEY) for s in range(3)]
