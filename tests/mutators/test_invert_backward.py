"""The question turned round, with the exact preimage of its result."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.mutators.invert_backward import InvertBackward
from dsgen.pipeline.core import answers
from dsgen.pipeline.core.candidate import Candidate, Status
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Lineage, Part, Problem, Tier
from dsgen.pipeline.core.program import Draw
from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace
from dsgen.pipeline.teachers.derivation import render
from dsgen.seeds.sources.templates import Templates
from dsgen.validators.steps import Steps

KEY = Key.of("backward")
MUTATOR = InvertBackward()
GARDENS = Templates(seeds=4, only=("geometry/fenced_garden",)).open()
ALL = Templates(seeds=1).open()


class Fixed(Template):
    """A template that always draws the same values, so that texts can be compared."""

    fixed: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def draw(self, profile: str, slot: int, key: Key) -> dict[str, Any] | None:
        return dict(self.fixed) if self.fixed else super().draw(profile, slot, key)


class Tickets(Fixed):
    """One way back, over all numbers."""

    count = Integer(2, 30)
    price = Integer(3, 20, unit="dollar", meaning="the price of a ticket")
    fee = Integer(1, 9, unit="dollar")
    fixed = MappingProxyType({"count": 7, "price": 12, "fee": 5})
    facts = "Ada buys {count} tickets at {price} dollars each and pays a fee of {fee} dollars."
    question = "How much does she pay?"
    result_text = "She pays {answer} dollars."

    def solve(self, t: Trace, count: Quantity, price: Quantity, fee: Quantity) -> Quantity:
        tickets = t.step("The tickets cost {}.", count * price)
        return t.step("With the fee she pays {}.", tickets + fee)

    def check(self, count: int, price: int, fee: int) -> int:
        return sum([price] * count, fee)


class Clock(Fixed):
    """A remainder: several values give the same."""

    steps = Integer(0, 50, easier=(0, 49))
    stride = Integer(3, 3, maskable=False)
    hours = Integer(12, 24, maskable=False)
    fixed = MappingProxyType({"steps": 3, "stride": 3, "hours": 12})
    facts = (
        "A hand moves on a dial with {hours} marks, numbered from 0. "
        "From mark 0 it moves {steps} times by {stride} marks."
    )
    question = "At which mark does it stop?"
    result_text = "It stops at mark {answer}."

    def solve(self, t: Trace, steps: Quantity, stride: Quantity, hours: Quantity) -> Quantity:
        return t.step("It stops at mark {}.", steps * stride % hours)

    def check(self, steps: int, stride: int, hours: int) -> int:
        mark = 0
        for _ in range(steps):
            mark = (mark + stride) % hours
        return mark


class Overtime(Fixed):
    """A branch: the calculation depends on the value."""

    hours = Integer(30, 49, easier=(30, 48))
    wage = Integer(10, 20, maskable=False)
    fixed = MappingProxyType({"hours": 42, "wage": 10})
    facts = "A week has 40 paid hours at {wage} dollars; every further hour pays double. Bo works {hours} hours."
    question = "What does Bo earn?"
    result_text = "Bo earns {answer} dollars."

    def solve(self, t: Trace, hours: Quantity, wage: Quantity) -> Quantity:
        if hours <= 40:
            return t.step("Bo earns {}.", hours * wage)
        extra = t.step("Bo works {} hours more than is usual.", hours - 40)
        return t.step("Bo earns {}.", 40 * wage + extra * 2 * wage)

    def check(self, hours: int, wage: int) -> int:
        return sum(wage if hour < 40 else 2 * wage for hour in range(hours))


class Gap(Fixed):
    """A difference whose sign only the template's own condition knows; the question names the domain."""

    left = Integer(1, 30, easier=(1, 29))
    right = Integer(1, 30, maskable=False)
    fixed = MappingProxyType({"left": 20, "right": 12})
    facts = "Two posts stand {left} m and {right} m from a gate, on the same side."
    question = "How far are they apart?"
    result_text = "They are {answer} m apart."

    def where(self, left: int, right: int) -> bool:
        return left > right

    def solve(self, t: Trace, left: Quantity, right: Quantity) -> Quantity:
        return t.step("They are {} m apart.", left - right)

    def check(self, left: int, right: int) -> int:
        return len(range(right, left))


