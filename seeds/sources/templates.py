"""Seeds from the executable templates that ship with dsgen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from dsgen.pipeline.core.arith import Degenerate
from dsgen.pipeline.core.errors import SourceError
from dsgen.pipeline.core.keys import Key, digest
from dsgen.pipeline.core.operator import NotApplicable
from dsgen.pipeline.core.problem import Lineage
from dsgen.pipeline.core.program import Draw, Origin
from dsgen.pipeline.core.source import Seed, SeedSet, Source

if TYPE_CHECKING:
    from dsgen.pipeline.core.template import Template


class Templates(Source):
    """``seeds`` instances of each chosen template; without ``only`` and ``families``, of all."""

    kind: Literal["templates"] = "templates"
    seeds: int = Field(default=10, ge=1)
    only: tuple[str, ...] = ()
    families: tuple[str, ...] = ()

    def open(self) -> TemplateSeeds:
        from dsgen.seeds.catalog import templates  # noqa: PLC0415 - every workflow loads this module, few use it

        known = templates()
        unknown = [t for t in self.only if t not in known]
        missing = [f for f in self.families if not any(t.family == f for t in known.values())]
        if unknown:
            raise SourceError(f"unknown template {', '.join(unknown)}; `dsgen show --templates` lists the known ones")
        if missing:
            families = ", ".join(sorted({t.family for t in known.values()}))
            raise SourceError(f"no templates in family {', '.join(missing)}; known: {families}")
        chosen = [
            t
            for name, t in known.items()
            if (not self.only and not self.families) or name in self.only or t.family in self.families
        ]
        return TemplateSeeds(chosen, self.seeds)


class TemplateSeeds(SeedSet):
    """Seeds in the order of the templates' names."""

    def __init__(self, chosen: list[Template], each: int) -> None:
        self.templates = chosen
        self.each = each
        self.fingerprint = digest(*[f"{t.id}/{t.hash}" for t in chosen]).hex()

    def __len__(self) -> int:
        return len(self.templates) * self.each

    def seed_id(self, index: int) -> str:
        which, ordinal = divmod(index, self.each)
        return f"{self.templates[which].id}#{ordinal}"

    def seed(self, index: int, key: Key) -> Seed:
        which, ordinal = divmod(index, self.each)
        template = self.templates[which]
        lineage = Lineage("templates", f"{template.id}#{ordinal}", template.hash, key.raw.hex())
        values = template.draw("same", ordinal, key)
        if values is None:
            return Seed(NotApplicable("no_admissible_values"))
        try:
            return Seed(template.pose(values, Origin(lineage, Draw(ordinal, self.each))))
        except Degenerate:
            return Seed(NotApplicable("degenerate"))

    def shortfalls(self, wanted: Sequence[tuple[str | None, int]]) -> list[str]:
        faults = []
        for template in self.templates:
            # The seeds themselves are drawn from `same`; a profile that a template does not have is no shortfall.
            for profile, children in dict.fromkeys([("same", 0), *wanted]):
                if profile is None:
                    continue
                capacity = template.capacity(profile)
                needed = self.each * (children + (profile == "same"))
                if 0 < capacity < needed:
                    faults.append(
                        f"{template.id} has {capacity:,} different instances of profile `{profile}`, "
                        f"{needed:,} are asked for ({self.each} seeds, {children} children each)"
                    )
        return faults
