"""The values of a parameter, counted in whole numbers of parts."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from dsgen.pipeline.core.exact import Exact

if TYPE_CHECKING:
    from dsgen.seeds.text.lift_model import Parameter


class Grid:
    """The values of a parameter as whole numbers of parts."""

    def __init__(self, parameter: Parameter) -> None:
        spans = parameter.domains
        numbers = [parameter.value, *(v for s in spans for v in s)]
        parts = self.parts = math.lcm(*(v.denominator for v in numbers))
        original, *ends = (v.numerator * (parts // v.denominator) for v in numbers)
        self.original = original
        self.ranges = [range(ends[i], ends[i + 1] + 1, ends[i + 2]) for i in range(0, len(ends), 3)]
        style = parameter.style
        # As in `admissible`: nobody writes "12.0 pounds" or "$3.0"
        self.never_whole = bool(style.decimals) and (style.decimals == 1 or not style.prefix)
        self.bound = max(abs(original), *(abs(r[-1]) for r in self.ranges if r), 1)

    def count(self, value: Any) -> int | None:
        """The parts of a value; ``None`` when it is not one of the parameter's values."""
        parts, rest = divmod(value.numerator * self.parts, value.denominator)
        return None if rest or not self.holds(parts) else parts

    def holds(self, parts: int) -> bool:
        """Whether so many parts are one of the parameter's values."""
        if parts == self.original:
            return True
        if self.never_whole and parts % self.parts == 0:
            return False
        easier, same, harder = self.ranges
        return parts in same or parts in easier or parts in harder

    def value(self, parts: int) -> Exact:
        """The value that is so many parts."""
        if self.parts == 1:
            return parts
        whole, rest = divmod(parts, self.parts)
        return Fraction(parts, self.parts) if rest else whole

    def choices(self, place: int) -> range:
        """The parts of the values of a profile, or of the record's own when there is none."""
        return self.ranges[place] or range(self.original, self.original + 1)