class Hole(Gap):
    """A sign that the domain cannot tell, because the condition has its hole in the midst of it."""

    def where(self, left: int, right: int) -> bool:
        return left > right or left == 1


class Rooms(Fixed):
    """A quotient that counts whole things: in a text from elsewhere, nobody says that it comes out even."""

    tier = Tier.LIFTED
    students = Integer(5, 100)
    beds = Integer(4, 6, maskable=False)
    fixed = MappingProxyType({"students": 45, "beds": 5})
    facts = "A class of {students} students goes on a trip. How many rooms of {beds} beds each do they need?"
    question = ""
    result_text = "The answer to this question is {answer}."

    def solve(self, t: Trace, students: Quantity, beds: Quantity) -> Quantity:
        return t.step("They need {} rooms.", students / beds)

    def check(self, students: int, beds: int) -> int:
        return len(range(0, students, beds))


class Book(Fixed):
    """An article before a number, an opening sentence, and a step that the hidden parameter has to do with."""

    pages = Integer(20, 200)
    read = Integer(5, 19, maskable=False)
    fixed = MappingProxyType({"pages": 100, "read": 10})
    facts = "Ida reads a {pages}-page book. She has read {read} pages."
    question = "How many pages are left for each of 2 days?"
    result_text = "Then {answer} pages are left for each of 2 days."

    def solve(self, t: Trace, pages: Quantity, read: Quantity) -> Quantity:
        t.say("Let p be the number of pages that are left.")
        left = t.step("So far she has not read p = {} pages.", pages - read)
        t.let("p", left)
        return t.step("For each day that makes {} pages.", left / 2)

    def check(self, pages: int, read: int) -> int:
        return next(n for n in range(pages) if read + 2 * n == pages)


