"""OpenAI's chat completions on the wire: the body of a call, and what a reply's body says."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from dsgen.pipeline.core.candidate import Completion, Failure, Message, Request

_FINISH = {"": "stop", "eos_token": "stop", "end_turn": "stop", "max_tokens": "length", "model_length": "length"}
_INTERRUPTED = frozenset({"abort", "error", "insufficient_system_resource"})
"""Finish reasons of samples that the server broke off: no sample of the model."""
_SEED_BITS = (1 << 31) - 1


class Parsed(NamedTuple):
    """What a reply's body holds: samples, and the tokens of the whole call."""

    completions: tuple[Completion, ...]
    tokens: int


def body(request: Request, model: str, *, n: int, seed: int, max_tokens_field: str = "max_tokens") -> dict[str, Any]:
    """The body of a call for ``n`` samples.

    Seeds go out with 31 bits, as more than that is refused or rounded by some servers and gateways on the way.
    """
    sampling = request.sampling
    made: dict[str, Any] = {
        "model": model,
        "messages": [_turn(message) for message in request.messages],
        "seed": seed & _SEED_BITS,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        max_tokens_field: sampling.max_tokens,
        "stream": False,
    }
    if n > 1:  # left out otherwise: some endpoints do not know the field
        made["n"] = n
    if request.schema is not None:
        schema: dict[str, Any] = {"name": "reply", "schema": dict(request.schema)}
        if request.schema.get("additionalProperties") is False:  # what strict servers ask for before they are strict
            schema["strict"] = True
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    for field, value in sampling.extra:
        if value is None:
            made.pop(field, None)
        else:
            made[field] = value
    return made


def _turn(message: Message) -> dict[str, Any]:
    if not message.images:
        return {"role": message.role, "content": message.text}
    parts: list[dict[str, Any]] = []
    for image in message.images:
        url = f"data:{image.media_type};base64,{base64.b64encode(image.data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    parts.append({"type": "text", "text": message.text})
    return {"role": message.role, "content": parts}


def parse(raw: bytes, n: int) -> Parsed | Failure:
    """The samples of a reply, ``n`` at most, or why it holds none.

    An endpoint reports tokens for the whole call. They are divided over its samples so that the sum is exactly what
    was reported: with ``n`` = 1 a sample's count is its own, with more it is the mean. Not reported, they count 0.
    """
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        return Failure("truncated_json", f"{len(raw)} bytes that are no JSON: {error}", retryable=True)
    if not isinstance(data, dict):
        return Failure("bad_shape", f"the reply is a {type(data).__name__}, not an object", retryable=True)
    choices = data.get("choices")
    if not choices and data.get("error"):
        return Failure("bad_shape", f"no choices but an error: {error_text(raw)}", retryable=True)
    if choices is None or not isinstance(choices, list):
        return Failure("bad_shape", f"no list of choices; fields: {', '.join(map(str, data))}", retryable=True)
    if not choices:
        return Failure("empty_choices", "the list of choices is empty", retryable=True)
    choices = sorted(choices[:n], key=_index)
    usage = data.get("usage")
    prompt_tokens, completion_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    made = []
    for choice, prompts, tokens in zip(
        choices, _divided(prompt_tokens, len(choices)), _divided(completion_tokens, len(choices)), strict=True
    ):
        completion = _completion(choice, prompts, tokens)
        if isinstance(completion, Failure):
            return completion
        made.append(completion)
    return Parsed(tuple(made), prompt_tokens + completion_tokens)


def _index(choice: Any) -> int:
    index = choice.get("index") if isinstance(choice, dict) else None
    return index if type(index) is int else 0


def _completion(choice: Any, prompt_tokens: int, completion_tokens: int) -> Completion | Failure:
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return Failure("bad_shape", "a choice without a message", retryable=True)
    finish = choice.get("finish_reason")
    finish = finish if isinstance(finish, str) else ""
    if finish in _INTERRUPTED:
        return Failure("interrupted", f"the server broke off: finish_reason {finish}", retryable=True)
    content, thought = _content(message.get("content"))
    if content is None:
        return Failure("bad_shape", f"content is a {type(message.get('content')).__name__}", retryable=True)
    for field in ("reasoning_content", "reasoning"):
        if isinstance(message.get(field), str) and message[field]:
            thought = message[field]
            break
    inner, text = split_reasoning(content)
    if not text and isinstance(message.get("refusal"), str):
        finish, text = "refusal", message["refusal"]
    return Completion(
        text=text,
        reasoning=thought or inner,
        finish_reason=_FINISH.get(finish, finish),
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        logprob=_logprob(choice.get("logprobs")),
    )


def _content(content: Any) -> tuple[str | None, str]:
    """Text and reasoning of a content: a text, nothing, or a list of parts."""
    if content is None:
        return "", ""
    if isinstance(content, str):
        return content, ""
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return None, ""
    text = "".join(_text(part.get("text")) for part in content if part.get("type") == "text")
    thought = "".join(_text(part.get("thinking")) for part in content if part.get("type") == "thinking")
    return text, thought


def _text(part: Any) -> str:
    """A part's text, which may itself be a list of text parts."""
    if isinstance(part, str):
        return part
    return "".join(_text(p.get("text")) for p in part if isinstance(p, dict)) if isinstance(part, list) else ""


def split_reasoning(content: str) -> tuple[str, str]:
    """Reasoning and final text of a content that may start with ``<think>``.

    Chat templates that open the tag in the prompt leave just ``</think>`` in the content: what stands before it is
    reasoning. An opened tag that nothing closes makes all of it reasoning; without tags all of it is final text.
    """
    opened = content.lstrip().startswith("<think>")
    before, closing, after = content.partition("</think>")
    if not closing and not opened:
        return "", content
    if not opened and "<think>" in before:  # tags quoted somewhere inside a final text
        return "", content
    return before.strip().removeprefix("<think>").strip(), after.lstrip()


def _count(usage: Any, field: str) -> int:
    value = usage.get(field) if isinstance(usage, Mapping) else None
    return value if type(value) is int and value > 0 else 0


def _divided(total: int, shares: int) -> list[int]:
    each, rest = divmod(total, shares)
    return [each + (i < rest) for i in range(shares)]


def _logprob(logprobs: Any) -> float | None:
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not tokens:
        return None
    values: list[Any] = [t.get("logprob") if isinstance(t, dict) else None for t in tokens]
    return float(sum(values)) if all(isinstance(v, (int, float)) for v in values) else None


def error_text(raw: bytes) -> str:
    """What an endpoint says about an error, as one short line."""
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        data = None
    said: Any = data
    for field in ("error", "message", "detail"):
        if isinstance(said, dict) and said.get(field):
            said = said[field]
    if said is None:
        said = raw.decode(errors="replace")
    return " ".join((said if isinstance(said, str) else orjson.dumps(said).decode()).split())
