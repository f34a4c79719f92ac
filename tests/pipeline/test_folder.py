"""The output: one owner, one driver at a time, and commits that are there whole or not at all."""

import errno
import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import orjson
import pytest

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.folder import Folder
from dsgen.pipeline.engine.lease import LeaseLost
from dsgen.pipeline.engine.store import open_store

IDENTITY = {"name": "one", "seed": 1}


def bucket(
    content: bytes = b"rows", number: int = 3, lengths: tuple[str, ...] = ("2k",)
) -> tuple[dict[str, Any], dict[str, bytes]]:
    files = {f"data/{length}/part-{number:06d}.parquet": content + length.encode() for length in lengths}
    listed = [
        {"path": path, "kind": "data", "rows": 1, "bytes": len(raw), "sha256": hashlib.sha256(raw).hexdigest()}
        for path, raw in files.items()
    ]
    return {"bucket": number, "files": listed, "settings": "s"}, files


@pytest.fixture(params=["folder", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "out") if request.param == "folder" else f"memory://{uuid4().hex}/out"


def contents(out: str) -> dict[str, bytes]:
    store = open_store(out)
    return {path: store.read(path) for path, _ in store.list("")}


def succeed(folder: Folder) -> None:
    """Let another driver take the lease over."""
    lease = {"epoch": folder.lease.epoch + 1, "owner": None, "beat": 0, "ttl": 30}
    folder.store.replace("lease.json", orjson.dumps(lease))


def test_a_commit_is_seen_by_the_next_run(out: str) -> None:
    record, files = bucket(lengths=("2k", "16k"))
    with Folder.locked(out, IDENTITY) as folder:
        written = folder.commit(record, files)
    assert written == record | {"epoch": 1}
    with Folder.locked(out, IDENTITY) as folder:
        assert folder.committed() == {3: written}
        assert folder.commit(*bucket(number=4))["epoch"] == 2
    assert contents(out).items() >= files.items()


def test_a_killed_run_between_file_and_record_committed_nothing(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        record, files = bucket(lengths=("2k", "16k"))
        folder.store.create("data/2k/part-000003.parquet", files["data/2k/part-000003.parquet"])
        folder.store.create("data/16k/part-000003.parquet", b"other rows")
        assert folder.committed() == {}
        folder.commit(record, files)
        assert list(folder.committed()) == [3]
    assert contents(out).items() >= files.items()


def test_a_missing_committed_file_is_told(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        folder.commit(*bucket())
        folder.store.replace("data/2k/part-000003.parquet", b"longer than it was")
        with pytest.raises(DatasetError, match="missing or changed"):
            folder.committed()
        folder.store.delete("data/2k/part-000003.parquet")
        with pytest.raises(DatasetError, match=r"bucket-000003\.json to have the bucket made again"):
            folder.committed()


def test_a_retracted_bucket_is_gone_with_its_files(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        folder.retract(folder.commit(*bucket()))
        assert folder.committed() == {}
        assert folder.store.list("data/") == []


def test_a_driver_that_was_succeeded_changes_nothing(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        record = folder.commit(*bucket())
        succeed(folder)
        before = contents(out)
        for change in (
            lambda: folder.commit(*bucket(number=4)),
            lambda: folder.retract(record),
            lambda: folder.publish("manifest.json", b"{}"),
            lambda: folder.save_state("routes", {}),
        ):
            with pytest.raises(LeaseLost, match="this one stops; nothing is lost"):
                change()
    assert contents(out) == before, "not even the lease was given back: it was not its own"


def test_a_driver_that_was_succeeded_in_the_middle_of_a_commit_does_not_write_over_its_successor(
    out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It slept after its check; meanwhile the successor committed the same bucket with other replies."""
    with Folder.locked(out, IDENTITY) as folder:
        check = folder.lease.check

        def sleep_after_it() -> None:
            check()
            monkeypatch.undo()
            folder.store.create("data/2k/part-000003.parquet", b"the successor's")
            folder.store.create("commits/bucket-000003.json", b"{}")
            succeed(folder)

        monkeypatch.setattr(folder.lease, "check", sleep_after_it)
        with pytest.raises(LeaseLost):
            folder.commit(*bucket())
    kept = contents(out)
    assert kept["data/2k/part-000003.parquet"] == b"the successor's"
    assert kept["commits/bucket-000003.json"] == b"{}"


def test_the_owners_word_counts_against_a_late_record_of_its_predecessor(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        late, late_files = bucket(b"late", lengths=("2k", "16k"))
        for path, raw in late_files.items():
            folder.store.create(path, raw)
        folder.store.create("commits/bucket-000003.json", orjson.dumps(late | {"epoch": 0}))
        record, files = bucket()
        written = folder.commit(record, files)
        assert folder.committed() == {3: written}
        assert [path for path, _ in folder.store.list("data/")] == list(files)


@pytest.mark.parametrize("what", ["data/2k/part-000003.parquet", "commits/bucket-000003.json"])
def test_a_write_whose_answer_was_lost_is_no_conflict(out: str, what: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        create = folder.store.create

        def lost(path: str, content: bytes) -> bool:
            return create(path, content) and path != what

        folder.store.create = lost  # type: ignore[method-assign]
        folder.commit(*bucket())
        assert list(folder.committed()) == [3]


def test_another_run_is_refused_and_nothing_is_touched(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        folder.commit(*bucket())
    before = contents(out)
    refused = pytest.raises(DatasetError, match=r"belongs to another run \(`one`; different: seed\)")
    with refused, Folder.locked(out, IDENTITY | {"seed": 2}):
        pass
    assert contents(out) == before


def test_a_place_with_other_things_is_refused_and_nothing_is_touched(out: str) -> None:
    open_store(out).create("chapters/thesis.tex", b"precious")
    refused = pytest.raises(DatasetError, match=r"is not empty and not a dataset of dsgen \(it holds chapters\)")
    with refused, Folder.locked(out, IDENTITY):
        pass
    assert contents(out) == {"chapters/thesis.tex": b"precious"}


def test_small_state_is_kept(out: str) -> None:
    with Folder.locked(out, IDENTITY) as folder:
        assert folder.load_state("routes") is None
        assert folder.load_survey() is None
        folder.save_state("routes", {"algebra": ["a", 1]})
        folder.save_state("routes", {"algebra": ["b", 2]})
        folder.save_survey({"kept": np.arange(5)}, {"units": 5})
    with Folder.locked(out, IDENTITY) as folder:
        assert folder.load_state("routes") == {"algebra": ["b", 2]}
        survey = folder.load_survey()
        assert survey is not None
        assert survey[0]["kept"].tolist() == [0, 1, 2, 3, 4]
        assert survey[1] == {"units": 5}


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from dsgen.pipeline.engine.folder import Folder\n"
        "with Folder.locked(Path(sys.argv[1]), {'name': 'one', 'seed': 1}):\n"
        "    print('mine', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(tmp_path / "out")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"mine\n"
    refused = pytest.raises(DatasetError, match=rf"another run \(host .*, pid {holder.pid}\) is writing")
    with refused, Folder.locked(tmp_path / "out", IDENTITY):
        pass
    holder.kill()
    holder.communicate()
    with Folder.locked(tmp_path / "out", IDENTITY):
        pass  # the lock of a killed driver is free


@pytest.mark.parametrize("call", ["fsync", "link"])
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_killed_anywhere_in_a_commit_it_is_whole_or_not_there(tmp_path: Path, call: str, nth: int) -> None:
    """Two data files and a record are three links and, with their folders, more syncs."""
    code = (
        "import os, signal, sys; from dsgen.pipeline.engine.folder import Folder\n"
        "with Folder.locked(sys.argv[1], {'name': 'one', 'seed': 1}) as folder:\n"
        f"    left, real = [{nth}], os.{call}\n"
        "    def deadly(*a, **k):\n"
        "        left[0] -= 1\n"
        "        if not left[0]: os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return real(*a, **k)\n"
        f"    os.{call} = deadly\n"
        "    folder.commit(*eval(sys.argv[2]))"
    )
    record, files = bucket(lengths=("2k", "16k"))
    out = str(tmp_path / "out")
    done = subprocess.run([sys.executable, "-P", "-c", code, out, repr((record, files))], check=False)
    assert done.returncode == -signal.SIGKILL
    with Folder.locked(out, IDENTITY) as folder:
        assert folder.committed() == {}
        folder.commit(record, files)
    kept = contents(out)
    assert kept.items() >= files.items()
    assert sorted(path for path in kept if path.startswith("data/")) == sorted(files), "no draft is left"


def test_drafts_of_a_killed_run_are_removed_at_the_next_start(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Folder.locked(out, IDENTITY) as folder:
        folder.commit(*bucket())
    draft = out / "data/2k" / f".part-000004.parquet.tmp-{uuid4().hex}"
    draft.write_bytes(b"half a fi")
    with Folder.locked(out, IDENTITY) as folder:
        assert list(folder.committed()) == [3]
        assert not draft.exists()


def test_a_full_disk_is_one_clear_message_and_leaves_commits_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        folder.commit(*bucket())

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(
            DatasetError, match=r"cannot write \(No space left on device\); what was committed is intact"
        ):
            folder.commit(*bucket(b"more", 4))
        monkeypatch.undo()
        assert list(folder.committed()) == [3]
        assert [path for path, _ in folder.store.list("data/")] == ["data/2k/part-000003.parquet"]