class Halves(Fixed):
    """So many values give the same that the question would be a list."""

    items = Integer(0, 30, easier=(0, 29))
    size = Integer(20, 40, maskable=False)
    fixed = MappingProxyType({"items": 0, "size": 30})
    facts = "{items} pens are packed into boxes of {size}; only full boxes are counted."
    question = "How many boxes are full?"
    result_text = "There are {answer} full boxes."

    def solve(self, t: Trace, items: Quantity, size: Quantity) -> Quantity:
        return t.step("There are {}.", items // size)

    def check(self, items: int, size: int) -> int:
        return len([n for n in range(1, items + 1) if n % size == 0])


class Tile(Fixed):
    """A square, which has one positive root."""

    side = Integer(2, 60, unit="cm")
    price = Integer(2, 9)
    fixed = MappingProxyType({"side": 7, "price": 3})
    facts = "A square tile has sides of {side} cm and costs {price} cents per square centimetre."
    question = "What does it cost?"
    result_text = "It costs {answer} cents."

    def solve(self, t: Trace, side: Quantity, price: Quantity) -> Quantity:
        area = t.step("Its area is {}.", side**2)
        return t.step("It costs {}.", t.apply("mul", area, price, unit="cent"))

    def check(self, side: int, price: int) -> int:
        return sum(price for _ in range(side) for _ in range(side))


class Telling(Fixed):
    """Its text shows more of the number than the number."""

    number = Integer(2, 30)
    fixed = MappingProxyType({"number": 7})
    facts = "A number is {number}."
    question = "What is its double?"
    result_text = "Its double is {answer}."

    def facts_parts(self, values: Any, hidden: Mapping[str, str]) -> list[Part]:
        kind = "odd" if values["number"] % 2 else "even"
        return [Part("text", f"{super().facts_parts(values, hidden)[0].content} It is {kind}.")]

    def solve(self, t: Trace, number: Quantity) -> Quantity:
        return t.step("Its double is {}.", 2 * number)

    def check(self, number: int) -> int:
        return number + number


class Counting(Telling):
    """Its text calculates with the number, which a letter does not allow."""

    def facts_parts(self, values: Any, hidden: Mapping[str, str]) -> list[Part]:
        shown = {**values, **hidden}
        return [Part("text", f"A number lies between {shown['number'] - 1} and {shown['number'] + 1}.")]


class Idle(Telling):
    """The number does not matter."""

    facts_parts = Template.facts_parts

    def solve(self, t: Trace, number: Quantity) -> Quantity:
        return t.step("It is {}.", t.const(2) * 3)

    def check(self) -> int:
        return 6


def parent_of(template: Template, *, ordinal: int = 0, population: int = 1) -> Problem:
    lineage = Lineage("templates", f"{template.id}#{ordinal}", template.hash, KEY.raw.hex())
    bare = Problem((), answers.Boolean(True), lineage, Tier.EXACT, template.family, draw=Draw(ordinal, population))
    values = template.draw("same", ordinal, KEY)
    assert values is not None
    return template.pose(values, bare)


def child_of(template: Template, index: int = 0) -> Problem:
    made = MUTATOR.mutate(parent_of(template), index, KEY)
    assert isinstance(made, Problem), made
    return made


CASES = [
    pytest.param(
        Tickets, 0, "backward", "7",
        "Ada buys x tickets at 12 dollars each and pays a fee of 5 dollars. She pays 89 dollars. Find x.",
        ["Work backwards from the result, 89 dollars.", "The tickets cost 84 dollars, because 89 - 5 = 84 dollars.",
         "So x = 84 / 12 = 7.", "Check with x = 7:", "The tickets cost 7 × 12 = 84 dollars.",
         "With the fee she pays 84 + 5 = 89 dollars.", "This is the result that was given."],
        id="undo",
    ),
    pytest.param(
        Tickets, 1, "backward", "12",
        "Ada buys 7 tickets at x dollars each and pays a fee of 5 dollars. She pays 89 dollars. "
        "What is x, the price of a ticket?",
        None,
        id="meaning",
    ),
    pytest.param(
        Clock, 0, "find_all", "{3, 7, 11, 15, 19, 23, 27, 31, 35, 39, 43, 47}",
        "A hand moves on a dial with 12 marks, numbered from 0. From mark 0 it moves x times by 3 marks. "
        "It stops at mark 9. x is a whole number from 0 to 49. Find all possible values of x.",
        ["Only remainders modulo 12 matter.", "It stops at mark 3 × x modulo 12.",
         "So 3 × x must leave the remainder 9 modulo 12.", "Dividing by gcd(3, 12) = 3:",
         "3 / 3 = 1, 9 / 3 = 3 and 12 / 3 = 4, so x must leave the remainder 3 modulo 4.",
         "So x leaves the remainder 3 modulo 4.",
         "x is a whole number from 0 to 49. "
         "The numbers with this remainder are 3, 7, 11, 15, 19, 23, 27, 31, 35, 39, 43 and 47."],
        id="residues",
    ),
    pytest.param(
        Book, 0, "backward", "100",
        "Ida reads an x-page book. She has read 10 pages. Then 45 pages are left for each of 2 days. Find x.",
        ["Let p be the number of pages that are left.", "Work backwards from the result, 45.",
         "So far she has not read p = 90 pages, because 45 × 2 = 90.", "So x = 90 + 10 = 100.", "Check with x = 100:",
         "So far she has not read p = 100 - 10 = 90 pages.", "For each day that makes 90 / 2 = 45 pages.",
         "This is the result that was given."],
        id="reading",
    ),
    pytest.param(
        Gap, 0, "backward", "20",
        "Two posts stand x m and 12 m from a gate, on the same side. They are 8 m apart. "
        "x is a whole number from 13 to 29. Find x.",
        None,
        id="sign",
    ),
    pytest.param(
        Overtime, 0, "backward", "42",
        "A week has 40 paid hours at 10 dollars; every further hour pays double. Bo works x hours. "
        "Bo earns 440 dollars. x is a whole number from 30 to 48. Find x.",
        None,
        id="branch",
    ),
    pytest.param(
        Tile, 0, "backward", "7",
        "A square tile has sides of x cm and costs 3 cents per square centimetre. It costs 147 cents. "
        "x is a whole number from 2 to 21. Find x.",
        ["Work backwards from the result, 147 cents.", "As x is positive, x = sqrt(147 / 3) = 7.", "Check with x = 7:",
         "Its area is 7^2 = 49 cm².", "It costs 49 × 3 = 147 cents.", "This is the result that was given."],
        id="square",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("template", "index", "form", "answer", "statement", "solution"), CASES)
def test_statement_answer_solution_and_lineage(
    template: type[Fixed], index: int, form: str, answer: str, statement: str, solution: Sequence[str] | None
) -> None:
    child = child_of(template(), index)
    assert child.statement == statement
    assert (child.form, child.answer.show().replace("\\", "")) == (form, answer)
    assert child.derivation is not None
    if solution is not None:
        assert [step.text for step in child.derivation.steps] == solution
    (mutation,) = child.lineage.mutations
    assert (mutation.mutator, mutation.child) == ('invert_backward/v1:{"profile":"same"}', index)
    assert mutation.note.split(" ")[1] == "hidden;"
    assert child.program is None


def test_casework_shows_every_value_with_its_calculation() -> None:
    derivation = child_of(Overtime()).derivation
    assert derivation is not None
    tries = [step.text for step in derivation.steps if step.text.startswith("Trying ")]
    assert len(tries) == 19
    assert tries[0] == "Trying 30: 30 × 10 = 300, not 440."
    assert tries[12] == "Trying 42: 42 - 40 = 2; 40 × 10 + 2 × 2 × 10 = 440, which fits."
    assert derivation.steps[-1].text == "Only 42 fits, so x = 42."


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        pytest.param(Hole, "hidden_condition", id="sign"),
        pytest.param(Halves, "not_unique", id="many"),
        pytest.param(Rooms, "may_be_rounded", id="rounding"),
        pytest.param(Telling, "leak", id="leak"),
        pytest.param(Counting, "cannot_be_hidden", id="letter"),
        pytest.param(Idle, "does_not_matter", id="idle"),
    ],
)
def test_refusals_say_why(template: type[Fixed], reason: str) -> None:
    assert MUTATOR.mutate(parent_of(template()), 0, KEY) == NotApplicable(reason)


