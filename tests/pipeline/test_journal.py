"""The journal: what was answered is never asked again, what was torn is never believed."""

import asyncio
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.journal import Journal
from dsgen.pipeline.engine.records import Torn, read
from dsgen.pipeline.engine.store import LocalStore, Store, open_store


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    return open_store(tmp_path / "out" if request.param == "folder" else f"memory://{uuid4().hex}/out")


def opened(store: Store, **options: Any) -> Journal:
    return Journal(store, **{"flush_s": 0.001, **options})


def record(key: str, text: str = "4", **more: Any) -> dict[str, Any]:
    return {"key": key, "text": text, **more}


def frame(body: bytes) -> bytes:
    return struct.pack("<II", len(body), zlib.crc32(body)) + body


async def test_a_record_is_found_at_once_and_after_a_restart(store: Store) -> None:
    first = opened(store)
    await first.append(record("a"))
    assert first.get("a") == record("a")
    assert first.get("b") is None
    # No close: a killed driver closes nothing.
    second = opened(store)
    assert second.get("a") == await second.find("a") == record("a")
    assert second.get("b") is await second.find("b") is None
    assert len(second) == 1
    await first.close()
    await second.close()


@pytest.mark.parametrize("key", ["", "ä", 'a"b', "a\\b", "a" * 100_000, "\u2028", "key"])
async def test_any_text_is_a_key(store: Store, key: str) -> None:
    journal = opened(store)
    # The key need not come first in what is given.
    await journal.append({"text": "x" * 100_000, "key": key})
    await journal.close()
    journal = opened(store)
    assert journal.get(key) == {"text": "x" * 100_000, "key": key}
    assert journal.get(key + "'") is None
    await journal.close()


