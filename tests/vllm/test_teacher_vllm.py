"""The vLLM teacher on a real engine. Nothing here depends on what the checkpoint has learned."""

from __future__ import annotations

import asyncio
import gc
import json
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from dsgen.pipeline.core.candidate import Failure, ImagePart, Request
from dsgen.pipeline.core.errors import EngineLost, TeacherError
from dsgen.pipeline.teachers.protocol import Teacher
from dsgen.pipeline.teachers.vllm.teacher import VLLMTeacher

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.asyncio(loop_scope="session"),
    # vLLM leaves its ZeroMQ contexts to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

SCHEMA = {
    "type": "object",
    "properties": {"right": {"type": "boolean"}},
    "required": ["right"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module", autouse=True)
def leftovers() -> Iterator[None]:
    """Collect what vLLM leaves behind here, where its warnings are expected."""
    yield
    gc.collect()


async def failure(teacher: VLLMTeacher, request: Request) -> Failure:
    (reply,) = await teacher.complete([request])
    assert reply.completions == ()
    assert reply.failure is not None
    return reply.failure


def token(teacher: VLLMTeacher, text: str) -> int:
    assert teacher._up is not None
    (found,) = teacher._up.engine.get_tokenizer().encode(text, add_special_tokens=False)
    return int(found)


def core(teacher: VLLMTeacher) -> psutil.Process:
    assert teacher._up is not None
    (process,) = teacher._up.engine.engine_core.resources.engine_manager.processes
    return psutil.Process(process.pid)


async def test_it_is_a_teacher_and_travels_as_its_config(teacher: VLLMTeacher) -> None:
    assert isinstance(teacher, Teacher)
    copy = pickle.loads(pickle.dumps(teacher))
    assert (copy.config, copy.name, copy.slots) == (teacher.config, f"vllm:{teacher.model}", 16)


async def test_samples_differ_and_are_the_same_again(ask: Any, request_of: Callable[..., Request]) -> None:
    wild: dict[str, Any] = {"n": 4, "temperature": 2.0, "max_tokens": 40, "ignore_eos": True}
    first = await ask(request_of(**wild))
    assert len({c.reasoning + c.text for c in first}) == 4
    assert await ask(request_of(**wild)) == first
    assert await ask(request_of(**wild, seed=2)) != first


@pytest.mark.parametrize("temperature", [0.0, 1.0], ids=["greedy", "seeded"])
async def test_alone_as_in_a_batch(
    teacher: VLLMTeacher, request_of: Callable[..., Request], temperature: float
) -> None:
    """More rows than the engine has places, in one call and in many at the same time."""
    rows = [request_of(f"What is {i} plus {i * i}?", seed=i, temperature=temperature) for i in range(40)]
    together = await teacher.complete(rows)
    assert [r.request_id for r in together] == [r.id for r in rows]
    many = await asyncio.gather(*[teacher.complete([row]) for row in reversed(rows)])
    assert [r for (r,) in reversed(many)] == list(together)
    assert [(await teacher.complete([row]))[0] for row in rows[:3]] == list(together[:3])


async def test_length_and_exact_counts(teacher: VLLMTeacher, ask: Any, request_of: Callable[..., Request]) -> None:
    made = await ask(request_of(n=3, max_tokens=21, ignore_eos=True))
    assert [(c.finish_reason, c.completion_tokens) for c in made] == [("length", 21)] * 3
    assert teacher._up is not None
    turns = [{"role": "user", "content": request_of().messages[0].text}]
    ids = teacher._up.engine.get_tokenizer().apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert {c.prompt_tokens for c in made} == {len(ids)}


async def test_stop(teacher: VLLMTeacher, ask: Any, request_of: Callable[..., Request]) -> None:
    """The end token counts, as it was generated; a request of no more tokens than fit ends at the engine's length."""
    end = {str(token(teacher, "<|end|>")): 100}
    (made,) = await ask(request_of(logit_bias=end))
    assert (made.finish_reason, made.completion_tokens, made.text, made.reasoning) == ("stop", 1, "", "")
    (made,) = await ask(request_of(max_tokens=100_000, ignore_eos=True))
    assert made.finish_reason == "length"
    assert made.prompt_tokens + made.completion_tokens == 512


async def test_logprob_when_asked_for(ask: Any, request_of: Callable[..., Request]) -> None:
    (silent,) = await ask(request_of())
    (told,) = await ask(request_of(logprobs=True))
    assert silent.logprob is None
    assert told.logprob < 0
    assert told.text + told.reasoning == silent.text + silent.reasoning


@pytest.mark.parametrize(
    ("settings", "reason", "words"),
    [
        pytest.param({"text": "x " * 900}, "prompt_too_long", r"^\d{3,4} tokens; the engine takes 512", id="too long"),
        pytest.param({"images": (ImagePart(b"png"),)}, "no_vision", "takes text alone", id="image"),
        pytest.param({"topk": 4}, "bad_request", "topk", id="unknown field"),
        pytest.param({"top_k": -4}, "bad_request", "top_k must be", id="value out of range"),
        pytest.param({"top_k": "many"}, "bad_request", "", id="value of another kind"),
        pytest.param({"detokenize": False}, "bad_request", "cannot be set here", id="field of the teacher's own"),
        pytest.param({"temperature": 0.0, "n": 2}, "bad_request", "greedy", id="greedy twice"),
        pytest.param({"schema": {"type": "no such type"}}, "bad_request", "", id="schema"),
        pytest.param({"chat_template_kwargs": {"messages": 3}}, "bad_request", "", id="template"),
        pytest.param({"allowed_token_ids": [10**7]}, "bad_request", "vocab", id="token out of range"),
    ],
)
async def test_what_cannot_be_served_is_a_failure_of_its_own(
    teacher: VLLMTeacher, request_of: Callable[..., Request], settings: dict[str, Any], reason: str, words: str
) -> None:
    bad, good = request_of(**settings), request_of()
    beside, _ = await asyncio.gather(teacher.complete([good]), teacher.complete([bad]))
    assert beside[0].failure is None
    seen = await failure(teacher, bad)
    assert seen.reason == reason
    assert not seen.retryable
    assert re.search(words, seen.detail), seen.detail


async def test_judges_get_what_the_schema_says_beside_solutions(
    teacher: VLLMTeacher, request_of: Callable[..., Request]
) -> None:
    """Reasoning comes first and is cut by its budget; from there on only what fits the schema can be generated."""
    budget: dict[str, Any] = {"thinking_token_budget": 6, "max_tokens": 80}
    judges = [request_of("Right? <think>", schema=SCHEMA, purpose="judge", seed=i, **budget) for i in range(6)]
    rows = [request_of(seed=i) for i in range(30)]
    replies, _ = await asyncio.gather(teacher.complete(judges), teacher.complete(rows))
    for reply in replies:
        (made,) = reply.completions
        assert made.finish_reason == "stop"
        assert json.loads(made.text) in ({"right": True}, {"right": False})


async def test_judges_and_canaries_go_first(teacher: VLLMTeacher, request_of: Callable[..., Request]) -> None:
    order: list[str] = []

    async def run(request: Request) -> None:
        await teacher.complete([request])
        order.append(request.purpose)

    rows = [request_of(seed=i, max_tokens=32, ignore_eos=True) for i in range(64)]
    tasks = [asyncio.create_task(run(row)) for row in rows]
    while not order:  # the engine is full and others wait
        await asyncio.sleep(0.005)
    urgent = [request_of(seed=i, purpose=p, max_tokens=2) for i, p in enumerate(("judge", "canary"))]
    await asyncio.gather(*tasks, *[run(u) for u in urgent])
    assert max(order.index("judge"), order.index("canary")) < 48


async def test_reasoning_is_kept_apart(teacher: VLLMTeacher) -> None:
    assert teacher._up is not None
    split = teacher._up.splitter.split
    assert split("<think>\n3 + 4 = 7\n</think>\n\nSeven.", (), {}, ()) == ("3 + 4 = 7", "Seven.")
    assert split("3 + 4 = 7</think>Seven.", (), {}, ()) == ("3 + 4 = 7", "Seven.")
    assert split("3 + 4 =", (), {}, ()) == ("3 + 4 =", "")
    assert split("Seven.", (), {"enable_thinking": False}, ()) == ("", "Seven.")


async def test_thinking_budget(teacher: VLLMTeacher, ask: Any, request_of: Callable[..., Request]) -> None:
    """A model that never stops thinking by itself: it says the same token for ever."""
    always: dict[str, Any] = {"logit_bias": {str(token(teacher, "7")): 100}, "ignore_eos": True, "max_tokens": 30}
    (free,) = await ask(request_of("Count. <think>", **always))
    assert (free.reasoning, free.text, free.finish_reason) == ("7" * 30, "", "length")
    (made,) = await ask(request_of("Count. <think>", **always, thinking_token_budget=10))
    assert made.completion_tokens == len(made.reasoning) + 1 + len(made.text) == 30  # 1: the tag
    assert set(made.reasoning) == set(made.text) == {"7"}
    assert len(made.reasoning) <= 10


async def test_a_cancelled_call_frees_its_place(teacher: VLLMTeacher, request_of: Callable[..., Request]) -> None:
    assert teacher._up is not None
    task = asyncio.create_task(teacher.complete([request_of(n=8, max_tokens=400, ignore_eos=True)]))
    await asyncio.sleep(0.3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert teacher._up.engine.output_processor.get_num_unfinished_requests() == 0
    (reply,) = await teacher.complete([request_of()])
    assert reply.failure is None


async def test_report(teacher: VLLMTeacher, request_of: Callable[..., Request]) -> None:
    before: Any = await teacher.report()
    replies = await teacher.complete([request_of(f"{i} and " * 3, n=2, seed=i) for i in range(9)])
    after: Any = json.loads(json.dumps(await teacher.report()))
    samples = [c for r in replies for c in r.completions]
    generated = sum(c.completion_tokens for c in samples)
    assert after["generation_tokens"] - before["generation_tokens"] == generated
    assert after["prompt_tokens"] - before["prompt_tokens"] == sum(c.prompt_tokens for c in samples)
    assert after["preemptions"] == 0
    assert after["engine"]["kv_cache_tokens"] > 10_000
    assert (after["engine"]["max_num_seqs"], after["engine"]["device"]) == (16, "cpu")
    # Nothing was in the prefix cache, as no prompt fills a block; a sample's last token goes through no layer.
    tokens = sum(c.prompt_tokens for c in samples) + generated - len(samples)
    was, now = before["experts"], after["experts"]
    for earlier, later in zip(was["counts"], now["counts"], strict=True):
        assert sum(later) - sum(earlier) == tokens * now["top_k"]
    assert [b - a for a, b in zip(was["gated"], now["gated"], strict=True)] == [tokens] * len(now["layers"])
    shown = now["figures"]
    assert shown["assignments"] == shown["tokens"] * len(now["layers"]) * now["top_k"]
    assert 0 < shown["gate_entropy"] <= 1
    assert 0 < shown["utilisation"] <= 1


async def test_prefix_cache_hits(teacher: VLLMTeacher, request_of: Callable[..., Request]) -> None:
    long = request_of("Once upon a time there was a number, 123456789. " * 8)
    (first,) = await teacher.complete([long])
    before: Any = await teacher.report()
    (again,) = await teacher.complete([long])
    after: Any = await teacher.report()
    assert again == first
    assert after["prefix_cache"]["hits"] - before["prefix_cache"]["hits"] >= 128
    assert after["prefix_cache"]["queries"] - before["prefix_cache"]["queries"] == again.completions[0].prompt_tokens


async def test_a_killed_engine_loses_all_its_calls_and_starts_afresh(
    teacher: VLLMTeacher, request_of: Callable[..., Request]
) -> None:
    (before,) = await teacher.complete([request_of(n=2)])
    rows = [request_of(seed=i, max_tokens=400, ignore_eos=True) for i in range(24)]
    tasks = [asyncio.create_task(teacher.complete([row])) for row in rows]
    await asyncio.sleep(0.5)
    core(teacher).kill()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(o) for o in outcomes} == {EngineLost}
    with pytest.raises(EngineLost):
        await teacher.complete([request_of()])
    report: Any = await teacher.report()
    assert "counts" not in report.get("experts", {})
    await teacher.start()
    (after,) = await teacher.complete([request_of(n=2)])
    assert after == before


async def test_closing_gives_up_what_is_at_work(teacher: VLLMTeacher, request_of: Callable[..., Request]) -> None:
    """The session's engine ends here; a closed teacher says so, and may be closed again."""
    task = asyncio.create_task(teacher.complete([request_of(max_tokens=400, ignore_eos=True)]))
    await asyncio.sleep(0.3)
    process = core(teacher)
    await teacher.close()
    with pytest.raises(EngineLost):
        await task
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    with pytest.raises(EngineLost, match="not up"):
        await teacher.complete([request_of()])
    assert await teacher.report() == {}
    await teacher.close()


async def test_a_model_without_experts_or_parser(
    config: Callable[..., Any], request_of: Callable[..., Request], dense: Path
) -> None:
    """Tags are split off without a parser as well; a schema then holds from the first token."""
    teacher = VLLMTeacher(config(model=str(dense), reasoning_parser=None, engine_args={"load_format": "dummy"}))
    await teacher.start()
    try:
        thought = {"regex": "<think>7{4}</think>8{2}"}
        rows = [
            request_of(structured_outputs=thought, max_tokens=60),
            request_of(schema=SCHEMA, max_tokens=60, purpose="judge"),
        ]
        (first,), (second,) = [r.completions for r in await teacher.complete(rows)]
        assert (first.reasoning, first.text, first.finish_reason) == ("7777", "88", "stop")
        assert json.loads(second.text)["right"] in (True, False)
        report = await teacher.report()
        assert "experts" not in report
        assert report["generation_tokens"] == first.completion_tokens + second.completion_tokens
    finally:
        await teacher.close()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param({"model": "/no/such/folder"}, "no such folder", id="folder"),
        pytest.param({"model": "."}, "no config.json", id="another folder"),
        pytest.param({"engine_args": {"max_seqs": 4}}, "knows no max_seqs.*did you mean max_num_seqs", id="argument"),
        pytest.param({"engine_args": {"block_size": "many"}}, "block_size: Input should be", id="value"),
        pytest.param({"max_model_len": 10**6}, "max_model_len .1000000. is greater", id="length"),
        pytest.param({"reasoning_parser": "mind"}, "'mind' not found.*qwen3", id="parser"),
        pytest.param(
            {"reasoning_parser": "granite", "thinking_budget": 5}, "granite does not say which tokens", id="budget"
        ),
        pytest.param({"extra": {"topk": 5}}, "no sampling field topk .did you mean top_k", id="sampling"),
        pytest.param({"temperature": 0, "n": 2}, "greedy", id="greedy"),
    ],
)
async def test_what_cannot_start_says_why_in_one_message(
    config: Callable[..., Any], settings: dict[str, Any], words: str
) -> None:
    teacher = VLLMTeacher(config(**settings))
    with pytest.raises(TeacherError, match=f"(?s)^teacher vllm:.*{words}"):
        await teacher.start()


async def test_an_engine_that_fails_in_its_own_process_says_why(config: Callable[..., Any]) -> None:
    small = config(engine_args={"kv_cache_memory_bytes": 1000}, environment={"VLLM_CPU_KVCACHE_SPACE": ""})
    # Without a line break, up to the advice.
    with pytest.raises(TeacherError, match=r"^.*No available memory.*raise VLLM_CPU_KVCACHE_SPACE.*\Z"):
        await VLLMTeacher(small).start()
