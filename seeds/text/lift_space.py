"""The admissible values of a lift as a space: slot → values, without replacement.

The parameters are joined one by one, and each guard is asked as soon as its parameters are there, for all assignments
at once. Most spaces end as the table of all their admissible assignments. Where that would be too long, the table of
the first parameters and the domains of the others are a product, drawn from as :mod:`dsgen.pipeline.core.space` does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import shake_128
from typing import Any

import numpy as np

from dsgen.pipeline.core.exact import Exact
from dsgen.pipeline.core.keys import Key
from dsgen.seeds.text.lift_check import LINEAR, PRODUCT, Check, Instruction

_LONGEST = 50_000
"""The rows of a table at most."""
_WORK = 500_000
"""The assignments at most for which guards are asked in order to join one parameter."""
_ASKED = 2_000
"""The rows at most that are asked one by one, where the guards are not compiled as a whole."""
_PROBES = (128, 1_024, 8_192)
_HITS = 8
"""With fewer hits among the first probes, more are made."""
_MISS = 1e-6

Column = Any
"""The values of a register for many assignments: an array, of machine integers where they are long enough."""


class LiftSpace:
    """The space of one profile; ``capacity`` is exact or a safe lower estimate."""

    def __init__(self, check: Check, place: int) -> None:
        self.check = check
        self.original = tuple(check.original)
        self._columns: dict[int, Column] = dict(check.constants)
        self._left = list(check.program)
        self._kind: Any = object if check.wide else np.int64
        self._joined = 0
        self._order: list[int] = []
        self.rows = 1
        self.factors: dict[int, Any] = self._join(place)
        """The domains of the parameters that are not in the table."""
        self.exact = not self.factors and (check.complete or self.rows <= _ASKED)
        if self.exact:
            self._keep_admissible()
        self.total = self.rows * math.prod(len(f) for f in self.factors.values())
        self.capacity = self.total if self.exact else self._estimate()
        self.table = {i: _packed(self._columns[i]) for i in self._order}
        del self._columns, self._left

    def draw(self, slot: int, key: Key) -> dict[str, Exact] | None:
        """The values of a slot; ``None`` when none of the slot's positions is admissible.

        Raises:
            IndexError: the slot is not below the capacity.
        """
        if not 0 <= slot < self.capacity:
            raise IndexError(f"slot {slot} of a space with capacity {self.capacity}")
        order = key.permutation(self.total)
        if self.exact:
            return self.check.values(self._at(order[slot]))
        for position in range(slot, self.total, self.capacity):
            parts = self._at(order[position])
            if self._holds(parts):
                return self.check.values(parts)
        return None

    def _at(self, position: int) -> tuple[int, ...]:
        """The parts at a position of table and factors."""
        parts = [0] * len(self.original)
        position, row = divmod(position, self.rows)
        for i, column in self.table.items():
            parts[i] = int(column[row])
        for i, factor in self.factors.items():
            position, digit = divmod(position, len(factor))
            parts[i] = int(factor[digit])
        return tuple(parts)

    def _holds(self, parts: tuple[int, ...]) -> bool:
        written = all(self.check.grids[i].holds(parts[i]) for i in self.factors)
        return parts != self.original and written and self.check.holds(parts)

    def _keep_admissible(self) -> None:
        """Leave the record's own values out, and what only the lift itself can forbid."""
        columns = [self._columns[i] for i in range(len(self.original))]
        if self.check.complete:
            keep = ~np.logical_and.reduce([c == own for c, own in zip(columns, self.original, strict=True)])
        else:
            keep = np.array([self._holds(row) for row in zip(*(c.tolist() for c in columns), strict=True)], bool)
        self._columns = {i: self._columns[i][keep] for i in self._order}
        self.rows = int(keep.sum())

    def _join(self, place: int) -> dict[int, Any]:
        """Put parameters into the table while it is short enough; the domains of the others."""
        domains: dict[int, Any] = {}
        for i, grid in enumerate(self.check.grids):
            domain: Any = grid.choices(place)
            if len(domain) <= _LONGEST:
                domain = np.array(domain, self._kind)
                if grid.never_whole:
                    domain = domain[(domain % grid.parts != 0) | (domain == grid.original)]
                mine = [g for g in self._left if g.needs == 1 << i]
                domain = run(mine, {**self.check.constants, i: domain})[i]
            domains[i] = domain
        while domains:
            by_guards = min(domains, key=lambda i: (-self._answered(i), len(domains[i])))
            by_size = min(domains, key=lambda i: len(domains[i]))
            joined = next((i for i in dict.fromkeys((by_guards, by_size)) if self._cross(i, domains[i])), None)
            if joined is None:
                break
            del domains[joined]
        return domains

    def _answered(self, parameter: int) -> int:
        """How many guards can be asked once the parameter is joined."""
        joined = self._joined | 1 << parameter
        return sum(1 for g in self._left if not g.needs & ~joined and g.needs.bit_count() > 1)

    def _cross(self, parameter: int, domain: Column) -> bool:
        """Join a parameter, unless that takes too much work or makes too long a table."""
        if self.rows * len(domain) > _WORK:
            return False
        fixed = self.check.constants
        joined = self._joined | 1 << parameter
        ready = [g for g in self._left if not g.needs & ~joined]
        pieces: list[dict[int, Column]] = []
        rows, many = 0, max(1, _LONGEST // max(1, len(domain)))
        for start in range(0, max(1, self.rows), many):
            stop = min(start + many, self.rows)
            columns = {i: c if i in fixed else np.repeat(c[start:stop], len(domain)) for i, c in self._columns.items()}
            columns[parameter] = np.tile(domain, stop - start)
            pieces.append(run(ready, columns))
            rows += len(pieces[-1][parameter])
            if rows > _LONGEST:
                return False
        self._columns = {i: c if i in fixed else np.concatenate([p[i] for p in pieces]) for i, c in pieces[0].items()}
        self._left = [g for g in self._left if g.needs & ~joined]
        self._joined = joined
        self._order.append(parameter)
        self.rows = rows
        return True

    def _estimate(self) -> int:
        """As many tries per slot as make an empty slot a one-in-a-million event."""
        if not self.total:
            return 0
        hits = seen = 0
        for seen in _PROBES:
            hits = self._hits(seen)
            if hits >= _HITS:
                break
        if hits == seen:
            return self.total
        return self.total // math.ceil(math.log(_MISS) / math.log(1 - hits / seen)) if hits else 0

    def _hits(self, count: int) -> int:
        """How many of so many random positions are admissible."""
        rows = _random(0, count, self.rows)
        columns = {i: c if i in self.check.constants else c[rows] for i, c in self._columns.items()}
        for i, factor in self.factors.items():
            digits = _random(i + 1, count, len(factor))
            long = not isinstance(factor, np.ndarray)
            columns[i] = np.array([factor[d] for d in digits.tolist()], self._kind) if long else factor[digits]
        found = run(self._left, columns)
        parts = zip(*(found[i].tolist() for i in range(len(self.original))), strict=True)
        return sum(1 for p in parts if self._holds(p))


def _random(stream: int, count: int, below: int) -> np.ndarray[Any, Any]:
    """Numbers below a bound, the same on every machine."""
    raw = shake_128(b"%d" % stream).digest(8 * count)
    return (np.frombuffer(raw, "<u8") % np.uint64(below)).astype(np.int64)


def run(program: Sequence[Instruction], columns: Mapping[int, Column]) -> dict[int, Column]:
    """The columns of all registers after the instructions, for the assignments that keep every guard."""
    made = dict(columns)
    for op, to, a, x, b, y, divide, low, high, _ in program:
        good: Any = None
        if op == LINEAR:
            n = made[a] * x + made[b] * y if y else made[a] * x
        elif op == PRODUCT:
            n = made[a] * made[b]
        else:
            above, below = made[a] * x, made[b] * y
            n = above // below
            good = n * below == above
        if divide != 1:
            above, n = n, n // divide
            good = n * divide == above
        if low is not None:
            good = n >= low if good is None else good & (n >= low)
        if high is not None:
            good = n <= high if good is None else good & (n <= high)
        made[to] = n
        if good is not None and not good.all():
            made = {i: c if isinstance(c, int) else c[good] for i, c in made.items()}
    return made


def _packed(column: Column) -> Column:
    """The same numbers in less memory."""
    if column.dtype == object or not len(column):
        return column
    return column.astype(np.min_scalar_type(int(column.max())))
