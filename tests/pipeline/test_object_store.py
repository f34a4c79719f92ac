"""A run on S3, against a server that speaks its protocol: the same promises as on a disk, and clear words."""

import asyncio
import hashlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.folder import Folder
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.lease import Lease, LeaseLost, Owner
from dsgen.pipeline.engine.object_store import S3Store
from dsgen.pipeline.engine.store import Missing, Store, open_store

pytest.importorskip("moto.server", reason="moto[server] is not installed: pip install -e '.[dev]'")
s3fs = pytest.importorskip("s3fs", reason="s3fs is not installed: pip install -e '.[s3]'")

IDENTITY = {"name": "one", "seed": 1}
Answer = tuple[str, bytes]


class Server:
    """Moto's S3, one request at a time: it looks and writes in two steps, which S3 does in one."""

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        self.app = DomainDispatcherApplication(create_backend_app)
        self.lock = threading.Lock()
        self.before: Callable[[dict[str, Any]], Answer | None] = lambda _: None
        """Sees each request, may change it, and may answer it."""
        self.after: Callable[[dict[str, Any]], Answer | None] = lambda _: None
        """Sees each request when it was carried out, and may answer something else."""
        self.server = make_server("127.0.0.1", 0, self, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self.lock:
            answer = self.before(environ)
            if answer is not None:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            else:
                head: list[Any] = []
                body = list(self.app(environ, lambda *args: head.extend(args)))
                answer = self.after(environ)
                if answer is None:
                    start(*head)
                    return body
        status, content = answer
        start(status, [("Content-Type", "application/xml"), ("Content-Length", str(len(content)))])
        return [content]

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


def fault(status: str, code: str) -> Answer:
    return status, f"<Error><Code>{code}</Code><Message>as the server says</Message></Error>".encode()


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def server(one_server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim")
    monkeypatch.setenv("AWS_ENDPOINT_URL", one_server.url)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    # The settings of whoever runs the tests are not theirs.
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    yield one_server
    one_server.before = one_server.after = lambda _: None
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def store(server: Server, request: pytest.FixtureRequest) -> S3Store:
    return fresh(request.node.name)


def fresh(name: str) -> S3Store:
    bucket = "b" + hashlib.sha256(name.encode()).hexdigest()[:20]
    store = open_store(f"s3://{bucket}/some/prefix/")
    assert isinstance(store, S3Store)
    store.fs.call_s3("create_bucket", Bucket=bucket)
    return store


def bucket(content: bytes = b"rows", number: int = 3) -> tuple[dict[str, Any], dict[str, bytes]]:
    path = f"data/2k/part-{number:06d}.parquet"
    digest = hashlib.sha256(content).hexdigest()
    file = {"path": path, "kind": "data", "rows": 1, "bytes": len(content), "sha256": digest}
    return {"bucket": number, "files": [file], "settings": "s"}, {path: content}


def test_what_is_written_is_read(store: S3Store) -> None:
    assert store.conditional
    assert store.create("data/2k/a", b"one") is True
    assert store.create("data/2k/a", b"two") is False
    store.replace("data/b", b"twotwo")
    store.replace("data.x", b"")
    assert store.read("data/2k/a") == b"one"
    assert store.read("data.x") == b""
    assert store.read_range("data/b", 4, 100) == b"wo"
    assert store.size("data/b") == 6
    assert store.list("data/") == [("data/2k/a", 3), ("data/b", 6)]
    assert store.list("data") == [("data.x", 0), ("data/2k/a", 3), ("data/b", 6)]
    assert [path for path, _ in store.list("")] == ["data.x", "data/2k/a", "data/b"], "no probe is left"
    store.create(".dsgen-probe-of-a-killed-run", b"1")
    store.clean()
    assert [path for path, _ in store.list("")] == ["data.x", "data/2k/a", "data/b"]
    store.delete("data/b")
    store.delete("data/b")
    assert store.size("data/b") is None
    for read in (store.read, store.read_versioned, lambda p: store.read_range(p, 0, 5)):
        with pytest.raises(Missing):
            read("data/b")


def test_a_swap_wants_the_version_that_was_read(store: S3Store) -> None:
    assert store.swap("a", b"0", '"1"') is False
    store.create("a", b"1")
    content, version = store.read_versioned("a")
    assert content == b"1"
    assert store.swap("a", b"2", version) is True
    assert store.swap("a", b"3", version) is False
    assert store.read("a") == b"2"


def heed_nothing(environ: dict[str, Any]) -> None:
    environ.pop("HTTP_IF_NONE_MATCH", None)
    if environ["REQUEST_METHOD"] == "PUT":
        environ.pop("HTTP_IF_MATCH", None)


def not_implemented(environ: dict[str, Any]) -> Answer | None:
    if "HTTP_IF_NONE_MATCH" in environ or "HTTP_IF_MATCH" in environ:
        return fault("501 Not Implemented", "NotImplemented")
    return None


@pytest.mark.parametrize("old", [heed_nothing, not_implemented])
def test_a_server_without_conditional_writes_is_found_out(
    server: Server,
    store: S3Store,
    old: Callable[[dict[str, Any]], Answer | None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dsgen.pipeline.engine.lease.SETTLE_S", 0.01)
    server.before = old
    assert not store.conditional
    assert store.create("a", b"1") is True
    assert store.create("a", b"2") is False
    _, version = store.read_versioned("a")
    assert store.swap("a", b"3", version) is True
    assert store.swap("a", b"4", version) is False
    assert [path for path, _ in store.list("")] == ["a"]
    said: list[str] = []
    store.delete("a")
    with Folder.locked(store.url, IDENTITY, notice=said.append) as folder:
        folder.commit(*bucket())
        assert list(folder.committed()) == [3]
    assert "the lease alone keeps a second driver away" in said[0]


@pytest.mark.parametrize("how", ["create", "swap"])
def test_of_many_drivers_at_once_exactly_one_wins(store: S3Store, how: str) -> None:
    stores = [open_store(store.url) for _ in range(6)]
    assert all(s.conditional for s in stores)
    store.create("swap", b"start")
    version = store.read_versioned("swap")[1]
    barrier = threading.Barrier(len(stores))

    def race(number: int) -> bool:
        barrier.wait()
        content = b"%d" % number
        return (
            stores[number].create("create", content) if how == "create" else stores[number].swap(how, content, version)
        )

    with ThreadPoolExecutor(len(stores)) as pool:
        won = list(pool.map(race, range(len(stores))))
    assert won.count(True) == 1
    assert store.read(how) == b"%d" % won.index(True)


def test_two_that_start_at_once_where_writes_are_not_conditional_are_not_both_owners(
    server: Server, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dsgen.pipeline.engine.lease.SETTLE_S", 0.5)
    server.before = heed_nothing
    barrier = threading.Barrier(2)
    # Both have seen that there is no lease before either writes.
    monkeypatch.setattr(Lease, "_read", lambda _: (None, barrier.wait())[:1] * 2)

    def start(token: str) -> bool:
        try:
            Lease(open_store(store.url), me=replace(Owner.this(), place=token, token=token)).acquire()
        except DatasetError:
            return False
        return True

    monkeypatch.setattr(S3Store, "create", lambda self, path, content: self._put(path, content))
    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(start, ["t1", "t2"])) == [False, True]


def test_a_conflict_of_two_writes_is_tried_again(server: Server, store: S3Store) -> None:
    assert store.conditional
    conflicts = [fault("409 Conflict", "ConditionalRequestConflict")] * 2

    def busy(environ: dict[str, Any]) -> Answer | None:
        return conflicts.pop() if environ["REQUEST_METHOD"] == "PUT" and conflicts else None

    server.before = busy
    assert store.create("a", b"1") is True
    assert not conflicts


def test_drivers_on_two_machines_succeed_each_other(store: S3Store) -> None:
    here = Owner.this()
    first = Lease(store, ttl=0.2, me=replace(here, host="elsewhere", place="another boot", token="t1"))
    assert first.acquire() == 1
    first.renew()
    second = Lease(open_store(store.url), ttl=0.2)
    assert second.acquire() == 2
    with pytest.raises(LeaseLost, match="another driver"):
        first.check()
    second.renew()
    second.check()
    with pytest.raises(DatasetError, match=rf"another run \(host .*, pid {os.getpid()}\) is writing to s3://"):
        Lease(open_store(store.url)).acquire()
    second.release()
    assert Lease(open_store(store.url)).acquire() == 3


async def test_a_run_s_output_is_byte_for_byte_that_of_a_disk(store: S3Store, tmp_path: Path) -> None:
    local = open_store(tmp_path / "out")
    for place in (store, local):

        def work(url: str = place.url) -> None:
            for start in range(2):
                with Folder.locked(url, IDENTITY) as folder:
                    assert sorted(folder.committed()) == [n for n in range(4) if start]
                    for number in range(4 * start, 4 * start + 4):
                        folder.commit(*bucket(b"rows of %d" % number, number))
                    folder.publish("manifest.json", b"{}")
                    folder.save_state("routes", {"a": 1})
                    assert folder.load_state("routes") == {"a": 1}

        await asyncio.to_thread(work)
        journal = Journal(place, flush_s=0.01)
        await asyncio.gather(*[journal.append({"key": f"{i}", "text": "x" * i}) for i in range(50)])
        await journal.close()
        journal = Journal(place)
        assert [(await journal.find(str(i)) or {})["text"] for i in range(50)] == ["x" * i for i in range(50)]
        assert (len(journal), journal.torn) == (50, 0)
        await journal.close()
    kept = [{p: s.read(p) for p, _ in s.list("") if not p.startswith((".", "lease"))} for s in (store, local)]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 8 + 8 + 4


def test_a_killed_run_between_file_and_record_committed_nothing(store: S3Store) -> None:
    with Folder.locked(store.url, IDENTITY) as folder:
        folder.store.create("data/2k/part-000003.parquet", b"other rows")
        assert folder.committed() == {}
        folder.commit(*bucket())
        assert list(folder.committed()) == [3]
        assert folder.store.read("data/2k/part-000003.parquet") == b"rows"
        folder.retract(folder.committed()[3])
        assert folder.store.list("data/") == []


def test_a_fenced_driver_does_not_write_over_its_successor(
    server: Server, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Folder.locked(store.url, IDENTITY) as folder:
        check = folder.lease.check

        def sleep_after_it() -> None:
            check()
            monkeypatch.undo()
            monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
            folder.store.create("data/2k/part-000003.parquet", b"the successor's")
            folder.store.replace("lease.json", b'{"epoch": 2, "owner": null, "beat": 0, "ttl": 30}')

        monkeypatch.setattr(folder.lease, "check", sleep_after_it)
        with pytest.raises(LeaseLost):
            folder.commit(*bucket())
        assert folder.store.read("data/2k/part-000003.parquet") == b"the successor's"
        assert folder.store.list("commits/") == []


async def test_answers_that_get_lost_change_nothing(server: Server, store: S3Store) -> None:
    """Carried out, but the answer is an error: the client repeats the write and hears that the object is there."""
    assert store.conditional
    lost: list[str] = []

    def lose(environ: dict[str, Any]) -> Answer | None:
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] == "PUT" and path not in lost:
            lost.append(path)
            return fault("500 Internal Server Error", "InternalError")
        return None

    def work() -> None:
        with Folder.locked(store.url, IDENTITY) as folder:
            server.after = lose
            folder.commit(*bucket())
            folder.lease.renew()
            assert list(folder.committed()) == [3]

    await asyncio.to_thread(work)
    journal = Journal(store, flush_s=0.01)
    await journal.append({"key": "a"})
    await journal.close()
    assert len(store.list("journal/")) == 1
    assert len(lost) == 4, "a file, its record, the beat, a segment"


def test_no_bucket_is_told(server: Server) -> None:
    told = pytest.raises(DatasetError, match=r"s3://no-such-bucket/x: there is no such bucket; create it, or correct")
    with told, Folder.locked("s3://no-such-bucket/x", IDENTITY):
        pass


@pytest.mark.parametrize("code", ["AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken"])
def test_a_refusal_is_told(server: Server, store: S3Store, code: str) -> None:
    server.before = lambda _: fault("403 Forbidden", code)
    told = pytest.raises(DatasetError, match=r"access denied \(as the server says\); check the credentials")
    with told as refused, Folder.locked(store.url, IDENTITY):
        pass
    assert "geheim" not in str(refused.value)


def test_no_credentials_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with pytest.raises(DatasetError, match=r"credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_store("s3://bucket/x").read("a")


def test_no_connection_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    with pytest.raises(DatasetError, match=r"Could not connect.*check the network and AWS_ENDPOINT_URL"):
        open_store("s3://bucket/x").read("a")


def test_any_other_error_is_told(server: Server, store: S3Store) -> None:
    server.before = lambda _: fault("418 I'm a teapot", "Teapot")
    with pytest.raises(DatasetError, match="as the server says; what was committed is intact"):
        store.replace("a", b"1")


WORKFLOW = {
    "name": "objects",
    "seed": 5,
    "bucket_units": 20,
    "sources": [{"kind": "gsm8k", "limit": 60}],
    "mutators": [{"kind": "perturb", "count": 2}],
    "teacher": "derivation",
    "validators": [{"kind": "format"}, {"kind": "answer"}],
}


@pytest.mark.slow
def test_a_run_that_is_killed_on_s3_ends_with_the_rows_of_a_disk(store: S3Store, tmp_path: Path) -> None:
    workflow = tmp_path / "objects.yaml"
    workflow.write_text(yaml.safe_dump(WORKFLOW))

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-P", "-m", "dsgen", "run", str(workflow), "--out", out, "--executor", "local"]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def rows(of: Store) -> dict[str, bytes]:
        return {path: of.read(path) for path, _ in of.list("") if path.endswith(".parquet")}

    for wanted in (1, 3):
        killed = start(store.url)
        while killed.poll() is None and len(store.list("commits/")) < wanted:
            time.sleep(0.02)
        killed.kill()
        killed.communicate()
    committed = dict(store.list("commits/"))
    assert committed
    disk = open_store(tmp_path / "out")
    for place in (store.url, str(tmp_path / "out")):
        run = start(place)
        said, _ = run.communicate(timeout=100)
        assert run.returncode == 0, said
    assert rows(store) == rows(disk) != {}
    assert dict(store.list("commits/")).items() >= committed.items()
