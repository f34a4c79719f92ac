"""Knights always tell the truth and knaves always lie: who is what?"""

from itertools import product

from dsgen.pipeline.core.space import Choice, Names, Person
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

OPENINGS = {
    "at least": "At least one of {other} and me is a knave.",
    "both": "{other} and I are both knaves.",
    "either": "I am a knave, or {other} is a knight.",
}


def _kind(knight: bool) -> str:
    return "knight" if knight else "knave"


def _claim(opening: str, me: bool, other: bool) -> bool:
    if opening == "at least":
        return not (me and other)
    if opening == "both":
        return not (me or other)
    return not me or other


def _speech(people: tuple[Person, ...], opening: str, third: str, fourth: str, about: int) -> str:
    first, second, middle, last = (p.name for p in people)
    return (
        f'{first} says: "{OPENINGS[opening].format(other=second)}" {middle} says: "{second} is a {third}." '
        f'{last} says: "{people[about].name} is a {fourth}."'
    )


class KnightsAndKnaves(Template):
    people = Names(4)
    opening = Choice("at least", "both", "either")
    third = Choice("knight", "knave")
    fourth = Choice("knight", "knave")
    about = Choice("0", "2")
    speech = Derived(lambda people, opening, third, fourth, about: _speech(people, opening, third, fourth, int(about)))

    facts = (
        "On an island, knights always tell the truth and knaves always lie. Every islander is one or the other. "
        "You meet {people[0]}, {people[1]}, {people[2]} and {people[3]}. {speech}"
    )
    question = "Which of the four are knights? Answer with the set of their names."

    def solve(
        self, t: Trace, people: tuple[Person, ...], opening: str, third: str, fourth: str, about: str
    ) -> Quantity:
        _, second, middle, last = (p.name for p in people)
        knave = t.const(False)
        if opening == "both":
            t.say("{people[0]} cannot be a knight: a knight would be calling a knight a knave.")
            one = t.step("So {people[0]} is a knave.", t.apply("and", knave, t.apply("not", knave)), role="case_split")
            two = t.step("The claim is false, so not both are knaves, and {people[1]} is a knight.", t.apply("not", one))
        else:
            t.say("If {people[0]} were a knave, the claim would be true, but a knave never says what is true.")
            one = t.step("So {people[0]} is a knight.", t.apply("not", knave), role="case_split")
            t.say("Hence the claim of {people[0]} is true, and {people[0]} is not a knave.")
            if opening == "at least":
                two = t.step("One of the two is a knave, so {people[1]} is a knave.", t.apply("not", one), role="propagate")
            else:
                two = t.step("What remains of it is that {people[1]} is a knight.", t.apply("and", one, True))
        three = self._judge(t, middle, second, third, two)
        target = one if about == "0" else three
        four = self._judge(t, last, people[int(about)].name, fourth, target)
        names = [p.name for p in people]
        return t.step("The knights are {}.", t.apply("chosen", t.apply("tuple", *names), one, two, three, four))

    def _judge(self, t: Trace, speaker: str, subject: str, word: str, truth: Quantity) -> Quantity:
        kind = t.apply("eq", truth, word == "knight")
        verdict = "true" if kind.value else "false"
        return t.step(
            f"{speaker} calls {subject} a {word}; {subject} is a {_kind(truth.value)}, so this is {verdict} and "
            f"{speaker} is a {_kind(kind.value)}.",
            kind,
            role="propagate",
        )

    def check(
        self, people: tuple[Person, ...], opening: str, third: str, fourth: str, about: str
    ) -> frozenset[str]:
        # All sixteen worlds; exactly one fits what was said.
        target = int(about)
        worlds = [
            w
            for w in product((True, False), repeat=4)
            if w[0] == _claim(opening, w[0], w[1])
            and w[2] == (w[1] == (third == "knight"))
            and w[3] == (w[target] == (fourth == "knight"))
        ]
        (world,) = worlds
        return frozenset(p.name for p, knight in zip(people, world, strict=True) if knight)
