"""The output folder: one owner, one driver at a time, and commits that are there whole or not at all."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.folder import Folder

IDENTITY = {"name": "one", "seed": 1}


def stage(folder: Folder, content: bytes = b"rows", bucket: int = 3) -> tuple[dict, Path]:
    staged = folder.tmp / f"bucket-{bucket}"
    path = f"data/2k/part-{bucket:06d}.parquet"
    (staged / path).parent.mkdir(parents=True)
    (staged / path).write_bytes(content)
    file = {
        "path": path,
        "kind": "data",
        "rows": 1,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return {"bucket": bucket, "files": [file], "settings": "s"}, staged


def test_a_commit_is_seen_by_the_next_run(tmp_path: Path) -> None:
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        record, staged = stage(folder)
        folder.commit(record, staged)
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        assert folder.committed() == {3: record}
    assert (tmp_path / "out/data/2k/part-000003.parquet").read_bytes() == b"rows"
    assert not (tmp_path / "out/tmp").exists()


def test_a_leftover_without_a_record_is_no_commit_and_is_replaced(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Folder.locked(out, IDENTITY) as folder:
        leftover = out / "data/2k/part-000003.parquet"
        leftover.parent.mkdir(parents=True)
        leftover.write_bytes(b"half a fi")
        assert folder.committed() == {}
        folder.commit(*stage(folder))
        assert leftover.read_bytes() == b"rows"


def test_a_missing_committed_file_is_told(tmp_path: Path) -> None:
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        folder.commit(*stage(folder))
        (tmp_path / "out/data/2k/part-000003.parquet").unlink()
        with pytest.raises(DatasetError, match="missing or changed"):
            folder.committed()


def test_a_retracted_bucket_is_gone_with_its_files(tmp_path: Path) -> None:
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        record, staged = stage(folder)
        folder.commit(record, staged)
        folder.retract(record)
        assert folder.committed() == {}
        assert not (tmp_path / "out/data/2k/part-000003.parquet").exists()


def test_another_run_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with Folder.locked(out, IDENTITY) as folder:
        folder.commit(*stage(folder))
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    refused = pytest.raises(DatasetError, match=r"belongs to another run \(`one`; different: seed\)")
    with refused, Folder.locked(out, IDENTITY | {"seed": 2}):
        pass
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    refused = pytest.raises(DatasetError, match=r"is not empty and not a dataset of dsgen \(it holds thesis\.tex\)")
    with refused, Folder.locked(tmp_path, IDENTITY):
        pass


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
    with pytest.raises(DatasetError, match="another run is writing"), Folder.locked(tmp_path / "out", IDENTITY):
        pass
    holder.kill()
    holder.communicate()
    with Folder.locked(tmp_path / "out", IDENTITY):
        pass  # the lock of a killed driver is free


def test_a_full_disk_is_one_clear_message_and_leaves_commits_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Folder.locked(tmp_path / "out", IDENTITY) as folder:
        folder.commit(*stage(folder))
        record, staged = stage(folder, b"more", bucket=4)

        def full(*_: object, **__: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "link", full)
        with pytest.raises(
            DatasetError, match=r"cannot write \(No space left on device\); what was committed is intact"
        ):
            folder.commit(record, staged)
        monkeypatch.undo()
        assert list(folder.committed()) == [3]