def test_only_the_least_of_several_solutions_is_asked() -> None:
    """Or cousins that drew the other solutions would ask the very same question."""
    later = Clock()
    later.fixed = {**Clock.fixed, "steps": 7}  # type: ignore[misc]
    assert MUTATOR.mutate(parent_of(later), 0, KEY) == NotApplicable("same_as_cousin")


def test_text_backward_and_programs_without_masks_are_refused() -> None:
    lineage = Lineage("records", "a/0", "00", KEY.raw.hex())
    text = Problem((Part("text", "What is 2 + 2?"),), answers.Integer(4), lineage, Tier.AGREED, "")
    assert MUTATOR.mutate(text, 0, KEY) == NotApplicable("no_derivation")
    backward = replace(parent_of(Tickets()), form="backward")
    assert MUTATOR.mutate(backward, 0, KEY) == NotApplicable("not_forward")
    silent = Tickets()
    silent.result_text = ""  # type: ignore[misc]
    assert MUTATOR.mutate(parent_of(silent), 0, KEY) == NotApplicable("nothing_to_hide")
    assert MUTATOR.capacity(text) == MUTATOR.capacity(backward) == MUTATOR.capacity(parent_of(silent)) == 0


def test_masks_rotate() -> None:
    parent = GARDENS.seed(0, KEY).problem
    assert isinstance(parent, Problem)
    notes = []
    for index in range(6):
        child = MUTATOR.mutate(parent, index, KEY)
        assert isinstance(child, Problem)
        notes.append(child.lineage.mutations[-1].note.split(" ")[0])
    assert notes == ["width", "extra", "price"] * 2


