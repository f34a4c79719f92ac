"""Teachers as a workflow writes them. Loading this module imports neither httpx nor Ray nor vLLM."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from dsgen.pipeline.core.candidate import Sampling
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.teachers.protocol import Teacher

URL, MODEL, KEY = "DSGEN_TEACHER_URL", "DSGEN_TEACHER_MODEL", "DSGEN_TEACHER_KEY"
"""The environment variables that ``auto`` reads."""

_OWN_FIELDS = frozenset(
    {"model", "messages", "n", "stream", "seed", "temperature", "top_p", "max_tokens", "max_completion_tokens"}
)
_MAY_BE_LEFT_OUT = frozenset({"seed", "temperature", "top_p"})


class _Config(BaseModel):
    # Without the input in errors a key that was pasted into the wrong field is not printed back.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class _Model(_Config):
    """What every teacher that samples from a model has in common."""

    instructions: str | None = None
    """The system turn instead of the default one; empty: none, as some reasoning models want it."""
    n: int = Field(default=1, ge=1, le=1024)
    """Samples of each problem."""
    temperature: float = Field(default=0.7, ge=0, le=2)
    top_p: float = Field(default=1.0, gt=0, le=1)
    max_tokens: int = Field(default=4096, ge=1)
    extra: dict[str, Any] = Field(default_factory=dict)
    """Further fields of the request body, such as ``top_k``. A null for ``seed``, ``temperature`` or ``top_p`` leaves
    that field out, for endpoints that refuse it."""

    @field_validator("extra")
    @classmethod
    def _own_fields_stay(cls, extra: dict[str, Any]) -> dict[str, Any]:
        taken = [k for k in extra if k in _OWN_FIELDS and not (extra[k] is None and k in _MAY_BE_LEFT_OUT)]
        if taken:
            raise ValueError(f"{', '.join(taken)} cannot be set here; the teacher's own settings decide on them")
        return extra

    def sampling(self) -> Sampling:
        """How requests to this teacher are sampled; ``extra`` in an order that does not depend on the file's."""
        extra = orjson.loads(orjson.dumps(self.extra, option=orjson.OPT_SORT_KEYS))
        return Sampling(self.temperature, self.top_p, self.max_tokens, tuple(extra.items()))


class DerivationConfig(_Config):
    """The embedded teacher, which writes out the derivation."""

    kind: Literal["derivation"] = "derivation"


class OpenAIConfig(_Model):
    """Any endpoint that speaks OpenAI's chat completions: a vLLM server, SGLang, DeepSeek, ..."""

    kind: Literal["openai"] = "openai"
    base_url: str
    """Up to and without ``/chat/completions``, such as ``http://localhost:8000/v1``."""
    model: str = Field(min_length=1)
    revision: str = ""
    """What tells two versions of the same model name apart: completions of one are not reused for the other."""
    api_key_env: str | None = None
    """The *name* of the environment variable that holds the key; without one no key is sent."""
    slots: int = Field(default=64, ge=1)
    """Calls at the same time, at most."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """How the endpoint calls the limit; OpenAI's reasoning models want ``max_completion_tokens``."""
    timeout_s: float = Field(default=600.0, gt=0)
    """Time for one call, without the wait for a free slot."""
    attempts: int = Field(default=6, ge=1)
    """Calls for one request, the first included."""
    deadline_s: float = Field(default=3600.0, gt=0)
    """Time for one request with all its attempts and pauses, without the wait for a free slot."""
    backoff_s: float = Field(default=0.5, gt=0)
    """Upper bound of the first pause before a retry; it doubles with every further one, up to a minute."""

    @field_validator("api_key_env")
    @classmethod
    def _name_not_key(cls, name: str | None) -> str | None:
        if name is not None and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise ValueError("the name of an environment variable is wanted here, not the key itself")
        return name

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            whole = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:  # its own message would quote the address
            whole = False
        if not whole:
            raise ValueError("an address such as http://localhost:8000/v1 is wanted")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("user, password and query do not belong in the address; a key comes through api_key_env")
        return url.rstrip("/").removesuffix("/chat/completions")


