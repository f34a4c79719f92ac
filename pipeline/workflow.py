"""The workflow: a YAML file as frozen models, with every fault told at once and by its path."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    TypeAdapter,
    ValidationError,
    create_model,
    model_validator,
)

import dsgen.mutators
import dsgen.seeds.sources
import dsgen.validators
from dsgen.pipeline.core.errors import SourceError, WorkflowError
from dsgen.pipeline.core.operator import Mutator, Validator, discover
from dsgen.pipeline.core.source import Source
from dsgen.pipeline.engine.plan import Plan
from dsgen.pipeline.engine.routing import Routing, name_of
from dsgen.pipeline.teachers.config import AutoConfig, DerivationConfig, ModelConfig, TeacherConfig


class Engine(BaseModel):
    """How a run is carried out; nothing here changes what it makes."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    executor: Literal["ray", "local"] = "ray"
    workers: int | None = Field(default=None, ge=1, description="CPU workers; all cores when absent")
    address: str | None = Field(
        default=None, description="address of a Ray cluster; a local one is started when absent"
    )
    row_limit_s: float = Field(default=20.0, gt=0, description="seconds after which a stuck row's process is killed")
    attempts: int = Field(default=3, ge=1, description="times that a row may kill its process before quarantine")
    max_error_rate: float = Field(
        default=0.5, ge=0, le=1, description="share of quarantined samples, of at least 200, that ends a run"
    )
    open_rows: int | None = Field(default=None, ge=1, description="rows in open buckets; 64 a slot if absent")
    open_bytes: int = Field(default=512 * 1024**2, ge=1024**2, description="bytes of prompts and replies held at once")
    redis: str | None = Field(
        default=None,
        pattern=r"^(rediss?|unix)://[^@]*$",
        description="a Redis that shares replies between runs, without a password; DSGEN_REDIS_URL may hold one",
    )


