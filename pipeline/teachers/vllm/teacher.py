"""A vLLM engine in this process's care: requests of rows in, samples out, batched continuously by the engine."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Mapping, Sequence
from typing import Any

from dsgen.pipeline.core.candidate import Completion, Failure, Reply, Request
from dsgen.pipeline.core.errors import EngineLost
from dsgen.pipeline.teachers import chat
from dsgen.pipeline.teachers.config import VLLMConfig
from dsgen.pipeline.teachers.vllm import identity
from dsgen.pipeline.teachers.vllm.experts import figures
from dsgen.pipeline.teachers.vllm.faults import ErrorFile
from dsgen.pipeline.teachers.vllm.launch import Launched, launch
from dsgen.pipeline.teachers.vllm.load import Hooks, Routed, Source
from dsgen.pipeline.teachers.vllm.reasoning import Splitter
from dsgen.pipeline.teachers.vllm.sampling import Prepared, Refused, prepare

_FIRST, _LATER = -1, 0
"""vLLM's priorities; lower goes first."""
_OF_THE_REQUEST = (ValueError, TypeError, LookupError, OSError)
"""What templates, image readers, parsers and the engine's checks raise about one request, besides vLLM's own errors."""
_REPORT_S = 60.0
"""Time for workers to tell what they counted; one that dies in between never does."""
_PATIENCE_S = 1.0
"""Time for an engine's core to end by itself; nothing in it is worth more."""
_BROKEN_OFF = frozenset({"abort", "error"})
"""Finish reasons of samples that the engine broke off: they are no samples of the model."""


