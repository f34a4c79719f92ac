"""The endpoint teacher against a real server that misbehaves."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import pickle
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dsgen.pipeline.core.candidate import Failure, ImagePart, Message, Reply, Request, Sampling
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.teachers.config import OpenAIConfig, build
from dsgen.pipeline.teachers.openai import OpenAITeacher
from dsgen.pipeline.teachers.protocol import Teacher

KEY = "sk-very-secret-0123456789"


def request(name: str = "unit-1", n: int = 1, **fields: Any) -> Request:
    return Request(name, (Message("system", "Be brief."), Message("user", "1 + 1?")), n=n, **{"seed": 7, **fields})


@contextlib.asynccontextmanager
async def teacher(url: str, **fields: Any) -> AsyncIterator[OpenAITeacher]:
    made = build(OpenAIConfig(base_url=url, model="served-model", **{"backoff_s": 0.01, "timeout_s": 5.0, **fields}))
    assert isinstance(made, OpenAITeacher)
    assert isinstance(made, Teacher)
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def ask(url: str, asked: Request | None = None, **fields: Any) -> Reply:
    async with teacher(url, **fields) as made:
        (reply,) = await made.complete([asked or request()])
    return reply


async def test_a_call_carries_prompt_sampling_and_seed(endpoint: Any) -> None:
    sampling = Sampling(0.5, 0.9, 100, (("top_k", 20), ("top_p", None)))
    reply = await ask(endpoint.url, request(sampling=sampling, seed=(5 << 31) + 3))
    assert [c.text for c in reply.completions] == ["sample 0"]
    assert reply.request_id == "unit-1"
    assert reply.failure is None
    (call,) = endpoint.calls
    assert call.path == "/v1/chat/completions"
    assert "authorization" not in call.headers
    assert call.body == {
        "model": "served-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}],
        "seed": 3,
        "temperature": 0.5,
        "max_tokens": 100,
        "top_k": 20,
        "stream": False,
    }


async def test_images_and_schema_travel(endpoint: Any) -> None:
    schema = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "additionalProperties": False}
    seen = Message("user", "What is it?", (ImagePart(b"\x89PNG"),))
    await ask(endpoint.url, Request("r", (seen,), schema=schema), max_tokens_field="max_completion_tokens")
    body = endpoint.calls[0].body
    image, text = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "What is it?"}
    assert image["image_url"]["url"] == "data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()
    assert body["response_format"]["json_schema"] == {"name": "reply", "schema": schema, "strict": True}
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 4096


async def test_a_large_body_travels_whole(endpoint: Any) -> None:
    image = bytes(range(256)) * 6000
    await ask(endpoint.url, Request("r", (Message("user", "What is it?", (ImagePart(image),)),)))
    url = endpoint.calls[0].body["messages"][0]["content"][0]["image_url"]["url"]
    assert base64.b64decode(url.partition(",")[2]) == image


async def test_n_samples_in_one_call(endpoint: Any) -> None:
    reply = await ask(endpoint.url, request(n=3))
    assert [c.text for c in reply.completions] == ["sample 0", "sample 1", "sample 2"]
    assert [call.body["n"] for call in endpoint.calls] == [3]


@pytest.mark.parametrize("refusal", [200, 400, 422])
async def test_an_endpoint_without_n_is_called_n_times_and_remembered(endpoint: Any, refusal: int) -> None:
    def one_only(call: Any) -> Any:
        if "n" in call.body and refusal != 200:
            return endpoint.Answer(refusal, {"error": {"message": "n must be 1"}})
        return endpoint.said(f"seed {call.body['seed']}")

    endpoint.answer = one_only
    async with teacher(endpoint.url) as made:
        (first,) = await made.complete([request(n=3)])
        spent = len(endpoint.calls)
        (again,) = await made.complete([request(n=3)])
    assert spent == (3 if refusal == 200 else 4)
    assert len(endpoint.calls) == spent + 3  # no second try with n
    assert first == again
    texts = [c.text for c in first.completions]
    assert texts[0] == "seed 7"
    assert len(set(texts)) == 3  # every sample has a seed of its own


async def test_a_bad_request_does_not_count_as_a_refusal_of_n(endpoint: Any) -> None:
    async with teacher(endpoint.url) as made:
        endpoint.script.extend([endpoint.Answer(400, {"error": {"message": "prompt too long"}})] * 2)
        (bad,) = await made.complete([request(n=4)])
        (good,) = await made.complete([request(n=4)])
    assert bad.failure == Failure("http_400", "prompt too long")
    assert len(good.completions) == 4
    assert len(endpoint.calls) == 3


async def test_replies_keep_the_order_of_requests(endpoint: Any) -> None:
    endpoint.answer = lambda call: endpoint.said(str(call.body["seed"]))._replace(delay=0.03 - call.body["seed"] / 200)
    async with teacher(endpoint.url) as made:
        replies = await made.complete([request(f"unit-{i}", seed=i) for i in range(5)])
    assert [(r.request_id, r.completions[0].text) for r in replies] == [(f"unit-{i}", str(i)) for i in range(5)]


@pytest.mark.parametrize(
    ("answers", "reason", "detail"),
    [
        pytest.param([(500, {"error": "boom"})], "http_500", "boom", id="http 500"),
        pytest.param([(503, b"<html>busy</html>")], "http_503", "busy", id="http 503"),
        pytest.param([(200, b'{"choices": [{"mess')], "truncated_json", "no JSON", id="half a body"),
        pytest.param([(200, {"choices": []})], "empty_choices", "empty", id="no choices"),
        pytest.param([(200, {"error": {"message": "overloaded"}})], "bad_shape", "overloaded", id="an error as 200"),
        pytest.param([(200, {"choices": [{"text": "x"}]})], "bad_shape", "message", id="no message"),
        pytest.param([(200, [])], "bad_shape", "list", id="a list"),
        pytest.param([(429, {"error": {"message": "slow down"}})], "rate_limited", "slow down", id="http 429"),
    ],
)
async def test_what_may_pass_is_tried_again(endpoint: Any, answers: list[Any], reason: str, detail: str) -> None:
    async with teacher(endpoint.url, attempts=3) as made:
        endpoint.script.extend([endpoint.Answer(*a) for a in answers * 2])
        (healed,) = await made.complete([request("healed")])
        assert made.setbacks == {reason: 2}
        endpoint.script.extend([endpoint.Answer(*a) for a in answers * 3])
        (lost,) = await made.complete([request("lost", n=2)])
    assert healed.completions[0].text == "sample 0"
    assert lost.completions == ()
    assert lost.failure is not None
    assert (lost.failure.reason, lost.failure.retryable) == (reason, True)
    assert detail in lost.failure.detail
    assert "out of attempts after call 3" in lost.failure.detail
    assert len(endpoint.calls) == 6


async def test_a_connection_lost_in_the_middle_is_tried_again(endpoint: Any) -> None:
    endpoint.script.append(endpoint.said("lost")._replace(cut=True))
    async with teacher(endpoint.url) as made:
        (reply,) = await made.complete([request()])
    assert reply.completions[0].text == "sample 0"
    assert made.setbacks == {"connection": 1}


async def test_an_endpoint_that_dies_gives_failures(endpoint: Any) -> None:
    async with teacher(endpoint.url, attempts=2) as made:
        await endpoint.close()
        (reply,) = await made.complete([request()])
    assert reply.failure is not None
    assert (reply.failure.reason, reply.failure.retryable) == ("connection", True)


async def test_a_slow_reply_times_out(endpoint: Any) -> None:
    endpoint.script.append(endpoint.said("late")._replace(delay=1.0))
    reply = await ask(endpoint.url, timeout_s=0.1, attempts=1)
    assert reply.failure is not None
    assert (reply.failure.reason, reply.failure.retryable) == ("timeout", True)


async def test_waiting_for_a_slot_is_not_the_models_time(endpoint: Any) -> None:
    endpoint.answer = lambda _: endpoint.said("ok")._replace(delay=0.15)
    async with teacher(endpoint.url, slots=1, timeout_s=0.6, deadline_s=0.6, attempts=1) as made:
        replies = await made.complete([request(f"unit-{i}") for i in range(6)])  # 0.9 s, one after another
    assert [r.failure for r in replies] == [None] * 6


async def test_the_deadline_ends_retries(endpoint: Any) -> None:
    endpoint.answer = lambda _: endpoint.Answer(500)._replace(delay=0.05)
    reply = await ask(endpoint.url, attempts=1000, deadline_s=0.2)
    assert reply.failure is not None
    assert "out of time" in reply.failure.detail
    assert len(endpoint.calls) <= 5


async def test_no_more_calls_than_slots(endpoint: Any) -> None:
    endpoint.answer = lambda call: endpoint.said(*["x"] * call.body.get("n", 1))._replace(delay=0.02)
    async with teacher(endpoint.url, slots=3) as made:
        await made.complete([request(f"unit-{i}", n=1 + i % 2) for i in range(12)])
    assert endpoint.most == 3


async def test_retry_after_holds_every_call_back(endpoint: Any) -> None:
    endpoint.script.append(endpoint.Answer(429, b"{}", {"Retry-After": "0.3"}))
    async with teacher(endpoint.url, slots=4) as made:
        first = asyncio.create_task(made.complete([request("first")]))
        while not made.setbacks:
            await asyncio.sleep(0.005)
        others = await made.complete([request(f"other-{i}") for i in range(3)])
        replies = [*await first, *others]
    assert all(r.failure is None for r in replies)
    assert len(endpoint.calls) == 5
    assert min(call.at for call in endpoint.calls[1:]) - endpoint.calls[0].at >= 0.29


async def test_a_pause_beyond_the_deadline_fails_at_once(endpoint: Any) -> None:
    endpoint.script.append(endpoint.Answer(429, b"{}", {"Retry-After": "86400"}))
    async with teacher(endpoint.url) as made:
        replies = [*await made.complete([request("a")]), *await made.complete([request("b")])]
    assert replies[0].failure is not None
    assert replies[0].failure.reason == "rate_limited"
    assert replies[1].failure is None


async def test_a_used_up_quota_holds_the_next_call_back(endpoint: Any) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "250ms"}
    endpoint.script.append(endpoint.said("last")._replace(headers=headers))
    async with teacher(endpoint.url) as made:
        await made.complete([request("a")])
        await made.complete([request("b")])
    assert endpoint.calls[1].at - endpoint.calls[0].at >= 0.24


async def test_rate_limits_lower_the_concurrency(endpoint: Any) -> None:
    endpoint.script.extend([endpoint.Answer(429, b"{}", {"Retry-After": "0.05"}, 0.15)] * 8)
    endpoint.answer = lambda _: endpoint.said("ok")._replace(delay=0.05)
    async with teacher(endpoint.url, slots=8) as made:
        work = asyncio.create_task(made.complete([request(f"unit-{i}") for i in range(16)]))
        while len(endpoint.calls) < 8:
            await asyncio.sleep(0.005)
        assert endpoint.most == 8
        while endpoint.running:
            await asyncio.sleep(0.005)
        endpoint.most = 0
        assert all(r.failure is None for r in await work)
    assert 1 < endpoint.most < 8  # halved once for all eight, then growing slowly


@pytest.mark.parametrize("status", [401, 402, 403, 404, 405, 307])
async def test_what_no_request_survives_is_one_error(endpoint: Any, status: int) -> None:
    async with teacher(endpoint.url) as made:
        endpoint.answer = lambda _: endpoint.Answer(status, {"error": {"message": "no"}}, {"Location": "http://x/"})
        with pytest.raises(TeacherError) as caught:
            await made.complete([request("a"), request("b")])
    assert f"{endpoint.url}/chat/completions answers {status} (no); " in str(caught.value)
    if status == 404:
        assert "it lists served-model" in str(caught.value)


async def test_an_empty_account_is_no_rate_limit(endpoint: Any) -> None:
    async with teacher(endpoint.url) as made:
        endpoint.script.append(endpoint.Answer(429, {"error": {"code": "insufficient_quota"}}))
        with pytest.raises(TeacherError, match="top it up"):
            await made.complete([request()])


async def test_an_unreachable_endpoint_is_told_at_the_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
        with pytest.raises(TeacherError, match=rf"openai:served-model: {url} cannot be reached"):
            await ask(url)


@pytest.mark.parametrize("status", [404, 405, 429])
async def test_an_endpoint_without_a_list_of_models_is_fine(endpoint: Any, status: int) -> None:
    endpoint.models = endpoint.Answer(status)
    assert (await ask(endpoint.url)).failure is None


@pytest.mark.parametrize(("status", "words"), [(401, "set api_key_env"), (503, "wait until the server is ready")])
async def test_an_endpoint_that_serves_nobody_is_told_at_the_start(endpoint: Any, status: int, words: str) -> None:
    endpoint.models = endpoint.Answer(status, b"no")
    with pytest.raises(TeacherError, match=words):
        await ask(endpoint.url)
    assert endpoint.calls == []


async def test_the_key_is_sent_and_never_shown(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("SOME_KEY", KEY)
    echo = {"error": {"message": f"wrong key {KEY}"}}
    async with teacher(endpoint.url, api_key_env="SOME_KEY", attempts=1) as made:
        shown = [repr(made), repr(vars(made)), repr(pickle.dumps(made)), repr(pickle.dumps(made.config))]
        copy = pickle.loads(pickle.dumps(made))
        for status in (500, 400):
            endpoint.script.append(endpoint.Answer(status, echo))
            shown.append(repr(await made.complete([request()])))
        endpoint.script.append(endpoint.Answer(200, KEY.encode()))
        shown.append(repr(await made.complete([request()])))
        endpoint.script.append(endpoint.Answer(401, echo))
        with pytest.raises(TeacherError, match="variable SOME_KEY") as caught:
            await made.complete([request()])
    frames = [frame.frame.f_locals for frame in caught.traceback if "teachers" in frame.path.parts]
    assert len(frames) > 3
    shown += [repr(caught.value), repr(caught.value.__cause__), repr(frames), caplog.text]
    assert endpoint.calls[0].headers["authorization"] == f"Bearer {KEY}"
    assert copy.config == made.config
    for text in shown:
        assert KEY not in text


@pytest.mark.parametrize("value", [None, "", "two\nlines", "schlüssel"])
async def test_an_unusable_key_is_told(endpoint: Any, monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.delenv("SOME_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("SOME_KEY", value)
    with pytest.raises(TeacherError, match="SOME_KEY") as caught:
        await ask(endpoint.url, api_key_env="SOME_KEY")
    assert endpoint.calls == []
    assert not value or value not in str(caught.value)


async def test_a_text_that_cannot_be_sent_is_that_rows_failure(endpoint: Any) -> None:
    reply = await ask(endpoint.url, Request("r", (Message("user", "\ud800"),)))
    assert reply.failure is not None
    assert (reply.failure.reason, reply.failure.retryable) == ("cannot_encode", False)


async def test_cancelled_calls_free_their_slots(endpoint: Any) -> None:
    endpoint.answer = lambda _: endpoint.said("ok")._replace(delay=0.2)
    async with teacher(endpoint.url, slots=2) as made:
        work = asyncio.create_task(made.complete([request(f"unit-{i}") for i in range(5)]))
        while endpoint.running < 2:
            await asyncio.sleep(0.005)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        endpoint.answer = lambda _: endpoint.said("ok")
        replies = await made.complete([request(f"late-{i}") for i in range(4)])
    assert all(r.failure is None for r in replies)
