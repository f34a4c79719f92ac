"""A real endpoint on this machine that misbehaves as told."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest


class Call(NamedTuple):
    body: dict[str, Any]
    headers: dict[str, str]
    at: float
    path: str


class Answer(NamedTuple):
    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = MappingProxyType({})
    delay: float = 0.0
    cut: bool = False
    """Close the connection in the middle of the body."""


def said(*texts: str | None, finish: str = "stop", usage: Any = None, **message: Any) -> Answer:
    """A reply with one choice for each text."""
    choices = [
        {"index": i, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
        for i, text in enumerate(texts)
    ]
    return Answer(body={"choices": choices} | ({"usage": usage} if usage is not None else {}))


def _as_asked(call: Call) -> Answer:
    return said(*[f"sample {i}" for i in range(call.body.get("n", 1))])


class Endpoint:
    """Answers from ``script`` while it lasts, then with ``answer(call)``; remembers what it was asked."""

    Answer = Answer
    said = staticmethod(said)

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.script: deque[Answer] = deque()
        self.answer: Callable[[Call], Answer] = _as_asked
        self.models = Answer(body={"object": "list", "data": [{"id": "served-model"}]})
        self.running = self.most = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def seeds(self) -> list[int]:
        return [call.body["seed"] for call in self.calls]

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                method, path, _ = lines[0].split(" ")
                if method == "GET":
                    answer = self.models
                else:
                    call = Call(json.loads(raw), headers, asyncio.get_running_loop().time(), path)
                    self.calls.append(call)
                    answer = self.script.popleft() if self.script else self.answer(call)
                self.running += 1
                self.most = max(self.most, self.running)
                try:
                    await asyncio.sleep(answer.delay)
                finally:
                    self.running -= 1
                if not self._write(writer, answer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    @staticmethod
    def _write(writer: asyncio.StreamWriter, answer: Answer) -> bool:
        body = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
        head = f"HTTP/1.1 {answer.status} Said\r\nContent-Length: {len(body)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        writer.write(head.encode() + b"\r\n" + (body[: len(body) // 2] if answer.cut else body))
        return not answer.cut


@pytest.fixture
async def endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Endpoint]:
    """A fresh endpoint, reached directly even where a proxy is configured."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Endpoint()
    await made.open()
    yield made
    await made.close()
