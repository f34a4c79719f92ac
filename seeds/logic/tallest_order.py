"""Putting people in order from pairwise comparisons."""

from dsgen.pipeline.core.space import Choice, Names, Person, Shuffle
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

PLACES = {"second": 1, "third": 2, "fourth": 3}
WORDS = {
    "taller": ("is taller than", "is shorter than", "tallest"),
    "older": ("is older than", "is younger than", "oldest"),
    "faster": ("ran faster than", "ran slower than", "fastest"),
}


def _clues(people: tuple[Person, ...], order: tuple[int, ...], flips: str, word: str) -> str:
    more, less, _ = WORDS[word]
    clues = []
    for position, flip in zip(order, flips, strict=True):
        high, low = people[position].name, people[position + 1].name
        clues.append(f"{low} {less} {high}." if flip == "-" else f"{high} {more} {low}.")
    return " ".join(clues)


class TallestOrder(Template):
    version = 2

    people = Names(5)
    order = Shuffle(4)
    flips = Choice("+-+-", "-+-+", "++--", "--++", "+--+", "-++-", "+++-", "---+")
    word = Choice(*WORDS)
    place = Choice(*PLACES)
    clues = Derived(_clues)
    superlative = Derived(lambda word: WORDS[word][2])

    facts = "This is known about five friends. {clues}"
    question = "Which of the five is the {place} {superlative}?"

    def where(self, order: tuple[int, ...]) -> bool:
        return order != (0, 1, 2, 3)

    def solve(self, t: Trace, people: tuple[Person, ...], order: tuple[int, ...], place: str) -> Quantity:
        pairs = {position: t.const((people[position].name, people[position + 1].name)) for position in order}
        t.say("Join the comparisons to a chain that begins with the {superlative}.")
        low = high = order[0]
        chain = t.step("The first comparison gives {}.", pairs.pop(order[0]), role="order_chain")
        while pairs:
            # The earliest unused clue that touches an end of the chain.
            position = next(p for p in pairs if p in (low - 1, high + 1))
            pair = pairs.pop(position)
            if position < low:
                chain, low = t.apply("chain", pair, chain), position
            else:
                chain, high = t.apply("chain", chain, pair), position
            one, other = people[position].name, people[position + 1].name
            t.step("{one} comes before {other}: {}.", chain, role="order_chain", one=one, other=other)
        return t.step("So the {place} {superlative} is {}.", t.apply("item", chain, PLACES[place]))

    def check(self, people: tuple[Person, ...], order: tuple[int, ...], place: str) -> str:
        # Whoever nobody left comes before is next.
        before = {(people[p].name, people[p + 1].name) for p in order}
        left = {name for pair in before for name in pair}
        for _ in range(PLACES[place] + 1):
            (top,) = left - {low for _, low in before}
            left.discard(top)
            before = {pair for pair in before if pair[0] != top}
        return top
