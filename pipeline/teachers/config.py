"""Teachers as a workflow writes them. Loading this module imports neither aiohttp nor Ray nor vLLM."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

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
    name: str | None = Field(default=None, pattern=r"^[a-z0-9][a-z0-9_-]*$")
    """How routing, summary and card call it when there are several."""
    families: tuple[str, ...] = ()
    """Families of problems that it takes; none named: all."""
    steps: tuple[int, int] | None = None
    """Least and most operations of the problems that it takes, as a rough measure of their length; absent: any."""
    canaries: int = Field(default=0, ge=0, le=64)
    """Problems with known answers that go through every engine at its start and after every ``canary_every`` rows."""
    canary_floor: float = Field(default=0.5, ge=0, le=1)
    """The share of canaries to get right; an engine below it is drained."""
    canary_every: int = Field(default=5000, ge=1)
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

    @property
    def rows_at_once(self) -> int:
        """Rows that it works on at the same time."""
        return self.slots

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


class _Engine(_Model):
    """A teacher that runs in processes of our own: killable children of a laptop's run, actors on a Ray cluster."""

    model: str = Field(min_length=1)
    revision: str = ""
    engines: int = Field(default=1, ge=1)
    """Independent copies of the engine, each with all the weights."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Environment variables of the engine's processes, such as ``VLLM_CPU_OMP_THREADS_BIND``."""
    start_limit_s: float = Field(default=1800.0, gt=0)
    """Time for an engine to load its weights and say that it is ready."""

    @field_validator("environment")
    @classmethod
    def _no_secrets(cls, environment: dict[str, str]) -> dict[str, str]:
        secret = [k for k in environment if re.search(r"TOKEN|SECRET|PASSWORD|(^|_)KEY($|_)", k, re.IGNORECASE)]
        if secret:
            raise ValueError(
                f"{', '.join(secret)}: secrets do not belong in a workflow, which is copied into the dataset; "
                "set them in the environment of the cluster's nodes"
            )
        return environment


