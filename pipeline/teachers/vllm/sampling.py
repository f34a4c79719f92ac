"""From a request to vLLM's sampling parameters."""

from __future__ import annotations

import difflib
import inspect
from dataclasses import dataclass
from typing import Any

from dsgen.pipeline.core.candidate import Request
from dsgen.pipeline.teachers.config import VLLMConfig

_SEED_BITS = (1 << 31) - 1
"""As many bits as go out to a server, so that a vLLM server and an engine here draw the same samples."""
_TEMPLATE = "chat_template_kwargs"
_OURS = frozenset(
    {
        *("n", "seed", "temperature", "top_p", "max_tokens"),
        # How the teacher reads what comes back.
        *("output_kind", "detokenize", "skip_clone", "stream_interval", "prompt_logprobs", "prompt_logprob_token_ids"),
        *("prompt_logprob_start", "routed_experts_prompt_start", "trace_decode_token_ids"),
    }
)


_MAY_BE_LEFT_OUT = frozenset({"seed", "temperature", "top_p"})


class Refused(ValueError):
    """Sampling that vLLM does not take."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request's sampling as the engine wants it."""

    params: Any
    """vLLM's ``SamplingParams``."""
    template: dict[str, Any]
    """What the chat template gets, such as ``enable_thinking``."""


def prepare(request: Request, config: VLLMConfig, keep_special: bool) -> Prepared:
    """The sampling of a request.

    Args:
        request: What is asked.
        config: The teacher's settings.
        keep_special: Keep special tokens in the text, as a reasoning parser may look for them.

    Raises:
        Refused: a name or a value that vLLM does not take.
    """
    from vllm.exceptions import VLLMClientError  # noqa: PLC0415 - vLLM is loaded by then
    from vllm.sampling_params import RequestOutputKind, SamplingParams, StructuredOutputsParams  # noqa: PLC0415

    sampling = request.sampling
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": request.seed & _SEED_BITS,
        "skip_special_tokens": not keep_special,
        "thinking_token_budget": config.thinking_budget,
    }
    template: dict[str, Any] = {}
    try:
        for name, value in sampling.extra:
            if name == _TEMPLATE:
                template = dict(value or {})
            elif name in _OURS and name not in _MAY_BE_LEFT_OUT:
                raise Refused(f"{name} cannot be set here")
            elif value is None:
                fields.pop(name, None)
            else:
                fields[name] = _value(name, value)
        if request.schema is not None:
            fields["structured_outputs"] = StructuredOutputsParams(json=dict(request.schema))
        params = SamplingParams.from_optional(
            **fields,
            n=request.n,
            max_tokens=sampling.max_tokens,
            output_kind=RequestOutputKind.FINAL_ONLY,
            skip_clone=True,  # made for this request alone
        )
    except (VLLMClientError, TypeError, ValueError) as error:
        raise Refused(str(error)) from None
    return Prepared(params, template)


def fault(config: VLLMConfig) -> str:
    """What is wrong with a teacher's sampling, in a sentence; empty when nothing is."""
    from vllm.sampling_params import SamplingParams  # noqa: PLC0415

    sampling = config.sampling()
    known = [*(set(inspect.signature(SamplingParams.from_optional).parameters) - _OURS), _TEMPLATE]
    faults = []
    for name, value in sampling.extra:
        if name in known or (value is None and name in _MAY_BE_LEFT_OUT):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        faults.append(f"{name} (did you mean {near[0]}?)" if near else name)
    if faults:
        return f"extra: vLLM knows no sampling field {', '.join(faults)}"
    try:
        prepare(Request("", (), sampling, config.n), config, keep_special=False)
    except Refused as error:
        return f"vLLM refuses the sampling: {error}"
    return ""


def _value(name: str, value: Any) -> Any:
    """A value as ``SamplingParams`` wants it: YAML has plain mappings where vLLM has classes of its own."""
    from vllm.sampling_params import RepetitionDetectionParams, StructuredOutputsParams  # noqa: PLC0415

    if name == "logprobs" and isinstance(value, bool):
        return 0 if value else None  # the sampled token's own, without alternatives
    if name == "structured_outputs" and isinstance(value, dict):
        return StructuredOutputsParams(**value)
    if name == "repetition_detection" and isinstance(value, dict):
        return RepetitionDetectionParams(**value)
    return value
