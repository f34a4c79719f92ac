"""A quadratic equation with whole roots, solved through its discriminant."""

from dsgen.pipeline.core.space import Integer
from dsgen.pipeline.core.template import Derived, Template
from dsgen.pipeline.core.trace import Quantity, Trace


def _written(scale: int, middle: int, constant: int) -> str:
    """The left side, with its signs as one writes them."""
    text = f"{scale} × z^2" if scale != 1 else "z^2"
    if middle:
        text += f" {'+' if middle > 0 else '-'} {abs(middle)} × z"
    return f"{text} {'+' if constant > 0 else '-'} {abs(constant)}"


class QuadraticRoots(Template):
    scale = Integer(1, 4, harder=(2, 9))
    low = Integer(-20, 12, easier=(-9, -1), harder=(-60, 40))
    high = Integer(-12, 20, easier=(2, 12), harder=(-40, 60))
    middle = Derived(lambda scale, low, high: -scale * (low + high))
    constant = Derived(lambda scale, low, high: scale * low * high)
    equation = Derived(_written)

    facts = "Consider the equation {equation} = 0."
    question = "Find all its real solutions z, as a set."

    def where(self, low: int, high: int) -> bool:
        return low < high and low * high != 0 and low + high not in (0, 1, -1)

    def solve(self, t: Trace, scale: Quantity, middle: Quantity, constant: Quantity) -> Quantity:
        if scale.value != 1:
            t.say("The coefficients are {scale}, {middle} and {constant}; {scale} divides all of them.")
            middle = t.step("Dividing by it, the coefficient of z becomes {}.", middle / scale)
            constant = t.step("The constant becomes {}.", constant / scale)
        t.say(
            "When z^2 has coefficient 1, z is half of: minus the coefficient of z, plus or minus the root of the "
            "discriminant."
        )
        discriminant = t.step("The discriminant is {}.", middle**2 - 4 * constant, role="discriminant")
        root = t.step("Its square root is {}.", t.apply("sqrt", discriminant))
        small = t.step("One solution is {}.", (-middle - root) / 2, role="solve_quadratic")
        large = t.step("The other is {}.", (-middle + root) / 2, role="solve_quadratic")
        t.step("As a check, their product is the constant: {}.", small * large, role="verify")
        return t.step("The solutions are {}.", t.apply("set", small, large))

    def check(self, scale: int, middle: int, constant: int) -> frozenset[int]:
        # A whole root divides the constant; try all of them.
        size = abs(constant // scale)
        candidates = [d * sign for d in range(1, min(size, 60) + 1) if size % d == 0 for sign in (1, -1)]
        return frozenset(z for z in candidates if scale * z * z + middle * z + constant == 0)