class VLLMConfig(_Model):
    """An engine of our own on the cluster's GPUs."""

    kind: Literal["vllm"] = "vllm"
    model: str = Field(min_length=1)
    revision: str = ""
    tensor_parallel: int = Field(default=1, ge=1)
    data_parallel: int = Field(default=1, ge=1)
    expert_parallel: bool = False
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int = Field(default=256, ge=1)
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    quantization: str | None = None
    reasoning_parser: str | None = None


class AutoConfig(_Model):
    """Whatever is there: the endpoint that the environment names, an engine on GPUs, or else the derivation."""

    kind: Literal["auto"] = "auto"
    model: str | None = None
    """The model to load when there are GPUs, and to ask an endpoint for when the environment names none."""
    revision: str = ""


ConcreteConfig = DerivationConfig | OpenAIConfig | VLLMConfig
TeacherConfig = Annotated[DerivationConfig | OpenAIConfig | VLLMConfig | AutoConfig, Field(discriminator="kind")]


class Resolved(NamedTuple):
    """A teacher that can be built, and one sentence about how it was chosen."""

    config: ConcreteConfig
    why: str


def resolve_auto(config: ConcreteConfig | AutoConfig, *, gpus: int, environ: Mapping[str, str]) -> Resolved:
    """The teacher that ``auto`` stands for; any other config is what it says.

    Raises:
        TeacherError: the environment names an endpoint but no model, or something that is no address.
    """
    if not isinstance(config, AutoConfig):
        return Resolved(config, f"Teacher {config.kind}: the workflow says so.")
    url = environ.get(URL, "")
    if url:
        model = environ.get(MODEL) or config.model
        if not model:
            raise TeacherError(
                f"{URL} names an endpoint, but nothing names a model: set {MODEL}, or `model` in the teacher"
            )
        key = KEY if environ.get(KEY) else None
        try:
            made = OpenAIConfig(**_shared(config), base_url=url, model=model, revision=config.revision, api_key_env=key)
        except ValidationError as error:
            raise TeacherError(f"{URL}: {error.errors()[0]['msg']}") from None
        return Resolved(made, f"Teacher openai with {model}: {URL} names the endpoint {made.base_url}.")
    if config.model and gpus > 0:
        cards = "a GPU" if gpus == 1 else f"{gpus} GPUs"
        why = f"Teacher vllm with {config.model}: the cluster has {cards}, and the workflow names the model."
        return Resolved(VLLMConfig(**_shared(config), model=config.model, revision=config.revision), why)
    if config.model:
        why = f"there is no GPU for {config.model}, and {URL} names no endpoint"
    else:
        why = f"no model is configured, and {URL} names no endpoint"
    return Resolved(DerivationConfig(), f"Teacher derivation: {why}.")


def build(config: ConcreteConfig | AutoConfig) -> Teacher:
    """The teacher of a config; it connects to nothing before its ``start``.

    Raises:
        TeacherError: there is no such teacher in this release, or ``auto`` was not resolved.
    """
    match config:
        case DerivationConfig():
            from dsgen.pipeline.teachers.derivation import DerivationTeacher  # noqa: PLC0415

            return DerivationTeacher()
        case OpenAIConfig():
            from dsgen.pipeline.teachers.openai import OpenAITeacher  # noqa: PLC0415 - httpx only where it is used

            return OpenAITeacher(config)
        case VLLMConfig():
            raise TeacherError(
                f"teacher vllm ({config.model}): this release has no engine of its own; a later one brings it. "
                f"Until then serve the model with vLLM's own server, `vllm serve {config.model}`, and use "
                f"`kind: openai` with `base_url: http://HOST:8000/v1` and `model: {config.model}`"
            )
        case AutoConfig():
            raise TeacherError("teacher auto stands for another one: resolve it with resolve_auto before building")


def _shared(config: AutoConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in _Model.model_fields}
