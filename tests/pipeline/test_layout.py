"""The house: imports go one way, every package is shipped, light things stay light."""

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("pipeline", "mutators", "validators", "seeds", "workflows")

# Who may import what of dsgen; a longer prefix decides before a shorter one.
CORE = "dsgen.pipeline.core"
ALLOWED = {
    "dsgen.pipeline.core": {CORE},
    "dsgen.mutators": {CORE},
    "dsgen.validators": {CORE},
    "dsgen.seeds": {CORE, "dsgen.seeds"},
    "dsgen.pipeline.teachers": {CORE, "dsgen.pipeline.teachers"},
    # What trains the tiny teacher is a program of its own; a run loads its checkpoint only.
    "dsgen.pipeline.teachers.tiny": {CORE, "dsgen.pipeline.teachers", "dsgen.seeds.catalog"},
    "dsgen.pipeline.dataset": {CORE, "dsgen.pipeline.dataset"},
    "dsgen.pipeline.workflow": {
        CORE,
        "dsgen.mutators",
        "dsgen.validators",
        "dsgen.seeds",
        "dsgen.pipeline.teachers.config",
        "dsgen.pipeline.engine.plan",
        "dsgen.pipeline.engine.routing",
    },
    "dsgen.pipeline.engine.plan": {CORE},
    "dsgen.pipeline.engine.routing": {CORE, "dsgen.pipeline.teachers.config"},
    "dsgen.pipeline.sizing": {CORE, "dsgen.pipeline.sizing"},
    "dsgen.pipeline.engine": {
        CORE,
        "dsgen.pipeline.engine",
        "dsgen.pipeline.teachers",
        "dsgen.pipeline.dataset",
        "dsgen.pipeline.workflow",
    },
    "dsgen.pipeline": {"dsgen.pipeline", "dsgen.seeds.catalog"},
    "dsgen.workflows": set(),
}


def modules() -> list[tuple[str, Path]]:
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append((".".join(("dsgen", *parts)).removesuffix(".__init__"), path))
    return found


def imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return {n for n in names if n == "dsgen" or n.startswith("dsgen.")}


def within(name: str, prefixes: set[str]) -> bool:
    return any(name == p or name.startswith(p + ".") for p in prefixes)


@pytest.mark.parametrize(("name", "path"), modules(), ids=[n for n, _ in modules()])
def test_imports_go_one_way(name: str, path: Path) -> None:
    rule = max((r for r in ALLOWED if within(name, {r})), key=len)
    foreign = {i for i in imports(path) if i != "dsgen" and not within(i, ALLOWED[rule])}
    assert not foreign, f"{name} imports {sorted(foreign)}, the rule of {rule} allows {sorted(ALLOWED[rule])}"


def test_every_package_is_listed() -> None:
    """A folder that pyproject.toml forgets is silently absent from the wheel."""
    listed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    present = {name for name, path in modules() if path.name == "__init__.py"} | {"dsgen"}
    assert listed == present


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("dsgen.pipeline.workflow", ["ray", "vllm", "datasets", "torch", "aiohttp", "httpx", "math_verify"]),
        ("dsgen.pipeline.preview", ["ray", "vllm", "datasets", "torch", "aiohttp", "httpx", "math_verify"]),
        ("dsgen.pipeline.engine.work", ["ray", "vllm", "datasets", "torch", "math_verify"]),
        ("dsgen.pipeline.engine.run", ["ray", "vllm", "datasets", "torch", "math_verify"]),
    ],
)
def test_light_modules_stay_light(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
