"""Stores: whole objects or none, one winner of a race, and clear words when the place refuses."""

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.store import LocalStore, Missing, Store, open_store


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(tmp_path / "out" if request.param == "folder" else f"memory://{uuid4().hex}/out")


def test_what_is_written_is_read(store: Store) -> None:
    assert store.create("data/2k/a", b"one") is True
    store.replace("data/b", b"twotwo")
    assert store.read("data/2k/a") == b"one"
    assert store.read_range("data/b", 1, 2) == b"wo"
    assert store.read_range("data/b", 4, 100) == b"wo"
    assert store.size("data/b") == 6
    assert store.list("data/") == [("data/2k/a", 3), ("data/b", 6)]
    assert store.list("data/b") == [("data/b", 6)]
    assert store.list("") == store.list("data/")
    store.replace("data/b", b"")
    assert store.read("data/b") == b""


def test_what_is_not_there_is_missing(store: Store) -> None:
    assert store.list("data/") == []
    assert store.list("") == []
    assert store.size("data/a") is None
    assert store.swap("data/a", b"", "1") is False
    store.delete("data/a")
    with pytest.raises(Missing):
        store.read("data/a")
    with pytest.raises(Missing):
        store.read_range("data/a", 0, 1)
    store.create("data/a", b"")
    store.delete("data/a")
    assert store.list("") == []
    with pytest.raises(Missing):
        store.read_versioned("data/a")


def test_creation_is_exclusive(store: Store) -> None:
    assert store.create("a", b"first") is True
    assert store.create("a", b"second") is False
    assert store.read("a") == b"first"


def test_a_swap_wants_the_version_that_was_read(store: Store) -> None:
    store.create("a", b"1")
    content, version = store.read_versioned("a")
    assert content == b"1"
    assert store.swap("a", b"2", version) is True
    assert store.swap("a", b"3", version) is False
    assert store.read("a") == b"2"


@pytest.mark.parametrize("how", ["create", "swap"])
def test_of_many_at_once_exactly_one_wins(store: Store, how: str) -> None:
    for round_ in range(5):
        path, racers = f"race-{round_}", 8
        version = ""
        if how == "swap":
            store.create(path, b"start")
            version = store.read_versioned(path)[1]
        barrier = threading.Barrier(racers)

        def race(racer: int, path: str = path, version: str = version, barrier: threading.Barrier = barrier) -> bool:
            barrier.wait()
            content = b"%d" % racer
            return store.create(path, content) if how == "create" else store.swap(path, content, version)

        with ThreadPoolExecutor(racers) as pool:
            won = list(pool.map(race, range(racers)))
        assert won.count(True) == 1
        assert store.read(path) == b"%d" % won.index(True)


@settings(max_examples=40, deadline=None)
@given(
    paths=st.lists(
        st.lists(st.sampled_from(["a", "ab", "b.c", "x-1"]), min_size=1, max_size=3).map("/".join),
        unique=True,
        max_size=6,
    ),
    prefix=st.sampled_from(["", "a", "a/", "ab/", "b", "x-1/a", "x"]),
)
def test_a_list_is_that_of_the_prefix(tmp_path_factory: pytest.TempPathFactory, paths: list[str], prefix: str) -> None:
    """Both kinds agree, wherever the paths may be files and folders at once or not."""
    paths = [p for p in paths if not any(q != p and q.startswith(p + "/") for q in paths)]
    for store in (LocalStore(tmp_path_factory.mktemp("s")), open_store(f"memory://{uuid4().hex}")):
        for path in paths:
            store.create(path, path.encode())
        assert store.list(prefix) == sorted((p, len(p)) for p in paths if p.startswith(prefix))


def test_drafts_of_killed_writers_are_seen_by_nobody_and_removed(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    store.create("data/a", b"whole")
    draft = tmp_path / "data" / f".b.tmp-{uuid4().hex}"
    draft.write_bytes(b"half a")
    (tmp_path / "data" / ".b.tmp-mine").write_bytes(b"not of a writer")
    assert [path for path, _ in store.list("")] == ["data/.b.tmp-mine", "data/a"]
    store.clean()
    assert not draft.exists()
    assert [path for path, _ in store.list("")] == ["data/.b.tmp-mine", "data/a"]


@pytest.mark.parametrize("call", ["create", "replace", "swap", "delete"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_what_a_disk_refuses_is_one_clear_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    store = LocalStore(tmp_path)
    store.create("a", b"old")
    version = store.read_versioned("a")[1]

    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DatasetError, match=rf"cannot write \({os.strerror(code)}\); what was committed is intact"):
        {
            "create": lambda: store.create("b", b"new"),
            "replace": lambda: store.replace("a", b"new"),
            "swap": lambda: store.swap("a", b"new", version),
            "delete": lambda: store.delete("a"),
        }[call]()
    monkeypatch.undo()
    if call != "delete":
        assert [(p, s) for p, s in store.list("") if p != ".swap.lock"] == [("a", 3)], "no draft, nothing half done"


def test_a_disk_without_hard_links_serves_one_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    store = LocalStore(tmp_path)
    assert store.create("a", b"first") is True
    assert store.create("a", b"second") is False
    assert store.read("a") == b"first"
    assert [path for path, _ in store.list("")] == ["a"]


def test_a_file_where_a_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    store = open_store(tmp_path / "out")
    with pytest.raises(DatasetError, match=r"out: cannot write \("):
        store.create("data/a", b"x")
    with pytest.raises(Missing):
        store.read("run.json")


@pytest.mark.parametrize(
    ("out", "url"),
    [
        pytest.param("some/where", "some/where", id="path"),
        pytest.param(Path("/some/where"), "/some/where", id="Path"),
        pytest.param("file:///some/where", "/some/where", id="file"),
        pytest.param("memory://some/where/", "memory://some/where", id="memory"),
        pytest.param(Path("memory://some/where"), "memory://some/where", id="a Path has lost a slash"),
    ],
)
def test_places(out: str | Path, url: str) -> None:
    assert open_store(out).url == url


@pytest.mark.parametrize(
    ("out", "message"),
    [
        pytest.param("nonsense://bucket/x", r"nonsense://bucket/x: .*s3://bucket/prefix", id="kind"),
        pytest.param("memory:///", r"name a bucket", id="no bucket"),
        pytest.param("s3://key:geheim@bucket/x", r"s3://…@bucket: credentials do not belong", id="credentials"),
    ],
)
def test_places_that_are_none(out: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message) as told:
        open_store(out)
    assert "geheim" not in str(told.value)


@pytest.mark.parametrize("absent", ["fsspec", "s3fs"])
def test_a_package_that_is_not_there_is_named(absent: str) -> None:
    code = (
        f"import sys; sys.modules[{absent!r}] = None\n"
        "from dsgen.pipeline.core.errors import DatasetError\n"
        "from dsgen.pipeline.engine.store import open_store\n"
        "open_store('somewhere')\n"
        "try: open_store('s3://bucket/x')\n"
        "except DatasetError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("s3://bucket/x: ")
    assert done.stdout.endswith("pip install 'dsgen[s3]'\n")