class Workflow(BaseModel):
    """A whole job. Lists of operators hold the models of the kinds that are installed."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    seed: int = Field(ge=0, lt=2**63)
    sources: tuple[SerializeAsAny[Source], ...] = Field(min_length=1)
    keep_seeds: bool = True
    mutators: tuple[SerializeAsAny[Mutator], ...] = ()
    teacher: TeacherConfig = AutoConfig()
    teachers: tuple[Annotated[ModelConfig, Field(discriminator="kind")], ...] = ()
    routing: Routing = Routing()
    judge: Annotated[ModelConfig, Field(discriminator="kind")] | None = None
    validators: tuple[SerializeAsAny[Validator], ...] = Field(min_length=1)
    bucket_units: int = Field(default=1000, ge=10, le=100_000, description="planned units a commit")
    engine: Engine = Engine()

    @model_validator(mode="after")
    def _no_mutator_twice(self) -> Workflow:
        stamps = [m.stamp for m in self.mutators]
        for index, stamp in enumerate(stamps):
            if stamp in stamps[:index]:
                first = stamps.index(stamp)
                raise ValueError(f"mutators[{index}] is mutators[{first}] again: raise that one's `count` instead")
        return self

    @model_validator(mode="after")
    def _teachers_fit_together(self) -> Workflow:
        if not self.teachers:
            return self
        if self.teacher != AutoConfig():
            raise ValueError("name either one `teacher` or several `teachers`, not both")
        names = [name_of(t) for t in self.teachers]
        for index, name in enumerate(names):
            if name in names[:index]:
                first = names.index(name)
                raise ValueError(f"teachers[{index}] has the name of teachers[{first}], {name!r}: set `name`")
        if len({t.n for t in self.teachers}) > 1:
            raise ValueError("all `teachers` must give the same number of samples: set the same `n`")
        if all(t.families or t.steps for t in self.teachers):
            raise ValueError("some rows would have no teacher: one of `teachers` must set no `families` and no `steps`")
        return self

    @property
    def models(self) -> tuple[ModelConfig, ...]:
        """The teachers that are asked over time, first the preferred one; none when the derivation teaches."""
        if self.teachers:
            return self.teachers
        if isinstance(self.teacher, DerivationConfig | AutoConfig):
            return ()
        return (self.teacher,)

    @property
    def samples(self) -> int:
        """Samples of each problem."""
        return self.models[0].n if self.models else 1

    def identity(self) -> dict[str, Any]:
        """What makes a run the same run: name, seed, sources, mutators, and how they are cut into buckets."""
        return {
            "plan": Plan.version,
            "name": self.name,
            "seed": self.seed,
            "keep_seeds": self.keep_seeds,
            "bucket_units": self.bucket_units,
            "sources": [s.identity() for s in self.sources],
            "mutators": [{"stamp": m.stamp, "count": m.count} for m in self.mutators],
        }

    def plan(self, *, check: bool = True) -> Plan:
        """Open the sources and number the units; a worker leaves the check of capacities to its driver.

        Raises:
            SourceError: a seed file cannot be read.
            WorkflowError: a source has fewer instances than asked for.
        """
        opened, faults = [], []
        for index, source in enumerate(self.sources):
            try:
                opened.append(source.open())
            except SourceError as error:
                faults.append((f"sources[{index}]", str(error)))
        if faults:
            raise SourceError("\n".join(f"{path}: {text}" for path, text in faults))
        if check:
            wanted = [(m.draws_from(), m.count) for m in self.mutators]
            short = [f"sources[{i}]: {s}" for i, o in enumerate(opened) for s in o.shortfalls(wanted)]
            if short:
                raise WorkflowError(self.name, short)
        return Plan(self.seed, opened, self.mutators, self.bucket_units, keep_seeds=self.keep_seeds)


@cache
def mutators() -> dict[str, type[Mutator]]:
    """The installed mutators by kind."""
    return discover(dsgen.mutators, Mutator)


@cache
def validators() -> dict[str, type[Validator]]:
    """The installed validators by kind."""
    return discover(dsgen.validators, Validator)


@cache
def sources() -> dict[str, type[Source]]:
    """The installed sources by kind."""
    return discover(dsgen.seeds.sources, Source)


@cache
def schema() -> type[Workflow]:
    """The workflow model, with its lists narrowed to the installed kinds."""

    def one_of(kinds: dict[str, type[Any]]) -> Any:
        classes = tuple(kinds.values())
        return Annotated[Union.__getitem__(classes), Field(discriminator="kind")] if len(classes) > 1 else classes[0]

    fields: dict[str, Any] = {
        name: (tuple.__class_getitem__((one_of(kinds), ...)), default)
        for name, kinds, default in (
            ("sources", sources(), Field(min_length=1)),
            ("mutators", mutators(), ()),
            ("validators", validators(), Field(min_length=1)),
        )
    }
    return create_model("InstalledWorkflow", __base__=Workflow, **fields)


def load(path: Path) -> Workflow:
    """The workflow in a file; a bare name such as ``math.yaml`` may be one that ships with dsgen.

    Raises:
        WorkflowError: the file is missing, not YAML, or has faults; all of them are listed with their paths.
    """
    found = path
    if not path.is_file():
        shipped = Path(str(files("dsgen.workflows").joinpath(path.name)))
        if not shipped.is_file():
            names = ", ".join(sorted(p.name for p in shipped.parent.glob("*.yaml")))
            raise WorkflowError(str(path), [f"no such file; workflows that ship with dsgen: {names}"])
        found = shipped
    try:
        data = yaml.safe_load(found.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise WorkflowError(str(path), [f"not a YAML file: {error}"]) from error
    if not isinstance(data, dict):
        raise WorkflowError(str(path), ["the top level must be a mapping with `name`, `seed`, `sources`, ..."])
    return parse(data, str(path))


def parse(data: dict[str, Any], name: str) -> Workflow:
    """The workflow that plain data describes."""
    if isinstance(data.get("teacher"), str):
        data = data | {"teacher": {"kind": data["teacher"]}}
    try:
        return TypeAdapter(schema()).validate_python(data)
    except ValidationError as error:
        errors = error.errors()
        # A list whose members are all faulty is also "too short": that says nothing new.
        inner = {e["loc"][0] for e in errors if len(e["loc"]) > 1}
        told = [e for e in errors if not (e["type"] == "too_short" and e["loc"][0] in inner)]
        raise WorkflowError(name, [_fault(e) for e in told]) from error


def _fault(error: Any) -> str:
    """One fault as ``mutators[0].factr: Extra inputs are not permitted``."""
    kinds = {*sources(), *mutators(), *validators(), "auto", "derivation", "openai", "vllm", "python"}
    path = ""
    for position, part in enumerate(error["loc"]):
        if isinstance(part, int):
            path += f"[{part}]"
        # pydantic puts a union's tag into the path, where the reader's file has none.
        elif part in kinds and position and (isinstance(error["loc"][position - 1], int) or position == 1):
            continue
        else:
            path += f".{part}" if path else str(part)
    text = error["msg"]
    if error["type"] == "extra_forbidden":
        text = "unknown key; check its spelling"
    elif error["type"] == "value_error":
        text = str(error["ctx"]["error"])
    elif error["type"] == "missing":
        text = "is missing"
    elif error["type"].startswith("union_tag"):
        text = f"unknown kind {error['ctx'].get('tag', '(none)')!r}; known: {error['ctx'].get('expected_tags', '')}"
    return f"{path}: {text}" if path else text
