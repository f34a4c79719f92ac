"""Any endpoint that speaks OpenAI's chat completions: a vLLM server, SGLang, DeepSeek, ..."""

from __future__ import annotations

import asyncio
import io
import os
from collections import Counter
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import aiohttp
import orjson
from pydantic import SecretStr

from dsgen.pipeline.core.candidate import Completion, Failure, Reply, Request
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.teachers import chat, connect
from dsgen.pipeline.teachers.config import OpenAIConfig
from dsgen.pipeline.teachers.throttle import Throttle, backoff, exhausted, retry_after

_PROBES = 3
_PROBE_TIMEOUT = 30.0
_LARGE = 1 << 20
"""Bytes of a body from which on it is sent in pieces."""
_MAYBE_LATER = frozenset({408, 409, 425, 429})
_REFUSES_N = frozenset({"http_400", "http_422"})
_NOBODY_IS_SERVED = frozenset({401, 402, 403, 404, 405})
"""What holds for every request alike: the key, the account, the address or the model."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, repr=False)
class Response:
    """What an endpoint answered to a call, read to its end. Its repr is silent: some endpoints quote the key."""

    url: str
    status: int
    phrase: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def is_redirect(self) -> bool:
        """It points elsewhere; nobody follows, or the key would go along."""
        return 300 <= self.status < 400


class OpenAITeacher:
    """Calls an endpoint, without streaming, and survives its bad days.

    A call that fails in a way that may pass is repeated after a pause drawn from the request's id. What the endpoint
    says about its limits holds for all calls together, see :class:`~dsgen.pipeline.teachers.throttle.Throttle`. What
    no call can survive, such as a refused key, raises :class:`~dsgen.pipeline.core.errors.TeacherError`; everything
    else is a :class:`~dsgen.pipeline.core.candidate.Failure` of that one request.

    Token counts are what the endpoint reports, see :func:`~dsgen.pipeline.teachers.chat.parse`.
    """

    def __init__(self, config: OpenAIConfig) -> None:
        self.config = config
        self.setbacks: Counter[str] = Counter()
        """Failed calls by reason, those that a retry made good included."""
        self._key = SecretStr("")
        self._session: aiohttp.ClientSession | None = None
        self._throttle = Throttle(config.slots)
        self._listed: list[str] = []
        self._one_by_one = False
        """The endpoint was seen to give fewer samples than ``n``."""

    @property
    def name(self) -> str:
        return f"openai:{self.config.model}"

    @property
    def model(self) -> str:
        return self.config.model

    @property
    def revision(self) -> str:
        return self.config.revision

    @property
    def slots(self) -> int:
        return self.config.slots

    def __repr__(self) -> str:
        return f"OpenAITeacher({self.config.model!r} at {self.config.base_url})"

    def __reduce__(self) -> tuple[type[OpenAITeacher], tuple[OpenAIConfig]]:
        # A copy reads the key from its own process's environment; connections and key stay here.
        return OpenAITeacher, (self.config,)

    async def start(self) -> None:
        """Read the key and ask the endpoint for its models, so that a wrong address is told before any work."""
        try:
            await self._probe()
        except BaseException:
            await self.close()
            raise

    async def complete(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """One reply each, in order. A reply has all its ``n`` completions or a failure."""
        return await _together([self._reply(request) for request in requests])

    async def report(self) -> Mapping[str, Any]:
        """Failed calls by reason, those that a retry made good included."""
        return {"setbacks": dict(self.setbacks)}

    async def close(self) -> None:
        self._throttle.close()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _reply(self, request: Request) -> Reply:
        done: tuple[Completion, ...] = ()
        if request.n > 1 and not self._one_by_one:
            outcome = await self._call(request, request.id, request.n, request.seed)
            if isinstance(outcome, Failure):
                if outcome.reason not in _REFUSES_N:
                    return Reply(request.id, failure=outcome)
                # Is it n that the endpoint refuses, or the request? One call for one sample tells.
                outcome = await self._call(request, f"{request.id}/0", 1, request.seed)
                if isinstance(outcome, Failure):
                    return Reply(request.id, failure=outcome)
            done = outcome
            self._one_by_one = self._one_by_one or len(done) < request.n
        calls = []
        for i in range(len(done), request.n):
            seed = Key.of("sample", request.seed, i).number() if i else request.seed
            calls.append(self._call(request, f"{request.id}/{i}" if i else request.id, 1, seed))
        for outcome in await _together(calls):
            if isinstance(outcome, Failure):
                return Reply(request.id, failure=outcome)
            done += outcome
        return Reply(request.id, done)

    async def _call(self, request: Request, label: str, n: int, seed: int) -> tuple[Completion, ...] | Failure:
        """The samples of one call, repeated as long as that may help. Waiting for a slot costs nothing."""
        clock = asyncio.get_running_loop().time
        attempts, left = self.config.attempts, self.config.deadline_s
        attempt = 1
        while True:
            ticket = await self._throttle.acquire(retry=attempt > 1)
            began = clock()
            try:
                outcome, asked = await self._attempt(request, n, seed, ticket, min(self.config.timeout_s, left))
            finally:
                self._throttle.release()
            if not isinstance(outcome, Failure):
                return outcome
            self.setbacks[outcome.reason] += 1
            delay = max(asked, backoff(label, attempt, self.config.backoff_s))
            left -= clock() - began + delay
            if not outcome.retryable:
                return outcome
            if attempt == attempts or left <= 0:
                why = "attempts" if attempt == attempts else "time"
                return outcome._replace(detail=f"{outcome.detail} (out of {why} after call {attempt})")
            await asyncio.sleep(delay)
            attempt += 1

    async def _attempt(
        self, request: Request, n: int, seed: int, ticket: int, timeout: float
    ) -> tuple[tuple[Completion, ...] | Failure, float]:
        """One call: its samples or its failure, and the seconds that the endpoint asks to wait."""
        body = chat.body(request, self.model, n=n, seed=seed, max_tokens_field=self.config.max_tokens_field)
        try:
            payload = orjson.dumps(body)
        except TypeError as error:
            return Failure("cannot_encode", str(error)), 0.0
        try:
            async with asyncio.timeout(timeout):
                response = await self._send("POST", "chat/completions", payload)
        except TimeoutError:
            return Failure("timeout", f"no reply within {timeout:.4g} s", retryable=True), 0.0
        except aiohttp.ClientError as error:
            seen = f"{type(error).__name__}: {connect.told(error)}"
            return Failure("connection", self._clean(seen), retryable=True), 0.0
        if 200 <= response.status < 300:
            outcome = chat.parse(response.content, n)
            if isinstance(outcome, Failure):
                return outcome._replace(detail=self._clean(outcome.detail)), self._heed(response)
            self._throttle.succeeded()
            self._heed(response, outcome.tokens)
            return outcome.completions, 0.0
        return self._refused(response, ticket)

    def _refused(self, response: Response, ticket: int) -> tuple[Failure, float]:
        status, said = response.status, self._clean(chat.error_text(response.content))
        if status in _NOBODY_IS_SERVED or response.is_redirect or (status == 429 and "insufficient_quota" in said):
            self._give_up(response)
        if status == 429:
            self._throttle.limited(ticket)
            return Failure("rate_limited", said, retryable=True), self._heed(response)
        later = status >= 500 or status in _MAYBE_LATER
        return Failure(f"http_{status}", said, retryable=later), self._heed(response) if later else 0.0

    def _heed(self, response: Response, tokens: int = 0) -> float:
        """Pause all calls as the endpoint asks, and say for how long."""
        asked = retry_after(response.headers)
        if asked is None:
            asked = exhausted(response.headers, tokens)
        if asked is None:
            asked = self.config.backoff_s if response.status == 429 else 0.0
        if asked <= self.config.deadline_s:  # longer than any request may take: they fail and say so
            self._throttle.pause(asked)
        return asked

    async def _probe(self) -> None:
        for attempt in range(1, _PROBES + 1):
            try:
                async with asyncio.timeout(min(self.config.timeout_s, _PROBE_TIMEOUT)):
                    response = await self._send("GET", "models")
            except (TimeoutError, aiohttp.ClientError) as error:
                seen = self._clean(connect.told(error)) or type(error).__name__
                if isinstance(error, aiohttp.ClientConnectorError) or attempt == _PROBES:
                    raise TeacherError(
                        f"teacher {self.name}: {self.config.base_url} cannot be reached ({seen}); "
                        "is the server up, and is base_url right?"
                    ) from None
            else:
                if response.status in (401, 402, 403) or response.is_redirect:
                    self._give_up(response)
                if response.status < 500:
                    self._listed = _model_ids(response.content)
                    return
                if attempt == _PROBES:
                    said = self._clean(chat.error_text(response.content))
                    raise TeacherError(
                        f"teacher {self.name}: {self.config.base_url} answers {response.status} ({said}); "
                        "wait until the server is ready, then run the same command again"
                    )
            await asyncio.sleep(backoff(f"probe {self.name}", attempt, self.config.backoff_s))

    def _give_up(self, response: Response) -> NoReturn:
        status, variable = response.status, self.config.api_key_env
        if response.is_redirect:
            place = self._clean(response.headers.get("location", "?"))
            advice = f"it points to {place}; if that is where to go, name it in base_url"
        elif status in (402, 429):
            advice = "the account has nothing left to spend; top it up, then run the same command again"
        elif status in (401, 403) and variable is None:
            advice = "no key was sent; set api_key_env to the name of the environment variable that holds it"
        elif status in (401, 403):
            advice = f"check the key in the environment variable {variable} and what it may use"
        else:
            listed = f"; it lists {', '.join(self._listed[:8])}" if self._listed else ""
            advice = f"base_url usually ends in /v1, and model must be one that is served there{listed}"
        said = self._clean(chat.error_text(response.content)) or response.phrase
        raise TeacherError(f"teacher {self.name}: {response.url} answers {status} ({said}); {advice}")

    async def _send(self, method: str, route: str, payload: bytes | None = None) -> Response:
        if self._session is None:
            self._session = self._open()
        data = io.BytesIO(payload) if payload is not None and len(payload) > _LARGE else payload
        url = f"{self.config.base_url}/{route}"
        async with self._session.request(method, url, data=data, allow_redirects=False) as got:
            return Response(url, got.status, got.reason or "", got.headers, await got.read())

    def _open(self) -> aiohttp.ClientSession:
        self._key = self._read_key()
        headers = {"Content-Type": "application/json"}
        if key := self._key.get_secret_value():
            headers["Authorization"] = f"Bearer {key}"
        try:
            return connect.session(self.config.base_url, headers, self.config.timeout_s)
        except connect.CannotConnect as error:
            raise TeacherError(f"teacher {self.name}: {error}") from None

    def _read_key(self) -> SecretStr:
        variable = self.config.api_key_env
        if variable is None:
            return SecretStr("")
        key = os.environ.get(variable, "").strip()
        if not key or not key.isascii() or not key.isprintable():
            seen = "is not set" if not key else "holds something that cannot be sent as a key"
            raise TeacherError(f"teacher {self.name}: the environment variable {variable} {seen}; put the key there")
        return SecretStr(key)

    def _clean(self, text: str) -> str:
        """A text of the endpoint, short and without the key, which some endpoints quote."""
        key = self._key.get_secret_value()
        text = text.replace(key, "[key]") if key else text
        return text if len(text) <= 400 else text[:400] + " ..."


def _model_ids(raw: bytes) -> list[str]:
    try:
        data = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return []
    rows = data.get("data") if isinstance(data, dict) else None
    return [str(row["id"]) for row in rows if isinstance(row, dict) and "id" in row] if isinstance(rows, list) else []


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All results in order; the first error ends the others before it is raised."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(w) for w in work]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