def test_children_of_differently_perturbed_parents_differ() -> None:
    from dsgen.mutators.perturb import Perturb

    parent = GARDENS.seed(0, KEY).problem
    assert isinstance(parent, Problem)
    made = []
    for index in range(3):
        perturbed = Perturb().mutate(parent, index, KEY)
        assert isinstance(perturbed, Problem)
        made.append(MUTATOR.mutate(perturbed, 0, KEY))
    assert len({c.id for c in made if isinstance(c, Problem)}) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(0, 3000), st.integers(0, 2**32))
def test_law_the_found_number_makes_the_fence_cost_what_is_told(ordinal: int, index: int, run: int) -> None:
    key = Key.of("run", run)
    parent = GARDENS.seed(ordinal, key).problem
    assert isinstance(parent, Problem)
    child = MUTATOR.mutate(parent, index, key)
    assert isinstance(child, Problem)
    assert isinstance(child.answer, answers.Integer)
    text = re.sub(r"\bx\b", str(child.answer.value), child.statement)
    told = r"is (\d+) m wide. It is (\d+) m longer .* costs (\d+) dollars per metre.* costs (\d+) dollars"
    match = re.search(told, text)
    assert match is not None
    width, extra, price, cost = map(int, match.groups())
    assert cost == price * (width + width + width + extra + width + extra)


class Dial(Clock):
    """Free values: strides that share a factor with the dial have several solutions."""

    fixed = MappingProxyType({})
    steps = Integer(0, 30, easier=(0, 29))
    stride = Integer(2, 9, maskable=False)


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 400), st.integers(0, 2**32))
def test_law_all_solutions_are_found_and_no_others(index: int, run: int) -> None:
    child = MUTATOR.mutate(parent_of(Dial()), index, Key.of("run", run))
    if isinstance(child, NotApplicable):
        assert child.reason in ("same_as_cousin", "not_unique")
        return
    numbers = [int(n) for n in re.findall(r"\d+", child.statement)]
    hours, _, _, stride, mark, low, high = numbers
    found = {x for x in range(low, high + 1) if x * stride % hours == mark}
    shown = {int(n) for n in re.findall(r"\d+", child.answer.show())}
    assert shown == found
    assert (child.form == "find_all") == (len(found) > 1)


@pytest.mark.parametrize("place", range(len(ALL)), ids=ALL.seed_id)
def test_every_template_gives_readable_solutions(place: int) -> None:
    """All displayed equations hold, every value is a node's, the question shows the letter and not the number."""
    parent = ALL.seed(place, KEY).problem
    assert isinstance(parent, Problem), "every template has a first seed"
    for index in range(min(6, MUTATOR.capacity(parent))):
        child = MUTATOR.mutate(parent, index, KEY)
        if isinstance(child, NotApplicable):
            continue
        solution = render(child)
        assert solution is not None
        verdict = Steps().validate_candidate(Candidate(child, solution, "derivation", exact=True))
        assert verdict.status is Status.PASS, f"{verdict.reason}: {verdict.detail}\n{child.statement}\n{solution}"
        assert child.derivation is not None
        assert child.derivation.faults() == []
        assert child.second is not None
        assert answers.of(child.second()).show() == child.answer.show()
        assert re.search(r"(Find|What is) (all possible values of )?[a-z][.,?]", child.statement)
