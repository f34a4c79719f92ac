"""Knights always tell the truth and knaves always lie: who is what?"""

from itertools import product

from dsgen.pipeline.core.space import Choice, Names, Person, Shuffle
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

OPENINGS = {
    "at least": "At least one of {other} and me is a knave.",
    "both": "{other} and I are both knaves.",
    "either": "I am a knave, or {other} is a knight.",
}
PAIRS = {"first and second": (0, 1), "first and third": (0, 2), "second and third": (1, 2)}


def _speech(
    people: tuple[Person, ...], opening: str, speaker: str, word: str, pair: str, kinds: str, order: tuple[int, ...]
) -> str:
    first, second, third, last = (p.name for p in people)
    one, two = (people[i].name for i in PAIRS[pair])
    sayings = [
        f'{first} says: "{OPENINGS[opening].format(other=second)}"',
        f'{second} says: "{third} is a {word}."' if speaker == "second" else f'{third} says: "{second} is a {word}."',
        f'{last} says: "{one} and {two} are of {kinds}."',
    ]
    return " ".join(sayings[i] for i in order)


class KnightsAndKnaves(Template):
    people = Names(4)
    opening = Choice(*OPENINGS)
    speaker = Choice("second", "third")
    word = Choice("knight", "knave")
    pair = Choice(*PAIRS)
    kinds = Choice("the same kind", "different kinds")
    order = Shuffle(3)
    speech = Derived(_speech)

    facts = (
        "On an island, knights always tell the truth and knaves always lie. Every islander is one or the other. "
        "You meet {people[0]}, {people[1]}, {people[2]} and {people[3]}. {speech}"
    )
    question = "Which of the four are knights? Answer with the set of their names."

    def solve(
        self, t: Trace, people: tuple[Person, ...], opening: str, speaker: str, word: str, pair: str, kinds: str
    ) -> Quantity:
        names = t.const(tuple(p.name for p in people))
        knave = t.const(False)
        if opening == "both":
            t.say("{people[0]} cannot be a knight, for a knight does not claim to be a knave.")
            one = t.step("So {people[0]} is a knave.", t.apply("and", knave, knave), role="case_split")
            two = t.step(
                "The claim is false, so not both are knaves, and {people[1]} is a knight.", t.apply("not", one)
            )
        else:
            t.say("If {people[0]} were a knave, the claim would be true, but a knave never says what is true.")
            one = t.step("So {people[0]} is a knight, and the claim is true.", t.apply("not", knave), role="case_split")
            if opening == "at least":
                two = t.step("One of the two is a knave, so {people[1]} is a knave.", t.apply("not", one))
            else:
                two = t.step("What remains of it is that {people[1]} is a knight.", t.apply("eq", one, True))
        three = t.apply("eq", two, word == "knight", role="propagate")
        if speaker == "second":
            sentence = f"{{people[1]}} is {_a(two)}, so it is {_true(two)} that {{people[2]}} is a {word}"
        else:
            sentence = f"{{people[1]}} is {_a(two)}, so it is {_true(three)} that {{people[1]}} is a {word}"
        t.step(f"{sentence}; hence {{people[2]}} is {_a(three)}.", three)
        i, j = PAIRS[pair]
        known = (one, two, three)
        four = t.apply("eq" if kinds == "the same kind" else "xor", known[i], known[j], role="propagate")
        t.step(
            f"{{people[{i}]}} is {_a(known[i])} and {{people[{j}]}} is {_a(known[j])}, so the claim that they are of "
            f"{kinds} is {_true(four)}, and {{people[3]}} is {_a(four)}.",
            four,
        )
        return t.step("The knights are {}.", t.apply("chosen", names, one, two, three, four))

    def check(
        self, people: tuple[Person, ...], opening: str, speaker: str, word: str, pair: str, kinds: str
    ) -> frozenset[str]:
        # All sixteen worlds; exactly one fits what was said.
        i, j = PAIRS[pair]
        worlds = [
            w
            for w in product((True, False), repeat=4)
            if w[0]
            == {"at least": not (w[0] and w[1]), "both": not (w[0] or w[1]), "either": not w[0] or w[1]}[opening]
            and w[1 if speaker == "second" else 2] == (w[2 if speaker == "second" else 1] == (word == "knight"))
            and w[3] == ((w[i] == w[j]) == (kinds == "the same kind"))
        ]
        (world,) = worlds
        return frozenset(p.name for p, knight in zip(people, world, strict=True) if knight)


def _a(knight: Quantity) -> str:
    return "a knight" if knight.value else "a knave"


def _true(claim: Quantity) -> str:
    return "true" if claim.value else "false"
