"""Tokens per second through dsgen's vLLM teacher and its engine against bare AsyncLLM, on the same requests.

    python benchmarks/vllm_engine.py --model FOLDER [--requests 1024] [--seqs 64] [--pairs 5] [--ray-data]

Replies have long-tailed lengths, drawn log-normally and forced (``max_tokens`` with ``ignore_eos``), with the same
seeds on both sides, so both generate the same tokens; this is checked. The bare side is the loop that one would write
by hand: render, submit everything, await. The teacher gets 1.15 times as many rows at a time as the engine has places,
which is what a run keeps in flight. Sides take turns, the first of a pair changing with every pair, and the prefix
cache is emptied before each. Experts are not counted here: counting costs the engine, not the way there.

``teacher`` is the class alone, on the very engine of the bare side. ``run`` is the way of a run's row: pool, cache and
a journal that is synced to disk, with a second engine in a process of its own as a run hosts it (the one that is not
measured sleeps). With ``--ray-data`` the same requests go through ``ray.data.llm`` afterwards, in a process of its own;
its speed is taken from the first to the last row that its engine gave, its start-up left out.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from dsgen.pipeline.core.candidate import Message, Request, Sampling
from dsgen.pipeline.engine.cache import ReplyCache
from dsgen.pipeline.engine.host import ProcessEngine
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.pool import Pool
from dsgen.pipeline.engine.store import open_store
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


async def through_a_run(pool: Pool, asked: list[Request]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        cache = ReplyCache(Journal(open_store(folder)))
        replies = await asyncio.gather(
            *[cache.reply(r, pool.model, "", lambda r=r: pool.ask(r), exact=True) for r in asked]
        )
        await cache.close()
    assert all(r.failure is None for r in replies)
    return sum(c.completion_tokens for r in replies for c in r.completions)


RAY_DATA = """
import json, os, sys, time
import ray
from ray.data.llm import build_processor, vLLMEngineProcessorConfig
model, rows, batch, at_once, seqs = sys.argv[1], json.load(open(sys.argv[2])), *map(int, sys.argv[3:6])
ray.init(address="local", include_dashboard=False, num_cpus=4, log_to_driver=False)
config = vLLMEngineProcessorConfig(
    model_source=model,
    engine_kwargs=dict(max_model_len=1024, max_num_seqs=seqs, enforce_eager=True, enable_chunked_prefill=False),
    batch_size=batch,
    max_concurrent_batches=at_once,
    concurrency=1,
    placement_group_config=dict(bundles=[dict(CPU=1, GPU=0)]),  # it asks for a GPU otherwise
)
def before(row):
    return dict(
        messages=[dict(role="user", content=row["text"])],
        sampling_params=dict(temperature=1.0, max_tokens=row["tokens"], ignore_eos=True, seed=row["seed"]),
    )
def after(row):
    return dict(tokens=row["num_generated_tokens"], at=time.time())
began = time.time()
made = build_processor(config, preprocess=before, postprocess=after)(ray.data.from_items(rows)).take_all()
ended = time.time()
print("RAY_DATA " + json.dumps(dict(tokens=sum(r["tokens"] for r in made), first=min(r["at"] for r in made),
                                    last=max(r["at"] for r in made), began=began, ended=ended)))
"""


def through_ray_data(model: str, asked: list[Request], batch: int, at_once: int, seqs: int) -> dict[str, float]:
    rows = [{"text": r.messages[0].text, "tokens": r.sampling.max_tokens, "seed": r.seed} for r in asked]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(rows, file)
        file.flush()
        command = [sys.executable, "-P", "-c", RAY_DATA, os.path.abspath(model), file.name]  # noqa: PTH100
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "HF_HUB_OFFLINE": "1"}
        cpu = {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
        numbers = map(str, (batch, at_once, seqs))
        done = subprocess.run(
            [*command, *numbers], capture_output=True, text=True, env={**os.environ, **quiet, **cpu}, check=False
        )
    line = next((x for x in done.stdout.splitlines() if x.startswith("RAY_DATA ")), None)
    if line is None:
        sys.exit(f"ray.data.llm failed:\n{done.stderr[-3000:]}")
    said: dict[str, float] = json.loads(line.removeprefix("RAY_DATA "))
    # A batch leaves as a whole, so that the work before the first one is not seen: the rest is counted per token.
    return {
        "batch": batch,
        "batches_at_once": at_once,
        "tokens": said["tokens"],
        "tokens_per_s_from_first_batch": round(said["tokens"] / (said["last"] - said["first"])),
        "tokens_per_s_with_start": round(said["tokens"] / (said["ended"] - said["began"])),
        "seconds": round(said["ended"] - said["began"], 1),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="a folder with a model")
    parser.add_argument("--requests", type=int, default=1024)
    parser.add_argument("--seqs", type=int, default=64, help="places in the engine's batch")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--median", type=int, default=48, help="tokens of the middle reply")
    parser.add_argument("--sigma", type=float, default=0.9, help="of the logarithm of lengths")
    parser.add_argument("--longest", type=int, default=700, help="tokens at most")
    parser.add_argument("--ray-data", action="store_true", help="ray.data.llm as well")
    options = parser.parse_args()
    config = VLLMConfig(model=options.model, max_model_len=1024, max_num_seqs=options.seqs, expert_load="off")
    asked = requests(options.requests, options.median, options.sigma, options.longest)
    teacher = VLLMTeacher(config)
    await teacher.start()
    assert teacher._up is not None
    engine = teacher._up.engine
    hosted = Pool([ProcessEngine(config)])
    began = time.perf_counter()
    await hosted.start()
    start_s = time.perf_counter() - began
    hosted.last_rows()
    sides: dict[str, Callable[[], Awaitable[int]]] = {
        "bare": lambda: bare(engine, asked),
        "teacher": lambda: through_teacher(teacher, asked),
        "run": lambda: through_a_run(hosted, asked),
    }
    speeds: dict[str, list[float]] = {name: [] for name in sides}
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
    await hosted.close()
    assert len(generated) == 1, f"the sides generated {generated} tokens"
    print(f"{len(asked)} requests, {generated.pop():,} tokens; a hosted engine starts in {start_s:.1f} s")
    for name, measured in speeds.items():
        ratios = [m / b for m, b in zip(measured, speeds["bare"], strict=True)]
        told = ", ".join(f"{m:,.0f}" for m in measured)
        print(f"{name:8} {told} tokens/s; median of the pairs' ratios to bare {statistics.median(ratios):.3f}")
    if options.ray_data:
        for batch, at_once in ((64, 8), (256, 2)):
            print("ray.data.llm", json.dumps(through_ray_data(options.model, asked, batch, at_once, options.seqs)))


if __name__ == "__main__":
    asyncio.run(main())
