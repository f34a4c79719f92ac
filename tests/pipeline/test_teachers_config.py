"""Teachers as a workflow writes them, and what ``auto`` stands for."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.teachers.config import (
    AutoConfig,
    DerivationConfig,
    OpenAIConfig,
    PythonConfig,
    TeacherConfig,
    VLLMConfig,
    build,
    resolve_auto,
)
from dsgen.pipeline.teachers.protocol import Teacher

ADAPTER: TypeAdapter[Any] = TypeAdapter(TeacherConfig)
ENDPOINT = {"DSGEN_TEACHER_URL": "http://host:8000/v1/", "DSGEN_TEACHER_MODEL": "deepseek"}


@pytest.mark.parametrize(
    ("data", "cls"),
    [
        ({"kind": "derivation"}, DerivationConfig),
        ({"kind": "openai", "base_url": "http://localhost:8000/v1", "model": "m"}, OpenAIConfig),
        ({"kind": "vllm", "model": "Qwen/Qwen3-30B-A3B", "tensor_parallel": 2, "expert_parallel": True}, VLLMConfig),
        ({"kind": "auto"}, AutoConfig),
    ],
)
def test_the_kind_decides(data: dict[str, Any], cls: type) -> None:
    config = ADAPTER.validate_python(data)
    assert type(config) is cls
    assert pickle.loads(pickle.dumps(config)) == config
    assert ADAPTER.validate_python(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param({"base_url": "localhost:8000"}, "an address such as", id="no scheme"),
        pytest.param({"base_url": "ftp://host/v1"}, "an address such as", id="wrong scheme"),
        pytest.param({"base_url": "https://me:sekret@host/v1"}, "do not belong in the address", id="password"),
        pytest.param({"base_url": "https://host/v1?key=sekret"}, "do not belong in the address", id="query"),
        pytest.param({"base_url": "https://host:sekret/v1"}, "an address such as", id="port"),
        pytest.param({"api_key_env": "sk-sekret"}, "not the key itself", id="key in place of its variable"),
        pytest.param({"api_key": "sekret"}, "Extra inputs", id="unknown field"),
        pytest.param({"extra": {"model": "x"}}, "model cannot be set here", id="own field in extra"),
        pytest.param({"extra": {"max_tokens": None}}, "max_tokens cannot be set here", id="limit left out"),
        pytest.param({"n": 0}, "greater than or equal to 1", id="no samples"),
        pytest.param({"top_p": 0}, "greater than 0", id="top_p"),
    ],
)
def test_faults_are_told_without_the_input(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words) as caught:
        OpenAIConfig(**{"base_url": "http://localhost/v1", "model": "m", **fields})
    assert "sekret" not in str(caught.value)


def test_an_address_is_kept_without_its_route() -> None:
    assert OpenAIConfig(base_url="http://h/v1/chat/completions", model="m").base_url == "http://h/v1"


def test_sampling_does_not_depend_on_the_order_in_the_file() -> None:
    one = VLLMConfig(model="m", extra={"top_k": 5, "more": {"b": 1, "a": 2}, "seed": None})
    other = VLLMConfig(model="m", extra={"seed": None, "more": {"a": 2, "b": 1}, "top_k": 5})
    assert str(one.sampling()) == str(other.sampling())
    assert one.sampling().extra == (("more", {"a": 2, "b": 1}), ("seed", None), ("top_k", 5))


@pytest.mark.parametrize(
    ("config", "gpus", "environ", "kind", "words"),
    [
        pytest.param(AutoConfig(), 0, {}, "derivation", "no model is configured", id="nothing there"),
        pytest.param(AutoConfig(model="m"), 0, {}, "derivation", "no GPU for m", id="a model but no GPU"),
        pytest.param(AutoConfig(), 8, {}, "derivation", "no model is configured", id="GPUs but no model"),
        pytest.param(AutoConfig(model="m"), 8, {}, "vllm", "8 GPUs", id="GPUs and a model"),
        pytest.param(AutoConfig(model="m"), 8, ENDPOINT, "openai", "http://host:8000/v1.", id="endpoint before GPUs"),
        pytest.param(AutoConfig(), 8, ENDPOINT, "openai", "http://host:8000/v1.", id="an endpoint"),
        pytest.param(DerivationConfig(), 8, ENDPOINT, "derivation", "the workflow says so", id="not auto"),
    ],
)
def test_auto_takes_what_is_there(config: Any, gpus: int, environ: dict[str, str], kind: str, words: str) -> None:
    resolved = resolve_auto(config, gpus=gpus, environ=environ)
    assert resolved.config.kind == kind
    assert resolved.why.startswith(f"Teacher {kind}")
    assert words in resolved.why


def test_auto_hands_its_sampling_on() -> None:
    auto = AutoConfig(model="own", n=4, temperature=0.2, max_tokens=99, revision="r1", instructions="Go.")
    environ = {"DSGEN_TEACHER_URL": "http://host/v1", "DSGEN_TEACHER_KEY": "sekret"}
    endpoint = resolve_auto(auto, gpus=0, environ=environ).config
    engine = resolve_auto(auto, gpus=1, environ={}).config
    for config in (endpoint, engine):
        assert isinstance(config, OpenAIConfig | VLLMConfig)
        assert (config.model, config.n, config.revision, config.instructions) == ("own", 4, "r1", "Go.")
        assert config.sampling() == auto.sampling()
    assert isinstance(endpoint, OpenAIConfig)
    assert endpoint.api_key_env == "DSGEN_TEACHER_KEY"
    assert "sekret" not in repr(endpoint)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"DSGEN_TEACHER_URL": "http://host/v1"}, "set DSGEN_TEACHER_MODEL"),
        (ENDPOINT | {"DSGEN_TEACHER_URL": "host"}, "DSGEN_TEACHER_URL: .*an address such as"),
    ],
)
def test_half_an_endpoint_is_an_error(environ: dict[str, str], words: str) -> None:
    with pytest.raises(TeacherError, match=words):
        resolve_auto(AutoConfig(), gpus=0, environ=environ)


def test_build() -> None:
    endpoint = build(OpenAIConfig(base_url="http://localhost/v1", model="m", revision="r", slots=3))
    assert isinstance(endpoint, Teacher)
    assert (endpoint.name, endpoint.model, endpoint.revision, endpoint.slots) == ("openai:m", "m", "r", 3)
    assert build(DerivationConfig()).slots == 0
    own = build(PythonConfig(target="stand_in:StandIn", model="seeded", slots=7))
    assert isinstance(own, Teacher)
    assert (own.name, own.slots) == ("python:seeded", 7)
    with pytest.raises(TeacherError, match=r"no_such_module:Class cannot be imported .* where the engines run"):
        build(PythonConfig(target="no_such_module:Class", model="m"))
    with pytest.raises(TeacherError, match="resolve_auto"):
        build(AutoConfig())


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        pytest.param({"thinking_budget": 5}, "needs a reasoning_parser", id="budget without parser"),
        pytest.param({"environment": {"HF_TOKEN": "x"}}, "secrets do not belong", id="secret"),
        pytest.param({"engine_args": {"max_num_seqs": 4}}, "max_num_seqs .here: max_num_seqs", id="twice"),
        pytest.param({"engine_args": {"trust_remote_code": True}}, "trust_remote_code cannot be set", id="never"),
        pytest.param({"engines": 2, "expert_parallel": True}, "nothing to spread", id="experts over one rank"),
    ],
)
def test_engines_that_cannot_be(fields: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        VLLMConfig(model="m", **fields)


def test_configs_load_without_the_heavy_libraries() -> None:
    code = (
        "import sys, dsgen.pipeline.teachers.config as c; c.build(c.DerivationConfig());"
        "print([m for m in ('aiohttp', 'ray', 'vllm', 'sympy') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.strip() == "[]"
