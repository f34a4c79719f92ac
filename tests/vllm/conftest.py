"""One real vLLM engine for all tests of this folder, with the tiny checkpoint of the repository."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from dsgen.pipeline.core.candidate import Completion, ImagePart, Message, Request, Sampling
from dsgen.pipeline.teachers.config import VLLMConfig
from dsgen.pipeline.teachers.vllm.teacher import VLLMTeacher

CHECKPOINT = Path(__file__).parents[2] / "pipeline" / "teachers" / "tiny" / "checkpoint"

if importlib.util.find_spec("vllm") is None:
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def environment() -> Iterator[None]:
    """Other tests of the session must not see the variables that teachers set."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def config() -> Callable[..., VLLMConfig]:
    def make(**settings: Any) -> VLLMConfig:
        usual = {"model": str(CHECKPOINT), "max_model_len": 512, "max_num_seqs": 16, "reasoning_parser": "qwen3"}
        return VLLMConfig(**(usual | settings))

    return make


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of a model without experts; its weights are to be made up."""
    folder = tmp_path_factory.mktemp("dense")
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(CHECKPOINT / name, folder / name)
    config = json.loads((CHECKPOINT / "config.json").read_text())
    config |= {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"}
    kept = {key: value for key, value in config.items() if "expert" not in key and "moe" not in key}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def teacher(config: Callable[..., VLLMConfig]) -> AsyncIterator[VLLMTeacher]:
    made = VLLMTeacher(config())
    await made.start()
    yield made
    await made.close()


@pytest.fixture(scope="session")
def request_of() -> Callable[..., Request]:
    def make(
        text: str = "Ann has 3 apples and buys 4 more. How many has she now?",
        *,
        n: int = 1,
        seed: int = 1,
        images: tuple[ImagePart, ...] = (),
        schema: dict[str, Any] | None = None,
        purpose: Any = "solve",
        temperature: float = 1.0,
        max_tokens: int = 16,
        **extra: Any,
    ) -> Request:
        sampling = Sampling(temperature, 1.0, max_tokens, tuple(extra.items()))
        turns = (Message("user", text, images),)
        return Request(f"row-{seed}", turns, sampling, n, seed, schema=schema, purpose=purpose)

    return make


@pytest.fixture(scope="session")
def ask(teacher: VLLMTeacher) -> Callable[..., Any]:
    """The completions of a request, which must not fail."""

    async def of(request: Request) -> tuple[Completion, ...]:
        (reply,) = await teacher.complete([request])
        assert reply.request_id == request.id
        assert reply.failure is None, reply.failure
        return reply.completions

    return of
