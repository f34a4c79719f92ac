"""Tokens per second through dsgen's vLLM teacher against bare AsyncLLM, on one engine and the same requests.

    python benchmarks/vllm_engine.py --model FOLDER [--requests 1024] [--seqs 64] [--pairs 5]

Replies have long-tailed lengths, drawn log-normally and forced (``max_tokens`` with ``ignore_eos``), with the same
seeds on both sides, so both generate the same tokens; this is checked. The bare side is the loop that one would write
by hand: render, submit everything, await. The teacher gets 1.15 times as many rows at a time as the engine has places,
which is what a run keeps in flight. Sides take turns, the first of a pair changing with every pair, and the prefix
cache is emptied before each. Experts are not counted here: counting costs the engine, not the way there.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import random
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from dsgen.pipeline.core.candidate import Message, Request, Sampling
from dsgen.pipeline.teachers.config import VLLMConfig
from dsgen.pipeline.teachers.vllm.teacher import VLLMTeacher

IN_FLIGHT = 1.15


def requests(count: int, median: int, sigma: float, longest: int) -> list[Request]:
    draw = random.Random(7)
    made = []
    for i in range(count):
        length = min(longest, max(1, round(median * math.exp(draw.gauss(0, sigma)))))
        a, b = draw.randrange(10, 1000), draw.randrange(10, 1000)
        text = f"Ann has {a} apples and buys {b} more. How many apples has she now? Say how you found out."
        sampling = Sampling(1.0, 1.0, length, (("ignore_eos", True),))
        made.append(Request(f"r{i}", (Message("user", text),), sampling, 1, i))
    return made


async def through_teacher(teacher: VLLMTeacher, asked: list[Request]) -> int:
    rows: Iterator[Request] = iter(asked)
    tokens = 0

    async def work() -> None:
        nonlocal tokens
        for request in rows:
            (reply,) = await teacher.complete([request])
            assert reply.failure is None, reply.failure
            tokens += sum(c.completion_tokens for c in reply.completions)

    await asyncio.gather(*[work() for _ in range(math.ceil(teacher.slots * IN_FLIGHT))])
    return tokens


async def bare(engine: Any, asked: list[Request]) -> int:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    tokenizer = engine.get_tokenizer()

    async def one(request: Request) -> int:
        turns = [{"role": m.role, "content": m.text} for m in request.messages]
        prompt = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
        params = SamplingParams(
            temperature=request.sampling.temperature,
            seed=request.seed,
            max_tokens=request.sampling.max_tokens,
            ignore_eos=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        last: Any = None
        async for last in engine.generate({"prompt_token_ids": prompt}, params, request.id):  # noqa: B007
            pass
        return len(last.outputs[0].token_ids)

    return sum(await asyncio.gather(*[one(r) for r in asked]))


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder with a model")
    parser.add_argument("--requests", type=int, default=1024)
    parser.add_argument("--seqs", type=int, default=64, help="places in the engine's batch")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--median", type=int, default=48, help="tokens of the middle reply")
    parser.add_argument("--sigma", type=float, default=0.9, help="of the logarithm of lengths")
    parser.add_argument("--longest", type=int, default=700, help="tokens at most")
    options = parser.parse_args()
    config = VLLMConfig(model=options.model, max_model_len=1024, max_num_seqs=options.seqs, expert_load="off")
    asked = requests(options.requests, options.median, options.sigma, options.longest)
    teacher = VLLMTeacher(config)
    await teacher.start()
    assert teacher._up is not None
    engine = teacher._up.engine
    sides: dict[str, Callable[[], Awaitable[int]]] = {
        "bare": lambda: bare(engine, asked),
        "teacher": lambda: through_teacher(teacher, asked),
    }
    speeds: dict[str, list[float]] = {"bare": [], "teacher": []}
    generated = set()
    for side in sides.values():  # the first pass of each pays for caches that later ones find filled
        await side()
    for pair in range(options.pairs):
        for name in sorted(sides, reverse=bool(pair % 2)):
            await engine.reset_prefix_cache()
            began = time.perf_counter()
            tokens = await sides[name]()
            speeds[name].append(tokens / (time.perf_counter() - began))
            generated.add(tokens)
    await teacher.close()
    assert len(generated) == 1, f"the sides generated {generated} tokens"
    ratios = [t / b for t, b in zip(speeds["teacher"], speeds["bare"], strict=True)]
    print(
        json.dumps(
            {
                "requests": len(asked),
                "tokens": generated.pop(),
                "bare_tokens_per_s": [round(s) for s in speeds["bare"]],
                "teacher_tokens_per_s": [round(s) for s in speeds["teacher"]],
                "ratios": [round(r, 3) for r in ratios],
                "median_ratio": round(statistics.median(ratios), 3),
            }
        )
    )


if __name__ == "__main__":
    asyncio.run(main())
