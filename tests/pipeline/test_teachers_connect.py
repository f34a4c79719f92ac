"""The way to an endpoint: proxies, certificates and connections, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dsgen.pipeline.core.candidate import Message, Reply, Request
from dsgen.pipeline.core.errors import TeacherError
from dsgen.pipeline.teachers.config import OpenAIConfig
from dsgen.pipeline.teachers.openai import OpenAITeacher

# Nobody's: made for these tests, valid from 2000 to 2120 for localhost and 127.0.0.1.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgsrlN3JuwhD8tVsKp
kliSXrWkj2uWIUj4CbhVa5CJSaWhRANCAARDJ8ZRKbemoPcsVf713NrT77R1Jfp9
aURfJx4I1SOHWiYyG19dpcnS6qbjo4sLBrmH4Vq6uetFqkbr7h25I4QN
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBmDCCAT6gAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMDAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABEMnxlEpt6ag9yxV
/vXc2tPvtHUl+n1pRF8nHgjVI4daJjIbX12lydLqpuOjiwsGuYfhWrq560WqRuvu
HbkjhA2jfzB9MBoGA1UdEQQTMBGCCWxvY2FsaG9zdIcEfwAAATAPBgNVHRMBAf8E
BTADAQH/MB0GA1UdDgQWBBQQxtthSD1OlxKQPZGcwJFyh/rKYDAfBgNVHSMEGDAW
gBQQxtthSD1OlxKQPZGcwJFyh/rKYDAOBgNVHQ8BAf8EBAMCAoQwCgYIKoZIzj0E
AwIDSAAwRQIgSwv65nvTxPqSqTd1v1xeOcduegT3EvIUK/V8PmTYrosCIQCvv8pn
49Tnx2uVuMtZ5eFW9gAARFLIYIt1tAa072TDbA==
-----END CERTIFICATE-----
"""


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
    for name in (*names, *map(str.upper, names), "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
async def encrypted(endpoint: Any, certificate: Path) -> AsyncIterator[str]:
    """The endpoint's address behind TLS."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    server = await asyncio.start_server(endpoint._accept, "127.0.0.1", 0, ssl=context)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    server.close()


@contextlib.asynccontextmanager
async def teacher(url: str, **fields: Any) -> AsyncIterator[OpenAITeacher]:
    made = OpenAITeacher(OpenAIConfig(base_url=url, model="m", **{"backoff_s": 0.01, "timeout_s": 5.0, **fields}))
    await made.start()
    try:
        yield made
    finally:
        await made.close()


async def ask(url: str, *requests: Request, **fields: Any) -> list[Reply]:
    async with teacher(url, **fields) as made:
        return list(await made.complete(requests or [request("r")]))


def request(name: str) -> Request:
    return Request(name, (Message("user", "1 + 1?"),))


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None and parts.port is not None
    return parts.hostname, parts.port


def unheard_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize("variable", ["http_proxy", "HTTP_PROXY", "all_proxy"])
async def test_the_environments_proxy_is_used(endpoint: Any, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    host = urlsplit(endpoint.url).netloc
    # No scheme: tools disagree on whether one is wanted.
    monkeypatch.setenv(variable, f"someone:secret@{host}" if variable == "http_proxy" else f"http://{host}")
    (reply,) = await ask("http://model.example/v1")
    assert reply.failure is None
    (call,) = endpoint.calls
    assert call.path == "http://model.example/v1/chat/completions"
    if variable == "http_proxy":
        assert call.headers["proxy-authorization"] == "Basic c29tZW9uZTpzZWNyZXQ="


@pytest.mark.parametrize("excepted", ["127.0.0.1", "example.com, 127.0.0.1", "*"])
async def test_no_proxy_is_heeded(endpoint: Any, monkeypatch: pytest.MonkeyPatch, excepted: str) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unheard_port()}")
    monkeypatch.setenv("no_proxy", excepted)
    (reply,) = await ask(endpoint.url)
    assert reply.failure is None


async def test_a_dead_proxy_is_told_without_its_password(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://someone:secret@127.0.0.1:{unheard_port()}")
    with pytest.raises(TeacherError, match="cannot be reached") as caught:
        await ask(endpoint.url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["socks5://someone:secret@127.0.0.1:1080", "ftp://127.0.0.1"])
async def test_a_proxy_that_is_none_is_told(endpoint: Any, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("all_proxy", address)
    with pytest.raises(TeacherError, match="only HTTP proxies are known; set http_proxy") as caught:
        await ask(endpoint.url)
    assert "secret" not in str(caught.value)


async def test_a_certificate_that_nobody_vouches_for_is_refused(endpoint: Any, encrypted: str) -> None:
    with pytest.raises(TeacherError, match="certificate verify failed"):
        await ask(encrypted)
    assert endpoint.calls == []


@pytest.fixture
async def tunnel(encrypted: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A proxy that connects through to the encrypted endpoint whatever it is asked, and what it was asked."""
    asked: list[str] = []
    tasks: set[asyncio.Task[None]] = set()

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        asked.append(head.splitlines()[0])
        far_reader, far_writer = await asyncio.open_connection(*address(encrypted))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(serve(reader, writer))
        tasks.add(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked
    server.close()
    await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("through", ["directly", "a proxy"])
async def test_the_environments_authorities_are_trusted(
    endpoint: Any,
    encrypted: str,
    tunnel: tuple[str, list[str]],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
    through: str,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    if through == "a proxy":
        monkeypatch.setenv("https_proxy", tunnel[0])
    (reply,) = await ask(encrypted)
    assert reply.failure is None
    assert [call.path for call in endpoint.calls] == ["/v1/chat/completions"]
    host, port = address(encrypted)
    assert tunnel[1] == ([f"CONNECT {host}:{port} HTTP/1.1"] if through == "a proxy" else [])


async def test_a_certificate_for_another_host_is_refused(
    endpoint: Any, tunnel: tuple[str, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    monkeypatch.setenv("https_proxy", tunnel[0])
    with pytest.raises(TeacherError, match=r"certificate is not valid for 'model\.example'"):
        await ask("https://model.example/v1")
    assert tunnel[1] == ["CONNECT model.example:443 HTTP/1.1"]
    assert endpoint.calls == []


async def test_connections_are_kept_and_cookies_are_not(endpoint: Any) -> None:
    endpoint.answer = lambda _: endpoint.said("ok")._replace(headers={"Set-Cookie": "a=b"}, delay=0.005)
    async with teacher(endpoint.url, slots=3) as made:
        for round_ in range(3):
            await made.complete([request(f"{round_}/{i}") for i in range(6)])
        assert len(endpoint._tasks) == 3  # one for each connection
    assert len(endpoint.calls) == 18
    assert not any("cookie" in call.headers for call in endpoint.calls)


async def test_a_connection_that_the_server_closed_in_between_costs_no_call(endpoint: Any) -> None:
    async with teacher(endpoint.url) as made:
        await made.complete([request("a")])
        for connection in endpoint._tasks:
            connection.cancel()
        while endpoint._tasks:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.02)
        (reply,) = await made.complete([request("b")])
        assert reply.failure is None
        assert made.setbacks == {}


async def test_a_closed_teacher_can_be_started_again(endpoint: Any) -> None:
    async with teacher(endpoint.url) as made:
        await made.close()
        await made.start()
        (reply,) = await made.complete([request("a")])
    assert reply.failure is None
