"""Whole runs through the command line, in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Dsgen = Callable[..., "subprocess.CompletedProcess[str]"]

SMALL = {
    "name": "small",
    "seed": 17,
    "bucket_units": 100,
    "sources": [{"kind": "templates", "seeds": 2}, {"kind": "gsm8k", "limit": 20}],
    "mutators": [{"kind": "perturb", "count": 2}, {"kind": "invert_backward", "count": 1}],
    "teacher": "derivation",
    "validators": [{"kind": "format"}, {"kind": "answer"}, {"kind": "steps"}, {"kind": "second_solver"}],
}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-P", "-m", "dsgen", *map(str, arguments)]


@pytest.fixture(scope="session")
def dsgen() -> Dsgen:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("DSGEN_")} | {"HF_HUB_OFFLINE": "1"}

    def call(*arguments: object, cwd: Path | None = None, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            timeout=110,
            cwd=cwd,
            env=environment | environ,
            check=False,
        )

    return call


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workflow") / "small.yaml"
    path.write_text(yaml.safe_dump(SMALL))
    return path


@pytest.fixture(scope="session")
def dataset(dsgen: Dsgen, small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small workflow's dataset, made by the local executor."""
    out = tmp_path_factory.mktemp("dataset") / "out"
    done = dsgen("run", small, "--out", out, "--executor", "local")
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """The data files of a dataset by their relative paths."""

    def read(folder: Path) -> dict[str, bytes]:
        paths = [p for kind in ("data", "rejected", "quarantine") for p in sorted((folder / kind).rglob("*.parquet"))]
        return {str(p.relative_to(folder)): p.read_bytes() for p in paths}

    return read


@pytest.fixture
def settings() -> dict[str, Any]:
    """The small workflow as data, to be changed."""
    return dict(SMALL)
