"""What a reply's body says: reasoning apart from text, tokens, finish reasons."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsgen.pipeline.core.candidate import Completion, Failure
from dsgen.pipeline.teachers.chat import Parsed, error_text, parse, split_reasoning


def completion(message: dict[str, Any], **choice: Any) -> Completion:
    raw = json.dumps({"choices": [{"message": message, "finish_reason": "stop", **choice}]}).encode()
    parsed = parse(raw, 1)
    assert isinstance(parsed, Parsed)
    return parsed.completions[0]


@pytest.mark.parametrize(
    ("content", "reasoning", "text"),
    [
        pytest.param("just text", "", "just text", id="no tags"),
        pytest.param("<think>\nhm\n</think>\n\nSo 4.", "hm", "So 4.", id="both tags"),
        pytest.param("  <think>hm</think>4", "hm", "4", id="blanks before"),
        pytest.param("<think>hm and no end", "hm and no end", "", id="unclosed"),
        pytest.param("<think></think>4", "", "4", id="nothing thought"),
        pytest.param("hm\n</think>\n4", "hm", "4", id="opened by the chat template"),
        pytest.param(
            "The tag <think> is closed by </think>.", "", "The tag <think> is closed by </think>.", id="quoted"
        ),
        pytest.param("<think>a</think>b</think>c", "a", "b</think>c", id="first end counts"),
        pytest.param("", "", "", id="empty"),
    ],
)
def test_reasoning_is_kept_apart(content: str, reasoning: str, text: str) -> None:
    assert split_reasoning(content) == (reasoning, text)
    made = completion({"content": content})
    assert (made.reasoning, made.text) == (reasoning, text)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_fields(field: str) -> None:
    made = completion({"content": "4", field: "hm"})
    assert (made.reasoning, made.text) == ("hm", "4")


def test_reasoning_without_an_end_has_no_text() -> None:
    made = completion({"content": None, "reasoning_content": "hm"}, finish_reason="length")
    assert (made.reasoning, made.text, made.finish_reason) == ("hm", "", "length")


def test_content_in_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    made = completion({"content": [thinking, {"type": "text", "text": "So "}, {"type": "text", "text": "4."}]})
    assert (made.reasoning, made.text) == ("hm", "So 4.")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "content_filter"),
        ("tool_calls", "tool_calls"),
        (None, "stop"),
    ],
)
def test_finish_reasons(said: str | None, kept: str) -> None:
    assert completion({"content": "x"}, finish_reason=said).finish_reason == kept


def test_a_filtered_sample_is_a_completion_without_text() -> None:
    made = completion({"content": None}, finish_reason="content_filter")
    assert (made.text, made.finish_reason) == ("", "content_filter")


@pytest.mark.parametrize("reason", ["abort", "error", "insufficient_system_resource"])
def test_what_the_server_broke_off_is_no_sample(reason: str) -> None:
    failure = parse(json.dumps({"choices": [{"message": {"content": "x"}, "finish_reason": reason}]}).encode(), 1)
    assert isinstance(failure, Failure)
    assert (failure.reason, failure.retryable) == ("interrupted", True)


def test_a_refusal_says_so() -> None:
    made = completion({"content": None, "refusal": "I will not."})
    assert (made.text, made.finish_reason) == ("I will not.", "refusal")


@pytest.mark.parametrize(
    ("usage", "prompts", "tokens"),
    [
        pytest.param({"prompt_tokens": 10, "completion_tokens": 7}, [4, 3, 3], [3, 2, 2], id="divided exactly"),
        pytest.param(None, [0, 0, 0], [0, 0, 0], id="not reported"),
        pytest.param({"prompt_tokens": None, "completion_tokens": "7"}, [0, 0, 0], [0, 0, 0], id="nonsense"),
    ],
)
def test_tokens_are_divided_over_the_samples(usage: Any, prompts: list[int], tokens: list[int]) -> None:
    choices = [{"index": i, "message": {"content": str(i)}} for i in (2, 0, 1)]
    parsed = parse(json.dumps({"choices": choices, "usage": usage}).encode(), 3)
    assert isinstance(parsed, Parsed)
    assert [c.text for c in parsed.completions] == ["0", "1", "2"]
    assert [c.prompt_tokens for c in parsed.completions] == prompts
    assert [c.completion_tokens for c in parsed.completions] == tokens
    assert parsed.tokens == sum(prompts) + sum(tokens)


def test_log_probabilities_are_summed() -> None:
    assert completion({"content": "x"}).logprob is None
    logprobs = {"content": [{"token": "a", "logprob": -0.5}, {"token": "b", "logprob": -0.25}]}
    assert completion({"content": "x"}, logprobs=logprobs).logprob == -0.75
    assert completion({"content": "x"}, logprobs={"content": [{"logprob": None}]}).logprob is None


def test_more_samples_than_asked_for_are_left() -> None:
    parsed = parse(json.dumps({"choices": [{"message": {"content": str(i)}} for i in range(3)]}).encode(), 2)
    assert isinstance(parsed, Parsed)
    assert [c.text for c in parsed.completions] == ["0", "1"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"3", b'{"choices": null}', b'{"choices": {"a": 1}}', b'{"choices": [3]}', b'{"choices": [{}]}',
     b'{"choices": [{"message": {"content": 3}}]}', b'{"choices": [{"message": {"content": ["x"]}}]}', b"\xff\xfe"],
)  # fmt: skip
def test_any_other_body_is_a_retryable_failure(raw: bytes) -> None:
    failure = parse(raw, 1)
    assert isinstance(failure, Failure)
    assert failure.retryable


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b'{"error": {"message": "too\\n long", "code": 3}}', "too long"),
        (b'{"error": "busy"}', "busy"),
        (b'{"object": "error", "message": "no model"}', "no model"),
        (b'{"detail": [{"loc": ["n"]}]}', '[{"loc":["n"]}]'),
        (b"<h1>\n Bad gateway</h1>", "<h1> Bad gateway</h1>"),
        (b"\xff", "\ufffd"),
    ],
)
def test_error_texts(raw: bytes, said: str) -> None:
    assert error_text(raw) == said