class VLLMConfig(_Engine):
    """vLLM engines of our own."""

    kind: Literal["vllm"] = "vllm"
    tensor_parallel: int = Field(default=1, ge=1)
    pipeline_parallel: int = Field(default=1, ge=1)
    data_parallel: int = Field(default=1, ge=1)
    """Ranks inside *one* engine that share the experts; independent copies are ``engines``."""
    expert_parallel: bool = False
    max_model_len: int | None = Field(default=None, ge=1)
    max_num_seqs: int = Field(default=256, ge=1)
    """Rows at the same time, of each data-parallel rank."""
    gpu_memory_utilization: float = Field(default=0.9, gt=0, le=1)
    dtype: str = "auto"
    kv_cache_dtype: str = "auto"
    quantization: str | None = None
    """``awq``, ``gptq``, ``fp8`` (for weights that are stored so; 16-bit weights are quantised at loading with
    ``fp8_per_tensor``, ``fp8_per_channel`` or ``fp8_per_block``), ...; absent: what the model's own config says."""
    reasoning_parser: str | None = None
    """vLLM's name of the parser that keeps reasoning and final text apart, such as ``qwen3``."""
    thinking_budget: int | None = Field(default=None, ge=1)
    """Tokens of reasoning after which the engine closes it; needs a reasoning parser."""
    enforce_eager: bool = False
    expert_load: Literal["auto", "off"] = "auto"
    """Count the tokens that each expert gets, where the engine can."""
    engine_args: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of vLLM's engine, by vLLM's names."""

    @field_validator("engine_args")
    @classmethod
    def _nothing_twice(cls, engine_args: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(k for k in engine_args if k in _ENGINE_OWN)
        if taken:
            names = ", ".join(f"{k} (here: {_ENGINE_OWN[k]})" if _ENGINE_OWN[k] else k for k in taken)
            raise ValueError(f"{names} cannot be set here")
        return engine_args

    @model_validator(mode="after")
    def _sound(self) -> VLLMConfig:
        if self.thinking_budget is not None and self.reasoning_parser is None:
            raise ValueError("thinking_budget needs a reasoning_parser, which knows where reasoning ends")
        if self.expert_parallel and self.engines > 1 and self.data_parallel == 1 and self.tensor_parallel == 1:
            raise ValueError(
                "expert_parallel spreads experts over the ranks of one engine; with one rank there is nothing to "
                "spread: raise tensor_parallel or data_parallel, not engines"
            )
        return self

    @property
    def rows_at_once(self) -> int:
        """Rows that all its engines work on at the same time."""
        return self.engines * max(1, math.ceil(self.max_num_seqs * self.data_parallel / self.n))

    @property
    def gpus(self) -> int:
        """GPUs of one engine."""
        return self.tensor_parallel * self.pipeline_parallel * self.data_parallel


class PythonConfig(_Engine):
    """A teacher class of the user's own, hosted like an engine; it implements the protocol of teachers."""

    kind: Literal["python"] = "python"
    target: str = Field(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """``module:Class``, importable where the engines run; called with this config."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the class reads from ``config.options``."""
    slots: int = Field(default=64, ge=1)
    """Rows that one engine works on at the same time."""
    gpus: int = Field(default=0, ge=0)
    """GPUs of one engine."""

    @property
    def rows_at_once(self) -> int:
        """Rows that all its engines work on at the same time."""
        return self.engines * self.slots


_ENGINE_OWN = {
    "model": "model",
    "revision": "revision",
    "tensor_parallel_size": "tensor_parallel",
    "pipeline_parallel_size": "pipeline_parallel",
    "data_parallel_size": "data_parallel",
    "enable_expert_parallel": "expert_parallel",
    "max_model_len": "max_model_len",
    "max_num_seqs": "max_num_seqs",
    "gpu_memory_utilization": "gpu_memory_utilization",
    "dtype": "dtype",
    "kv_cache_dtype": "kv_cache_dtype",
    "quantization": "quantization",
    "reasoning_parser": "reasoning_parser",
    "enforce_eager": "enforce_eager",
    "trust_remote_code": "",
    "worker_extension_cls": "",
}
"""vLLM's names of what has a field of its own here; an empty name: never to be set."""


class AutoConfig(_Model):
    """Whatever is there: the endpoint that the environment names, an engine on GPUs, or else the derivation."""

    kind: Literal["auto"] = "auto"
    model: str | None = None
    """The model to load when there are GPUs, and to ask an endpoint for when the environment names none."""
    revision: str = ""


ModelConfig = OpenAIConfig | VLLMConfig | PythonConfig
"""Teachers that are asked over time, as opposed to the derivation."""
ConcreteConfig = DerivationConfig | ModelConfig
TeacherConfig = Annotated[ConcreteConfig | AutoConfig, Field(discriminator="kind")]


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
    """The teacher of a config, in this process; it connects to nothing before its ``start``.

    Raises:
        TeacherError: a class of the user's own cannot be imported, or ``auto`` was not resolved.
    """
    match config:
        case DerivationConfig():
            from dsgen.pipeline.teachers.derivation import DerivationTeacher  # noqa: PLC0415

            return DerivationTeacher()
        case OpenAIConfig():
            from dsgen.pipeline.teachers.openai import OpenAITeacher  # noqa: PLC0415 - aiohttp only where it is used

            return OpenAITeacher(config)
        case VLLMConfig():
            from dsgen.pipeline.teachers.vllm.teacher import VLLMTeacher  # noqa: PLC0415 - vLLM only where it is used

            return VLLMTeacher(config)
        case PythonConfig():
            return _own(config)
        case AutoConfig():
            raise TeacherError("teacher auto stands for another one: resolve it with resolve_auto before building")


def _own(config: PythonConfig) -> Teacher:
    module, _, name = config.target.partition(":")
    try:
        made: Teacher = getattr(importlib.import_module(module), name)(config)
    except (ImportError, AttributeError) as error:
        raise TeacherError(
            f"teacher python: {config.target} cannot be imported ({error}); it must be installed, or on PYTHONPATH, "
            "where the engines run"
        ) from None
    return made


def _shared(config: AutoConfig) -> dict[str, Any]:
    return {name: getattr(config, name) for name in _Model.model_fields}
