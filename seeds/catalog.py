"""All executable templates, found by walking the family packages."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from dsgen.pipeline.core.errors import TemplateError
from dsgen.pipeline.core.template import Template

FAMILIES = (
    "algebra",
    "arithmetic",
    "code",
    "combinatorics",
    "geometry",
    "logic",
    "number_theory",
    "probability",
    "tables",
)
"""The packages that hold templates; what else lies in ``seeds`` are records and their loaders."""


@cache
def templates() -> dict[str, Template]:
    """Every template by its id, in alphabetical order; made once.

    Raises:
        TemplateError: a module does not hold exactly one template, or two have the same id.
    """
    found: dict[str, Template] = {}
    for family in FAMILIES:
        package = importlib.import_module(f"dsgen.seeds.{family}")
        for entry in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            if entry.name.rpartition(".")[2].startswith("_"):
                continue
            template = _only_template(entry.name)
            if template.id in found:
                raise TemplateError(f"two templates are called {template.id}")
            found[template.id] = template
    return dict(sorted(found.items()))


def _only_template(module_name: str) -> Template:
    module = importlib.import_module(module_name)
    classes = [
        member
        for member in vars(module).values()
        if isinstance(member, type) and issubclass(member, Template) and member.__module__ == module_name
    ]
    if len(classes) != 1:
        raise TemplateError(f"{module_name} holds {len(classes)} templates; a module holds exactly one")
    return classes[0]()