async def test_two_keys_of_one_fingerprint_are_two_keys(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("journal", "records"):
        monkeypatch.setattr(f"dsgen.pipeline.engine.{module}.fingerprint", lambda _: 7)
    journal = opened(store)
    for key in "abc":
        await journal.append(record(key, key))
    await journal.close()
    journal = opened(store)
    assert [journal.get(key) for key in "abcd"] == [*(record(key, key) for key in "abc"), None]
    await journal.close()


async def test_the_first_record_that_serves_counts_by_the_order_of_files(store: Store) -> None:
    for text in ("first", "second", "third"):
        journal = opened(store)
        await journal.append(record("a", text))
        await journal.append(record("a", text + " again"))
        await journal.close()
    journal = opened(store)
    assert journal.get("a") == record("a", "first")
    assert journal.get("a", lambda r: r["text"].startswith("third")) == record("a", "third")
    await journal.append(record("a", "fourth"))
    assert journal.get("a", lambda r: "o" in r["text"]) == record("a", "second")
    assert journal.get("a", lambda r: r["text"] == "fourth") == record("a", "fourth")
    await journal.close()


async def test_two_drivers_never_share_a_file(store: Store) -> None:
    one, two = opened(store), opened(store)
    await asyncio.gather(*[j.append(record(f"{i}{n}")) for i in range(20) for n, j in enumerate((one, two))])
    await one.close()
    await two.close()
    numbers = [int(path.partition("-")[2].partition(".")[0]) for path, _ in store.list("journal/")]
    assert numbers == list(range(len(numbers)))
    journal = opened(store)
    assert [journal.get(f"{i}{n}") for i in range(20) for n in (0, 1)] == [
        record(f"{i}{n}") for i in range(20) for n in (0, 1)
    ]
    await journal.close()


async def test_numbers_grow_beyond_their_digits(store: Store) -> None:
    for number, text in ((999_999, "older"), (1_000_000, "newer")):
        store.create(f"journal/replies-{number}.log", frame(orjson.dumps(record("a", text))))
    journal = opened(store)
    assert journal.get("a") == record("a", "older")
    await journal.append(record("b"))
    await journal.close()
    assert store.size("journal/replies-1000001.log")


async def test_a_journal_that_was_not_used_leaves_no_file(store: Store) -> None:
    journal = opened(store)
    await journal.close()
    assert store.list("") == []


async def test_many_appends_are_few_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = 0
    real = os.fdatasync

    def counted(handle: int) -> None:
        nonlocal syncs
        syncs += 1
        real(handle)

    monkeypatch.setattr(os, "fdatasync", counted)
    store = LocalStore(tmp_path)
    journal = opened(store)

    async def lane(number: int) -> None:
        for i in range(400):
            await journal.append(record(f"{number}.{i}"))

    async with asyncio.TaskGroup() as lanes:
        for number in range(250):
            lanes.create_task(lane(number))
    assert syncs <= 2000, "a hundred thousand records, and 250 wait at a time"
    await journal.close()
    journal = opened(store)
    assert len(journal) == 100_000
    assert journal.get("17.399") == record("17.399")
    assert journal.torn == 0
    # Sorted arrays of two words a record: a million replies must not fill the driver's memory.
    assert sum(words.nbytes for run in journal._places._runs for words in run) == 16 * len(journal)
    await journal.close()


async def test_append_returns_when_the_record_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    synced, release = threading.Event(), threading.Event()

    def slow(_: int) -> None:
        synced.set()
        release.wait(10)

    monkeypatch.setattr(os, "fdatasync", slow)
    journal = opened(LocalStore(tmp_path))
    appending = asyncio.create_task(journal.append(record("a")))
    await asyncio.to_thread(synced.wait, 10)
    await asyncio.sleep(0.01)
    assert not appending.done()
    assert journal.get("a") is None, "what is not durable is not yet known"
    release.set()
    await appending
    assert journal.get("a") == record("a")
    await journal.close()


async def test_an_object_store_gathers_for_a_while_or_until_a_segment_is_full() -> None:
    store = open_store(f"memory://{uuid4().hex}")
    journal = Journal(store, flush_s=3600, group_bytes=4000)
    small = [asyncio.create_task(journal.append(record(f"s{i}"))) for i in range(10)]
    await asyncio.sleep(0.02)
    assert store.list("") == []
    large = [asyncio.create_task(journal.append(record(f"l{i}", "x" * 1000))) for i in range(8)]
    await asyncio.wait(small + large[:6], timeout=5)
    assert all(task.done() for task in small + large[:6])
    assert all(size <= 4000 for _, size in store.list(""))
    journal.flush()
    await asyncio.wait_for(asyncio.gather(*large), 5)
    journal.flush()
    last = asyncio.create_task(journal.append(record("last")))
    await asyncio.sleep(0.02)
    assert not last.done(), "a flush with nothing to write is over"
    await journal.close()
    await last
    journal = opened(store)
    assert len(journal) == 19
    assert journal.get("l7") == record("l7", "x" * 1000)
    await journal.close()


async def test_a_record_larger_than_a_group_is_written_alone(store: Store) -> None:
    journal = opened(store, group_bytes=100)
    await asyncio.gather(*[journal.append(record(k, "x" * 300_000)) for k in "abc"])
    assert journal.get("b") == record("b", "x" * 300_000)
    await journal.close()


async def test_a_cancelled_caller_takes_nobody_with_it(store: Store) -> None:
    journal = opened(store, flush_s=0.05)
    tasks = [asyncio.create_task(journal.append(record(k))) for k in "abc"]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.gather(tasks[0], tasks[2])
    assert tasks[1].cancelled()
    assert journal.get("b") == record("b"), "it was under way"
    await journal.close()


async def test_a_full_disk_is_told_to_all_who_wait_and_nothing_is_written_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(LocalStore(tmp_path))
    await journal.append(record("a"))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", full)
    outcomes = await asyncio.gather(*[journal.append(record(k)) for k in "bcd"], return_exceptions=True)
    assert all(isinstance(o, DatasetError) and "No space left on device" in str(o) for o in outcomes)
    monkeypatch.undo()
    with pytest.raises(DatasetError, match="No space left on device"):
        await journal.append(record("e"))
    assert journal.get("a") == record("a")
    await journal.close()


async def test_a_segment_whose_answer_was_lost_is_not_written_twice() -> None:
    store = open_store(f"memory://{uuid4().hex}")
    create = store.create
    store.create = lambda *a: create(*a) and False  # type: ignore[method-assign]
    journal = opened(store)
    await journal.append(record("a"))
    assert len(store.list("")) == 1
    assert journal.get("a") == record("a")
    await journal.close()


KEYS = [f"{i:04x}" for i in range(6)]
WHOLE = b"".join(frame(orjson.dumps(record(k, k * n))) for n, k in enumerate(KEYS))
ENDS = [sum(len(frame(orjson.dumps(record(k, k * n)))) for n, k in enumerate(KEYS[:i])) for i in range(len(KEYS) + 1)]


@pytest.mark.parametrize("chunk", [1, 7, 1 << 20])
def test_a_torn_tail_of_any_length_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("dsgen.pipeline.engine.records._CHUNK", chunk)
    store = LocalStore(tmp_path)
    for cut in range(len(WHOLE) + 1):
        store.replace("journal/replies-000000.log", WHOLE[:cut])
        journal = Journal(store)
        whole = sum(end <= cut for end in ENDS[1:])
        assert [journal.get(k) is not None for k in KEYS] == [n < whole for n in range(len(KEYS))]
        assert journal.torn == (cut not in ENDS)
        asyncio.run(journal.close())


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(WHOLE) - 1), flip=st.integers(1, 255))
def test_a_damaged_record_ends_its_file_and_no_other(
    tmp_path_factory: pytest.TempPathFactory, at: int, flip: int
) -> None:
    store = LocalStore(tmp_path_factory.mktemp("journal"))
    damaged = bytearray(WHOLE)
    damaged[at] ^= flip
    store.create("journal/replies-000000.log", bytes(damaged))
    store.create("journal/replies-000001.log", frame(orjson.dumps(record(KEYS[-1], "from the next file"))))
    journal = Journal(store)
    hurt = sum(end <= at for end in ENDS[1:])
    assert journal.torn == 1
    assert [journal.get(k) for k in KEYS[:hurt]] == [record(k, k * n) for n, k in enumerate(KEYS[:hurt])]
    assert all(journal.get(k) is None for k in KEYS[hurt:-1])
    assert journal.get(KEYS[-1]) == record(KEYS[-1], "from the next file")
    asyncio.run(journal.close())


