"""Steps around a circle: a linear congruence, solved with an inverse from Euclid's algorithm."""

from dsgen.pipeline.core.space import Choice, Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


class Carousel(Template):
    version = 2

    place = Choice("hooks of a round conveyor", "lockers around a round hall", "posts around a lake")
    size = Integer(23, 90, harder=(91, 260))
    stride = Integer(5, 40, harder=(23, 120), maskable=False)
    goal = Integer(2, 60, harder=(31, 200))
    last = Derived(lambda size: size - 1)

    facts = (
        "The {place} are numbered from 0 to {last} in a circle, so there are {size} of them. A robot starts at number "
        "0 and always moves on by {stride} numbers; after the highest number it goes on counting from 0. "
        "It is wanted at number {goal}."
    )
    question = "After how many moves does it stand there for the first time?"
    result_text = "It stands there for the first time after {answer} moves."

    def where(self, size: int, stride: int, goal: int) -> bool:
        return stride < size and goal < size and goal % stride > 0 and _rounds(size, stride) in (2, 3, 4)

    def solve(self, t: Trace, size: Quantity, stride: Quantity, goal: Quantity) -> Quantity:
        t.say(
            "After n moves the robot stands at {stride} × n modulo {size}. Look for the inverse of {stride} by Euclid."
        )
        high, low = size, stride
        before, now = t.const(0), t.const(1)
        while low.value > 1:
            quotient, rest = high // low, high % low
            text = t.state(rest)
            t.step("Divide {high} by {low}: {}, remainder {text}.", quotient, high=high, low=low, text=text)
            factor = before - quotient * now
            t.step("Modulo {size}, the remainder {rest} is {stride} times the factor {}.", factor, rest=rest)
            before, now = now, factor
            high, low = low, rest
        inverse = t.step("So the inverse of {stride} is {}.", now % size, role="modinv")
        t.step("Indeed {}.", stride * inverse % size, role="verify")
        moves = t.step("Multiplying the goal by it gives n = {}.", goal * inverse % size, role="mod_reduce")
        t.let("n", moves)
        return t.step("The robot needs {} moves.", moves)

    def check(self, size: int, stride: int, goal: int) -> int:
        place = moves = 0
        while place != goal:
            place, moves = (place + stride) % size, moves + 1
        return moves


def _rounds(high: int, low: int) -> int:
    """Divisions until Euclid's algorithm reaches 1; 0 when it never does."""
    rounds = 0
    while low > 1:
        high, low, rounds = low, high % low, rounds + 1
    return rounds if low else 0
