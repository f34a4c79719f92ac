"""The list of reasoning patterns and the language of its rules.

``patterns.yaml`` gives each pattern a rule, a check and ``checked_by``: the checks of :data:`CHECKS` that suffice for
it. A pattern whose check the project does not run has no ``checked_by``, and is never assigned.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import yaml

CHECKS: Mapping[str, str] = {
    "reexecution": "re-execution of the derivation",
    "second_solver": "second solver",
    "units": "unit engine",
    "drop_step": "a dropped step changes the answer",
}
"""The checks that the project runs, and how evidence names them.

* ``reexecution``: every node was executed again and gave its value. The second solver's validator does so before it
  passes; without its verdict the tagging does. It suffices where the check is to evaluate the same operations exactly.
* ``second_solver``: the verdict of that name passed: another program came to the same answer. It suffices, together
  with ``reexecution``, where the check is to compute, enumerate, simulate or substitute the asked value another way,
  whichever way the template's own solver took. It says nothing about symbolic identities, other precisions, further
  instances, models or proofs.
* ``units``: the unit of every load-bearing sum, difference, product and quotient follows from its operands' units.
* ``drop_step``: the step in the middle of the longest path is replaced by its operand, and the answer changes.

The verdict of the ``steps`` validator ties the text to the nodes; patterns are claims about nodes, so none needs it.
"""

DERIVED: tuple[tuple[str, tuple[str, ...], str], ...] = (
    ("div_exact", ("div",), "whole"),
    ("frac_add", ("add", "sub", "sum"), "fraction"),
    ("frac_add", ("add", "sub", "sum"), "reduced"),
    ("frac_mul", ("mul", "div"), "fraction"),
    ("frac_mul", ("mul",), "reduced"),
    ("frac_reduce", ("div", "mul"), "reduced"),
    ("add", ("sum",), "any"),
    ("mod_reduce", ("mod",), "any"),
    ("compare", ("lt", "le", "gt", "ge", "eq", "ne"), "any"),
)
"""Names of the rules that a node has besides its own operation and its role: name, operations, and for which numbers.

``whole``: operands and result are integers; ``fraction``: a fraction among them; ``reduced``: a fraction that had to be
reduced to lowest terms; ``any``: all numbers.
"""

MUTATORS: Mapping[str, str] = {"invert_backward": "forward_to_backward"}
"""Mutators that a rule knows by another name."""

COMMON = frozenset({"add", "sub", "mul", "div_exact", "frac_add", "frac_mul", "frac_reduce", "compare"})
"""Operations that belong to every family and so show none."""

NOT_DOMAINS = frozenset({"proof", "inversion", "composition"})
"""Families of methods: an operation of theirs belongs to no subject."""

TRACE_PREDICATES = frozenset({"chained", "critical_path", "families"})
"""The ``trace:`` predicates that can be decided from a derivation. Of ``ast:`` there are none yet."""

CERTIFICATES: Mapping[str, str] = {"unique_preimage": "backward", "preimage_set": "find_all"}
"""Certificates by the task form that carries them. A backward question's second solver tries the whole domain, so its
passed verdict is the certificate."""

COVERED_ROWS, COVERED_TEMPLATES = 100, 3
"""A pattern is covered with at least so many accepted rows from at least so many templates."""

_CLAUSE = re.compile(
    r"(op|mut|fam|ast|trace|cert):([a-z][a-z0-9_]*)?(?:\{([a-z0-9_,]+)\}|\(([a-z0-9_]+)\))?(?:>=(\d+))?"
)


class Clause(NamedTuple):
    """One condition of a rule: ``op:{gcd,lcm}>=1``, ``trace:chained(percent_apply)``."""

    kind: str
    head: str
    """The name before brackets; empty for a bare set."""
    names: frozenset[str]
    """What the brackets hold, or else the name itself."""
    least: int


@dataclass(frozen=True, slots=True)
class Pattern:
    """A reasoning pattern of the list."""

    id: str
    family: str
    title: str
    definition: str
    evidence: str
    """``rule :: check``, as the list has it."""
    clauses: tuple[Clause, ...]
    checked_by: tuple[str, ...]
    supported: bool
    """Whether the project can decide the rule and runs the check; other patterns are never assigned."""

    @property
    def rule(self) -> str:
        """The rule without its check."""
        return self.evidence.partition(" :: ")[0]


def parse_rule(text: str) -> tuple[Clause, ...]:
    """The conditions of a rule, joined by ``&``.

    Raises:
        ValueError: the text is not a rule.
    """
    clauses = []
    for part in text.split(" & "):
        match = _CLAUSE.fullmatch(part.strip())
        if match is None or not (match[2] or match[3]):
            raise ValueError(f"not a clause of a pattern rule: {part!r}")
        inside = match[3] or match[4] or match[2]
        clauses.append(Clause(match[1], match[2] or "", frozenset(inside.split(",")), int(match[5] or 1)))
    return tuple(clauses)


@cache
def patterns() -> tuple[Pattern, ...]:
    """All patterns in list order; the file is read once."""
    return _load()[1]


@cache
def families() -> Mapping[str, str]:
    """The families and their titles."""
    return _load()[0]


@cache
def _load() -> tuple[Mapping[str, str], tuple[Pattern, ...]]:
    text = files("dsgen.pipeline.dataset").joinpath("patterns.yaml").read_text(encoding="utf-8")
    data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - a safe loader, in C
    known: dict[str, str] = data["families"]
    made = []
    for entry in data["patterns"]:
        rule, separator, _ = entry["evidence"].partition(" :: ")
        checked_by = tuple(entry.get("checked_by", ()))
        unknown = set(checked_by) - CHECKS.keys()
        if unknown or not separator or entry["family"] not in known:
            raise ValueError(f"patterns.yaml: {entry['id']}: {sorted(unknown) or entry['evidence']}")
        clauses = parse_rule(rule)
        supported = bool(checked_by) and all(_decidable(c, known) for c in clauses)
        texts = (entry["id"], entry["family"], entry["title"], entry["definition"], entry["evidence"])
        made.append(Pattern(*texts, clauses, checked_by, supported))
    return known, tuple(made)


def _decidable(clause: Clause, known: Mapping[str, str]) -> bool:
    if clause.kind == "fam":
        return all(name in known or name == "word_problem" for name in clause.names)
    if clause.kind == "trace":
        return clause.head in TRACE_PREDICATES
    if clause.kind == "cert":
        return clause.names <= CERTIFICATES.keys()
    return clause.kind in ("op", "mut")


def coverage(counts: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """How many patterns are covered, and how many there are; ``counts``: rows and templates of each."""
    covered = sum(rows >= COVERED_ROWS and templates >= COVERED_TEMPLATES for rows, templates in counts.values())
    return covered, len(patterns())
