"""Executable templates: a problem with open parameters, its worked solution and a second way to solve it.

A template is a class in ``seeds/<family>/``; its module's docstring says what it teaches. It reads like a page of a
textbook: the givens with their ranges, the text, ``solve`` (the worked solution over traced quantities) and ``check``
(another way to the same answer, over plain numbers).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

from dsgen.pipeline.core import answers, units
from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.derivation import Derivation
from dsgen.pipeline.core.errors import TemplateError
from dsgen.pipeline.core.exact import Exact, plain
from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.problem import Part, Problem, Tier
from dsgen.pipeline.core.program import PROFILES, Origin, Values, shown_values
from dsgen.pipeline.core.space import Choice, Domain, Integer, Integers, Space, domain_of
from dsgen.pipeline.core.trace import Quantity, Trace


class Derived:
    """A number or text that the statement shows and that follows from the parameters, whose names ``function`` takes.

    So a total can be given whose parts are drawn. What a derived value is made from cannot be hidden: it would tell.
    """

    def __init__(self, function: Callable[..., Any], *, unit: str = "") -> None:
        self.function = function
        self.unit = units.parse(unit)
        self.needs = tuple(inspect.signature(function).parameters)


class Template:
    """Base of all templates. Class attributes that are domains are its parameters, in their order.

    Class attributes that are :class:`Derived` can be used like parameters everywhere but in ``where``.

    A subclass gives ``facts``, ``question`` and ``result`` as texts with ``{parameter}``, and the methods

    * ``solve(self, t, <parameters>)``: the worked solution; numeric parameters arrive as quantities;
    * ``check(self, <parameters>)``: the same answer by another way, from plain values;
    * ``where(self, <parameters>)``, optional: the condition that the parameters fulfil;
    * ``exhibits(self, shown)``, optional: tables and code that stand between facts and question.

    Each names just the parameters it uses.
    """

    version: ClassVar[int] = 1
    facts: ClassVar[str] = ""
    question: ClassVar[str] = ""
    result_text: ClassVar[str] = ""

    id: str
    family: str = ""
    """A family of the pattern list; a template's folder, unless the template names another."""
    tier = Tier.EXACT

    def __init__(self) -> None:
        cls = type(self)
        module = cls.__module__.split(".")
        self.id = f"{module[-2]}/{module[-1]}"
        self.family = cls.family or module[-2]
        members = {n: m for base in reversed(cls.__mro__) for n, m in vars(base).items()}
        self.domains: dict[str, Domain] = {n: m for n, m in members.items() if isinstance(m, Domain)}
        self.derived = {n: m for n, m in members.items() if isinstance(m, Derived)}
        self._told = {need for d in self.derived.values() for need in d.needs}
        taken = [
            n
            for n in (*self.domains, *self.derived)
            if hasattr(Template, n) or n in ("answer", "solve", "check", "where")
        ]
        if taken:
            raise TemplateError(f"{self.id}: a parameter cannot be called {', '.join(taken)}; choose another name")
        self._solve, self._solve_names = self._method("solve", skip=1)
        self._check, self._check_names = self._method("check")
        self._where, self._where_names = self._method("where", optional=True)
        if not self.domains.keys() >= set(self._where_names):
            raise TemplateError(f"{self.id}: `where` is asked before derived values exist; it takes parameters only")
        self._has_harder = any(getattr(d, "harder", None) for d in self.domains.values())
        self._numeric = {n: d.unit for n, d in self.domains.items() if _is_numeric(d)}
        self._numeric |= {n: d.unit for n, d in self.derived.items()}
        self._spaces: dict[str, Space] = {}
        self._orders: dict[tuple[str, bytes], Key] = {}
        self.hash = digest(self.id, self.version, size=8).hex()

    def _method(self, name: str, *, skip: int = 0, optional: bool = False) -> tuple[Callable[..., Any], list[str]]:
        method = getattr(self, name, None)
        if method is None:
            if optional:
                return _always, []
            raise TemplateError(f"{self.id}: a template needs a method `{name}`")
        names = list(inspect.signature(method).parameters)[skip:]
        unknown = [n for n in names if n not in self.domains and n not in self.derived]
        if unknown:
            known = ", ".join((*self.domains, *self.derived))
            raise TemplateError(f"{self.id}: `{name}` asks for {', '.join(unknown)}; the parameters are {known}")
        return method, names

    def space(self, profile: str) -> Space:
        """The parameter space of a profile, made once."""
        space = self._spaces.get(profile)
        if space is None:
            if profile not in PROFILES:
                raise TemplateError(f"unknown profile {profile!r}; known: {', '.join(PROFILES)}")
            where = self._where if self._where is not _always else None
            space = self._spaces[profile] = Space.of(self.domains, profile, where, self._where_names)
        return space

    def capacity(self, profile: str) -> int:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        if profile == "harder" and not self._has_harder:
            return 0
        return self.space(profile).capacity

    def draw(self, profile: str, slot: int, key: Key) -> dict[str, Any] | None:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        place = (profile, key.raw)
        order = self._orders.get(place)
        if order is None:
            order = self._orders[place] = key.child("space", self.id, profile)
        return self.space(profile).draw(slot, order)

    def _full(self, values: Values) -> Values:
        """Parameters and derived values."""
        if not self.derived:
            return values
        full = dict(values)
        for name, derived in self.derived.items():
            full[name] = derived.function(*[full[n] for n in derived.needs])
        return full

    def derive(self, values: Values) -> Derivation:
        """Run ``solve`` on a fresh tape."""
        return self._derive(self._full(values))

    def _derive(self, values: Values) -> Derivation:
        t = Trace(values)
        arguments: list[Any] = []
        numeric = self._numeric
        for name in self._solve_names:
            value = values[name]
            if name not in numeric or isinstance(value, str):
                arguments.append(value)
            elif isinstance(value, tuple):
                arguments.append([t.given(f"{name}[{i}]", v, numeric[name]) for i, v in enumerate(value)])
            else:
                arguments.append(t.given(name, value, numeric[name]))
        answer = self._solve(t, *arguments)
        if not isinstance(answer, Quantity):
            raise TemplateError(f"{self.id}: solve returned {type(answer).__name__}, not a quantity of its trace")
        return t.finish(answer)

    def second(self, values: Values) -> Exact:
        """Run ``check`` on the plain values."""
        full = self._full(values)
        return plain(self._check(*[full[n] for n in self._check_names]))

    def pose(self, values: Values, origin: Origin) -> Problem:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        full = self._full(values)
        derivation = self._derive(full)
        node = derivation.nodes[derivation.answer]
        parts = self._facts(full)
        question = self.question.format(**full)
        last = parts[-1] if parts else None
        if last is not None and last.kind == "text":
            parts[-1] = Part("text", f"{last.content} {question}")
        else:
            parts.append(Part("text", question))
        return Problem(
            parts=tuple(parts),
            answer=answers.of(node.value, node.unit),
            lineage=origin.lineage,
            tier=self.tier,
            family=self.family,
            form="forward",
            derivation=derivation,
            values=values,
            program=self,
            draw=origin.draw,
            second=partial(self.second, values),
        )

    def facts_parts(self, values: Values, hidden: Mapping[str, str]) -> list[Part]:
        """Facts and exhibits, without the question."""
        full = self._full(values)
        return self._facts(shown_values(full, hidden) if hidden else full)

    def _facts(self, shown: Mapping[str, Any]) -> list[Part]:
        parts = [Part("text", self.facts.format(**shown))] if self.facts else []
        return parts + list(self.exhibits(shown))

    def exhibits(self, shown: Mapping[str, Any]) -> Sequence[Part]:
        """Tables and code of the statement; ``shown`` holds symbols in place of hidden parameters."""
        return ()

    def maskable(self) -> list[str]:
        """Numeric parameters that a backward question may hide; none without a ``result_text``."""
        return [n for n, d in self.domains.items() if d.maskable and n not in self._told] if self.result_text else []

    def domain(self, name: str, values: Values) -> Sequence[Exact]:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return domain_of(self.domains[name], values[name])

    def admissible(self, values: Values) -> bool:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return bool(self._where(*[values[n] for n in self._where_names]))

    def result(self, answer: str, values: Values) -> str:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return self.result_text.format(answer=answer, **self._full(values))

    def meaning(self, name: str) -> str:
        """See :class:`~dsgen.pipeline.core.program.Program`."""
        return getattr(self.domains[name], "meaning", "")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), ()


def _is_numeric(domain: Domain) -> bool:
    if isinstance(domain, Choice):
        return all(type(v) is int for v in domain.values)
    return isinstance(domain, (Integer, Integers))


def _always(*_: Any) -> bool:
    return True


__all__ = ["Degenerate", "Derived", "Template"]
