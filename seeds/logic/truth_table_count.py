"""How many rows of a truth table come out true? Count by parts that share no variable."""

from collections.abc import Callable

from dsgen.pipeline.core.space import Choice
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace

MEANING: dict[str, Callable[[bool, bool], bool]] = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "implies": lambda a, b: not a or b,
    "if and only if": lambda a, b: a == b,
    "xor": lambda a, b: a != b,
}
SIGNS = ("", "not ")
ROWS = ("TT", "TF", "FT", "FF")


class TruthTableCount(Template):
    first = Choice(*MEANING)
    main = Choice(*MEANING)
    second_word = Choice(*MEANING)
    p = Choice(*SIGNS)
    q = Choice(*SIGNS)
    r = Choice(*SIGNS)
    s = Choice(*SIGNS)
    formula = Derived(
        lambda first, main, second_word, p, q, r, s: f"({p}P {first} {q}Q) {main} ({r}R {second_word} {s}S)"
    )

    facts = (
        "P, Q, R and S are statements, each true or false. An implication is false only when its first part is true "
        "and its second part is false, and xor means that exactly one of its two parts is true. Consider the formula "
        "{formula}."
    )
    question = "For how many of the 16 combinations of truth values is the formula true?"

    def solve(self, t: Trace, first: str, main: str, second_word: str, p: str, q: str, r: str, s: str) -> Quantity:
        t.say("Go through the truth values of each bracket; TF, say, stands for true and false in this order.")
        left = self._table(t, "left", "PQ", first, p, q)
        right = self._table(t, "right", "RS", second_word, r, s)
        t.say("The two brackets share no statement, so their rows combine freely.")
        if main == "and":
            return t.step(
                "Both must be true; the number of such combinations is {}.", left * right, role="count_product"
            )
        if main == "or":
            none = t.step(
                "The number of combinations in which both are false is {}.",
                (4 - left) * (4 - right),
                role="count_product",
            )
            return t.step("In all the others the formula is true: {}.", 16 - none, role="count_complement")
        if main == "implies":
            bad = t.step(
                "It is false only if left is true and right is false; the number of such combinations is {}.",
                left * (4 - right),
            )
            return t.step("In all the others it is true: {}.", 16 - bad, role="count_complement")
        same = main == "if and only if"
        t.say("The brackets must agree." if same else "Exactly one of the brackets must be true.")
        one = t.step("Combinations with left true: {}.", left * (right if same else 4 - right), role="case_split")
        two = t.step(
            "Combinations with left false: {}.", (4 - left) * (4 - right if same else right), role="case_split"
        )
        return t.step("Together that makes {}.", one + two)

    def _table(self, t: Trace, side: str, names: str, word: str, a: str, b: str) -> Quantity:
        rows = [t.apply(_OPS[word], (row[0] == "T") != bool(a), (row[1] == "T") != bool(b)) for row in ROWS]
        listed = " or ".join(row for row, value in zip(ROWS, rows, strict=True) if value.value)
        return t.step(
            f"The {side} bracket is true when {names} is {listed}; that is {{}} of 4 rows.",
            t.apply("count_true", *rows),
        )

    def check(self, first: str, main: str, second_word: str, p: str, q: str, r: str, s: str) -> int:
        one, two, whole = MEANING[first], MEANING[second_word], MEANING[main]
        both = (False, True)
        left = [one(a != bool(p), b != bool(q)) for a in both for b in both]
        right = [two(a != bool(r), b != bool(s)) for a in both for b in both]
        return sum(whole(x, y) for x in left for y in right)


_OPS = {"and": "and", "or": "or", "implies": "implies", "if and only if": "eq", "xor": "xor"}