@settings(max_examples=100, deadline=None)
@given(junk=st.one_of(st.binary(max_size=200), st.integers(1, 200).map(bytes)))
def test_no_junk_is_believed(junk: bytes) -> None:
    """Zeros above all: a disk that lost power leaves them, and the checksum of nothing is zero."""
    store = open_store(f"memory://{uuid4().hex}")
    store.create("journal/replies-000000.log", WHOLE + junk)
    found = []
    try:
        for _, body in read(store, "journal/replies-000000.log", len(WHOLE + junk)):
            found.append(orjson.loads(body))
    except Torn:
        assert junk
    assert found == [record(k, k * n) for n, k in enumerate(KEYS)]


def test_a_killed_writers_records_are_there(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, signal, sys\n"
        "from dsgen.pipeline.engine.journal import Journal; from dsgen.pipeline.engine.store import open_store\n"
        "async def main():\n"
        "    journal = Journal(open_store(sys.argv[1]))\n"
        "    async def one(n):\n"
        "        await journal.append({'key': str(n), 'text': 'x' * 1000})\n"
        "        print(n, flush=True)\n"
        "        if n == 150: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    await asyncio.gather(*[one(n) for n in range(300)])\n"
        "asyncio.run(main())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == -9, done.stderr
    journal = Journal(open_store(tmp_path))
    acknowledged = done.stdout.split()
    assert len(acknowledged) > 100
    assert all(journal.get(n) for n in acknowledged)
    asyncio.run(journal.close())


async def test_a_bounded_number_of_files_is_open(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    for number in range(200):
        store.create(f"journal/replies-{number:06d}.log", frame(orjson.dumps(record(str(number)))))
    journal = Journal(store)
    before = len(list(Path("/proc/self/fd").iterdir()))
    assert all(journal.get(str(n)) == record(str(n)) for n in range(200))
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 64
    await journal.close()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


@pytest.mark.parametrize("other", [b"overwritten by someone else, in place", b"", b"\0" * 100, None])
async def test_a_file_that_changes_under_the_run_is_told(store: Store, other: bytes | None) -> None:
    journal = opened(store)
    await journal.append(record("a"))
    ((path, _),) = store.list("journal/")
    if other is None:
        store.delete(path)  # nobody has read it yet; an open file would stay readable
    elif isinstance(store, LocalStore):
        (store.root / path).write_bytes(other)
    else:
        store.replace(path, other)
    with pytest.raises(DatasetError, match="changed while the run reads it"):
        journal.get("a")
    await journal.close()


async def test_records_that_stand_together_on_an_object_store_are_one_round_trip(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("dsgen.pipeline.engine.records._BLOCK", 1000)
    monkeypatch.setattr("dsgen.pipeline.engine.records._FIRST_READ", 300)
    monkeypatch.setattr("dsgen.pipeline.engine.records._BLOCKS", 3)
    store = open_store(f"memory://{uuid4().hex}")
    journal = opened(store)
    sizes = [(7 * i) % 450 if i % 30 else 2500 for i in range(120)]
    await asyncio.gather(*[journal.append(record(str(i), "x" * n)) for i, n in enumerate(sizes)])
    calls = 0
    real = store.read_range

    def counted(path: str, start: int, length: int) -> bytes:
        nonlocal calls
        calls += 1
        return real(path, start, length)

    store.read_range = counted  # type: ignore[method-assign]
    assert [await journal.find(str(i)) for i in range(120)] == [record(str(i), "x" * n) for i, n in enumerate(sizes)]
    ((_, size),) = store.list("journal/")
    assert calls <= size // 1000 + 1 + 2 * 4
    assert len(journal._reader._blocks) == 3
    await journal.close()
