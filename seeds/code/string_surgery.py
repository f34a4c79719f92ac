"""Cutting, turning and joining strings."""

from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.problem import Part
from dsgen.pipeline.core.space import Choice
from dsgen.pipeline.core.template import Template
from dsgen.pipeline.core.trace import Quantity, Trace

WORDS = (
    "ANCHOR",
    "BASKET",
    "BRIDGE",
    "CAMERA",
    "CANDLE",
    "DOLPHIN",
    "DRAGON",
    "ENGINE",
    "FALCON",
    "FOREST",
    "GARDEN",
    "GUITAR",
    "HAMLET",
    "ISLAND",
    "JACKET",
    "KETTLE",
    "LANTERN",
    "MARBLE",
    "MEADOW",
    "NEEDLE",
    "ORCHARD",
    "PENCIL",
    "QUARTZ",
    "RIBBON",
    "SADDLE",
    "TUNNEL",
    "URCHIN",
    "VELVET",
    "WALNUT",
    "YELLOW",
    "ZEPHYR",
)


class StringSurgery(Template):
    version = 2

    word = Choice(*WORDS)
    cut = Choice(2, 3, 4)
    tail = Choice("XO", "UP", "ME", "TY", "AR", "IN", "GO", "LA")
    skip = Choice(2, 3)
    times = Choice(2, 3)

    facts = "Consider this Python program."
    question = "What does it print?"
    result_text = ""

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        lines = [
            f's = "{shown["word"]}"',
            f"s = s[{shown['cut']}:] + s[:{shown['cut']}]",
            "s = s[::-1]",
            f's = s + "{shown["tail"]}" * {shown["times"]}',
            f"print(s[::{shown['skip']}])",
        ]
        return [Part("code", "\n".join(lines), "python")]

    def solve(self, t: Trace, word: str, cut: Quantity, tail: str, skip: Quantity, times: Quantity) -> Quantity:
        text = t.given("word", word)
        back = t.apply("slice", text, cut, t.apply("length", text), 1, role="string_op")
        front = t.apply("slice", text, 0, cut, 1, role="string_op")
        t.step("The first {cut} letters, s[:{cut}], are {}.", front)
        t.step("The others, s[{cut}:], are {}.", back)
        turned = t.step("With the two parts exchanged, s is {}.", t.apply("concat", back, front), role="string_op")
        mirrored = t.step("Read backwards, s is {}.", t.apply("slice", turned, 0, 0, -1), role="string_op")
        joined = t.apply("concat", mirrored, *[t.given("tail", tail)] * times.value)
        t.step("With the letters joined on at the end, s is {}.", joined, role="string_op")
        which = "second" if skip.value == 2 else "third"
        printed = t.apply("slice", joined, 0, t.apply("length", joined), skip)
        return t.step(
            f"Starting with the first letter, every {which} letter is printed: {{}}.", printed, role="string_op"
        )

    def check(self, word: str, cut: int, tail: str, skip: int, times: int) -> str:
        # Letter by letter: where does each printed letter come from?
        size = len(word)
        letters = []
        for i in range(0, size + len(tail) * times, skip):
            letters.append(word[(cut - 1 - i) % size] if i < size else tail[(i - size) % len(tail)])
        return "".join(letters)
