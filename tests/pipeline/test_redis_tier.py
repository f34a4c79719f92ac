"""The third tier, against a real Redis: shared replies, and no run that a bad server stops or slows."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from dsgen.pipeline.core.candidate import Completion, Message, Reply, Request, Sampling
from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.cache import ReplyCache
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.redis_tier import RedisTier
from dsgen.pipeline.engine.store import Store, open_store

pytest.importorskip("redis", reason="redis is not installed: pip install -e '.[redis]'")

SERVER = shutil.which("redis-server")
WHO = ("model", "r1")
PASSWORD = "geheim"

needs_server = pytest.mark.skipif(
    SERVER is None, reason="there is no redis-server on the PATH (apt install redis-server)"
)


class Server:
    """A Redis of its own, with a password."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert SERVER is not None
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]
        self.process = subprocess.Popen(
            [SERVER, *options, "--dir", str(self.folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.02)
        raise AssertionError("redis-server does not listen")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
async def make(said: list[str]) -> AsyncIterator[Callable[..., RedisTier]]:
    made: list[RedisTier] = []

    def make(url: str, **options: Any) -> RedisTier:
        made.append(RedisTier(url, notice=said.append, **{"timeout": 5, **options}))
        return made[-1]

    yield make
    for tier in made:
        await tier.close()


def store() -> Store:
    return open_store(f"memory://{uuid4().hex}")


def opened(place: Store, redis: RedisTier) -> ReplyCache:
    return ReplyCache(Journal(place, flush_s=0.001), redis)


def request(text: str = "2 + 2?", limit: int = 100) -> Request:
    return Request("u1", (Message("user", text),), Sampling(max_tokens=limit), seed=7)


def reply(text: str = "4", finish: str = "stop", tokens: int = 3) -> Reply:
    return Reply("u1", (Completion(text, "two and two", finish, 5, tokens),))


@needs_server
async def test_values_are_shared_and_the_first_stays(server: Server, make: Callable[..., RedisTier]) -> None:
    first = make(server.url)
    first.put("a", b"one" * 1000)
    first.put("b", b"two")
    await first.close()
    second = make(server.url)
    assert await second.find(["a", "none", "b"]) == [b"one" * 1000, b"two"]
    second.put("a", b"another")
    await second.close()
    third = make(server.url)
    assert await third.find(["a"]) == [b"one" * 1000]
    stored = await third._client.get("dsgen:1:a")
    assert len(stored) < 100, "compressed"


@needs_server
async def test_reads_that_wait_together_go_out_together(server: Server, make: Callable[..., RedisTier]) -> None:
    tier = make(server.url)
    for i in range(500):
        tier.put(str(i), b"%d" % i)
    await asyncio.wait_for(tier._writer, 10)  # type: ignore[arg-type]
    found = await asyncio.gather(*[tier.find([str(i), "none"]) for i in range(500)])
    assert found == [[b"%d" % i] for i in range(500)]
    calls = await tier._client.info("commandstats")
    assert calls["cmdstat_mget"]["calls"] <= 3


@needs_server
async def test_a_run_finds_what_another_one_was_told_and_its_folder_is_whole(
    server: Server, make: Callable[..., RedisTier]
) -> None:
    one, two = store(), store()
    cache = opened(one, make(server.url))
    await cache.put(request(), reply(), *WHO)
    await cache.close()
    cache = opened(two, make(server.url))
    assert await cache.find(request(), *WHO) == reply()
    assert await cache.find(request(), *WHO) == reply()
    assert cache.hits == {"memory": 1, "journal": 0, "redis": 1}
    assert await cache.find(request("3 + 3?"), *WHO) is None
    await cache.close()
    server.kill()
    cache = ReplyCache(Journal(two))
    assert await cache.find(request(), *WHO) == reply()
    assert cache.hits["journal"] == 1
    await cache.close()


@needs_server
async def test_a_truncated_reply_serves_its_limit_and_gives_way_to_a_whole_one(
    server: Server, make: Callable[..., RedisTier]
) -> None:
    cut, whole = reply("4 is", "length", 100), reply("4 is what it is", tokens=150)
    cache = opened(store(), make(server.url))
    await cache.put(request(), cut, *WHO)
    await cache.close()
    cache = opened(store(), make(server.url))
    assert await cache.find(request(), *WHO) == cut
    assert await cache.find(request(limit=200), *WHO) is None
    await cache.put(request(limit=200), whole, *WHO)
    await cache.close()
    cache = opened(store(), make(server.url))
    assert await cache.find(request(limit=200), *WHO) == whole
    assert await cache.find(request(limit=300), *WHO) == whole
    assert await cache.find(request(), *WHO) == cut
    await cache.close()


@needs_server
@pytest.mark.parametrize(
    "junk",
    [b"", b"abc", b"\xff\xff\xff\xffabc", b"\x05\0\0\0hello", b"\x02\0\0\0(\xb5/\xfd \x02\x11\0\0{}"],
    ids=["empty", "short", "huge", "no zstd", "no record"],
)
async def test_what_others_wrote_there_is_not_believed(
    server: Server, make: Callable[..., RedisTier], junk: bytes
) -> None:
    tier = make(server.url)
    key = request().cache_key(*WHO)
    await tier._client.set(f"dsgen:1:{key}", junk)
    cache = opened(store(), tier)
    assert await cache.find(request(), *WHO) is None
    tier.put("other", b"value")
    assert tier.on
    await cache.close()


@needs_server
async def test_a_record_of_another_key_is_not_believed(server: Server, make: Callable[..., RedisTier]) -> None:
    cache = opened(store(), make(server.url))
    await cache.put(request(), reply(), *WHO)
    await cache.close()
    tier = make(server.url)
    ours, other = request().cache_key(*WHO), request("3 + 3?").cache_key(*WHO)
    await tier._client.copy(f"dsgen:1:{ours}", f"dsgen:1:{other}")
    cache = opened(store(), tier)
    assert await cache.find(request("3 + 3?"), *WHO) is None
    await cache.close()


@needs_server
async def test_a_server_killed_in_the_middle_is_told_once_and_the_run_goes_on(
    server: Server, make: Callable[..., RedisTier], said: list[str]
) -> None:
    tier = make(server.url)
    cache = opened(store(), tier)
    for i in range(50):
        if i == 20:
            server.kill()
        assert await cache.find(request(str(i)), *WHO) is None
        await cache.put(request(str(i)), reply(str(i)), *WHO)
    for i in range(50):
        assert await cache.find(request(str(i)), *WHO) == reply(str(i))
    assert not tier.on
    (message,) = said
    assert message.startswith(f"redis://127.0.0.1:{server.port}/0: it cannot be reached; the run goes on without it")
    await cache.close()


@needs_server
async def test_a_short_absence_is_forgiven(server: Server, make: Callable[..., RedisTier], said: list[str]) -> None:
    tier = make(server.url)
    tier.put("a", b"value")
    assert await tier.find(["b"]) == []
    server.kill()
    assert await tier.find(["a"]) == []
    server.start()
    assert await tier.find(["a"]) == []
    tier.put("c", b"value")
    await asyncio.wait_for(tier._writer, 10)  # type: ignore[arg-type]
    assert await tier.find(["c"]) == [b"value"]
    assert tier.on
    assert not said


@needs_server
@pytest.mark.parametrize("user", [":wrong@", "", "nobody:wrong@"])
async def test_a_wrong_password_is_told_without_it(
    server: Server, make: Callable[..., RedisTier], said: list[str], user: str
) -> None:
    cache = opened(store(), make(f"redis://{user}127.0.0.1:{server.port}/0"))
    assert await cache.find(request(), *WHO) is None
    await cache.put(request(), reply(), *WHO)
    assert await cache.find(request(), *WHO) == reply()
    (message,) = said
    assert message.startswith(f"redis://127.0.0.1:{server.port}/0: it refuses the user name or password; ")
    assert "wrong" not in message.partition("refuses")[0]
    assert PASSWORD not in message
    await cache.close()


@needs_server
async def test_a_full_server_is_no_harm(server: Server, make: Callable[..., RedisTier], said: list[str]) -> None:
    tier = make(server.url)
    await tier._client.config_set("maxmemory", "1")
    cache = opened(store(), tier)
    for i in range(10):
        await cache.put(request(str(i)), reply(str(i)), *WHO)
        await asyncio.sleep(0.01)
    await cache.close()
    assert len(said) <= 1
    assert tier.dropped


async def test_a_server_that_does_not_answer_costs_a_few_time_limits_and_no_more(
    make: Callable[..., RedisTier], said: list[str]
) -> None:
    """It accepts and is silent, as a server that hangs or a firewall that swallows."""
    held = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.append(writer)
        await reader.read()

    listening = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    tier = make(f"redis://127.0.0.1:{port}", timeout=0.05)
    cache = opened(store(), tier)
    async with asyncio.timeout(20):
        for i in range(200):
            assert await cache.find(request(str(i)), *WHO) is None
            await cache.put(request(str(i)), reply(), *WHO)
        await cache.close()
    (message,) = said
    assert "does not answer in time" in message
    assert len(held) <= 10, "it was left alone"
    for writer in held:
        writer.close()
    listening.close()


async def test_more_than_the_server_takes_is_dropped(make: Callable[..., RedisTier]) -> None:
    tier = make("redis://127.0.0.1:1")
    for i in range(40):
        tier.put(str(i), bytes(1 << 20))
    assert 0 < tier.dropped < 40
    assert tier._bytes <= 32 << 20


@pytest.mark.parametrize("url", ["http://user:geheim@host", "geheim", "redis://:geheim@host:port", "redis://[geheim"])
def test_a_url_that_is_none_is_told_without_its_password(url: str) -> None:
    with pytest.raises(DatasetError, match="write redis://host:6379/0") as told:
        RedisTier(url)
    if "@" in url:
        assert "geheim" not in str(told.value)