class VLLMTeacher:
    """A model in a vLLM engine of our own.

    Everything that the engine holds is batched together, so many calls at a time are what it is for; the engine itself
    puts off what it has no room for. Judges and canaries go before solutions.

    A request has as many completions as it asks for, of one call to the engine, or a failure: ``bad_request`` for
    what vLLM does not take, ``prompt_too_long``, ``no_vision`` for images that the model cannot see, ``interrupted``
    for what the engine broke off.

    Only what a request says decides on its sampling; of the model's own ``generation_config.json`` the engine takes
    the end tokens. ``logprob`` is filled in when ``extra`` has ``logprobs``.
    """

    def __init__(self, config: VLLMConfig) -> None:
        self.config = config
        self._up: Launched | None = None
        self._source: Source | None = None
        self._why_no_experts = ""
        self._errors = ErrorFile()

    @property
    def name(self) -> str:
        return f"vllm:{self.config.model}"

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def revision(self) -> str:
        return identity.revision(self.config)

    @property
    def slots(self) -> int:
        return identity.slots(self.config)

    def __repr__(self) -> str:
        return f"VLLMTeacher({self.config.model!r})"

    def __reduce__(self) -> tuple[type[VLLMTeacher], tuple[VLLMConfig]]:
        return VLLMTeacher, (self.config,)  # an engine stays with the process that started it

    async def start(self) -> None:
        """Bring up an engine, a fresh one when the last one died. The event loop stands still meanwhile."""
        if self._up is not None and not self._up.engine.errored:
            return
        await self.close()
        try:
            self._up = launch(self.config, self._errors)
            await self._count_experts(self._up)
        except BaseException:
            await self.close()
            raise

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply each, in order.

        Raises:
            EngineLost: the engine died, or was never started.
        """
        if len(requests) == 1:
            return [await self._reply(requests[0])]
        return await asyncio.gather(*[self._reply(request) for request in requests])

    async def report(self) -> Mapping[str, Any]:
        """Tokens, prefix cache, preemptions and the load of experts since the engine's start; empty without one.

        Counts of tokens include those of requests that were given up.
        """
        if self._up is None:
            return {}
        engine, config = self._up.engine, self._up.engine.vllm_config
        made: dict[str, Any] = {
            "engine": {
                "model": self.config.model,
                "revision": self.config.revision,
                "vllm": _version(),
                "device": config.device_config.device_type,
                "max_model_len": engine.model_config.max_model_len,
                "max_num_seqs": config.scheduler_config.max_num_seqs,
                "kv_cache_tokens": config.cache_config.kv_cache_size_tokens,
            },
            **self._up.counters.data(),
        }
        if self._source is None:
            return made | ({"experts": {"why_not": self._why_no_experts}} if self._why_no_experts else {})
        with contextlib.suppress(self._dead_error(), TimeoutError):
            async with asyncio.timeout(_REPORT_S):
                load = await self._source.load()
            if load is not None:
                made["experts"] = {**load.data(), "figures": figures(load)}
        return made

    async def close(self) -> None:
        """Let the engine go; calls that it still holds raise :class:`EngineLost`."""
        up, self._up, self._source = self._up, None, None
        if up is not None:
            up.engine.output_processor.propagate_error(self._dead_error()())
            await asyncio.to_thread(up.engine.shutdown, _PATIENCE_S)
            del up
            gc.collect()  # left to the interpreter's end, the engine would complain on standard error
        self._errors.close()

    async def _count_experts(self, up: Launched) -> None:
        engine, model, self._why_no_experts = up.engine, up.engine.model_config, ""
        if self.config.expert_load == "off" or not model.is_moe:
            return
        top_k = model.get_num_experts_per_tok()
        if up.routed:
            stages = await engine.collective_rpc("dsgen_expert_layers")
            self._source = Routed(model.get_num_experts(), top_k, sorted(set().union(*stages)))
        elif engine.vllm_config.parallel_config.worker_extension_cls:
            hooks = Hooks(engine, top_k)
            self._why_no_experts = await hooks.start()
            self._source = None if self._why_no_experts else hooks
        else:
            self._why_no_experts = "vLLM cannot tell with these arguments or kernels"

    async def _reply(self, request: Request) -> Reply:
        up = self._up
        if up is None:
            raise EngineLost(f"{self.name}: the engine is not up")
        from vllm.exceptions import VLLMClientError  # noqa: PLC0415 - vLLM is loaded by now
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError  # noqa: PLC0415

        try:
            outcome = await self._ask(up, request)
        except (Refused, VLLMClientError) as error:
            outcome = Failure("bad_request", str(error))
        except _OF_THE_REQUEST as error:
            outcome = Failure("bad_request", f"{type(error).__name__}: {error}")
        except EngineDeadError:
            raise self._lost() from None
        except EngineGenerateError as error:
            if up.engine.errored:
                raise self._lost() from None
            seen = error.__cause__ or error
            wrong = isinstance(seen, _OF_THE_REQUEST)
            reason = "bad_request" if wrong else "engine_error"
            outcome = Failure(reason, f"{type(seen).__name__}: {seen}", retryable=not wrong)
        if isinstance(outcome, Failure):
            return Reply(request.id, failure=outcome)
        return Reply(request.id, outcome)

    async def _ask(self, up: Launched, request: Request) -> tuple[Completion, ...] | Failure:
        engine, splitter = up.engine, up.splitter
        if not engine.model_config.supports_multimodal_inputs and any(m.images for m in request.messages):
            return Failure("no_vision", f"{self.config.model} takes text alone; the prompt has images")
        prepared = prepare(request, self.config, splitter.keep_special)
        rendered = await self._render(engine, request, prepared)
        prompt: Sequence[int] = rendered["prompt_token_ids"]
        longest = engine.model_config.max_model_len
        if len(prompt) >= longest:
            return Failure("prompt_too_long", f"{len(prompt)} tokens; the engine takes {longest} with the reply")
        ended = splitter.ended(prepared.template, prompt) if request.schema is not None else None
        output: Any = None
        async for output in engine.generate(  # noqa: B007 - the last one is the one
            rendered,
            prepared.params,
            request.id,
            priority=_LATER if request.purpose == "solve" else _FIRST,
            reasoning_ended=ended,
            reasoning_parser_kwargs={"chat_template_kwargs": prepared.template} if prepared.template else None,
        ):
            pass
        if output is None or any(sample.finish_reason in _BROKEN_OFF for sample in output.outputs):
            return Failure("interrupted", "the engine broke off", retryable=True)
        if self._source is not None:
            self._source.add(output)
        return tuple(_completion(sample, splitter, prepared, prompt) for sample in output.outputs)

    async def _render(self, engine: Any, request: Request, prepared: Prepared) -> Any:
        """The prompt as the model's chat template makes it, in tokens."""
        from vllm.renderers import ChatParams, TokenizeParams  # noqa: PLC0415

        template = {
            "add_generation_prompt": True,
            "continue_final_message": False,
            "tokenize": _is_mistral(engine.get_tokenizer()),
            **prepared.template,
        }
        turns = chat.body(request, self.config.model, n=1, seed=0)["messages"]
        _, (rendered,) = await engine.renderer.render_chat_async(
            [turns],
            ChatParams(chat_template_kwargs=template),
            # Templates write special tokens themselves. Without a limit here the length that is told is the true one.
            TokenizeParams(max_total_tokens=None, add_special_tokens=False),
        )
        return rendered

    def _lost(self) -> EngineLost:
        cause = self._errors.cause()
        return EngineLost(f"{self.name}: the engine died" + (f" ({cause})" if cause else ""))

    def _dead_error(self) -> type[Exception]:
        from vllm.v1.engine.exceptions import EngineDeadError  # noqa: PLC0415

        found: type[Exception] = EngineDeadError
        return found


def _completion(sample: Any, splitter: Splitter, prepared: Prepared, prompt: Sequence[int]) -> Completion:
    split = splitter.split(sample.text, sample.token_ids, prepared.template, prompt)
    return Completion(
        text=split.text,
        reasoning=split.reasoning,
        finish_reason=sample.finish_reason or "",
        prompt_tokens=len(prompt),
        completion_tokens=len(sample.token_ids),
        logprob=sample.cumulative_logprob,
    )


def _is_mistral(tokenizer: Any) -> bool:
    from vllm.utils.mistral import is_mistral_tokenizer  # noqa: PLC0415

    return bool(is_mistral_tokenizer(tokenizer))


def _version() -> str:
    from vllm import __version__  # noqa: PLC0415

    return str(__version__)
