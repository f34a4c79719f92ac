"""A wheel, three nodes and `ray job submit`: every process takes dsgen from the wheel and the bytes stay the same."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2]
BUILT_FROM = ("dsgen", "pipeline", "mutators", "validators", "seeds", "workflows")
SCRIPTS = Path(sysconfig.get_path("scripts"))
START_LIMIT_S = 60
END_LIMIT_S = 10
JOB_LIMIT_S = 150

# The nodes share this interpreter, which has dsgen already. So the wheel writes down where it was imported from.
TRACE = """
import os as _os
import sys as _sys

with open(_os.path.join(_os.environ["TEST_CLUSTER_SEEN"], str(_os.getpid())), "w") as _file:
    _file.write("\\n".join([__file__, *_sys.orig_argv]))
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(280),
    pytest.mark.skipif(
        find_spec("ray") is None or find_spec("aiohttp_cors") is None,
        reason="`ray job submit` needs ray[default]: pip install 'ray[default]'",
    ),
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this tree, built from a copy: a build leaves files beside its sources."""
    copy, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in BUILT_FROM:
        shutil.copytree(SOURCE / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(SOURCE / name, copy)
    with (copy / "dsgen" / "__init__.py").open("a") as file:
        file.write(TRACE)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(made), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=JOB_LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = made.glob("*.whl")
    return built


class Cluster:
    """Nodes of a Ray cluster on this machine, each with a folder of its own, as machines of their own would have."""

    def __init__(self, base: Path, stack: ExitStack) -> None:
        self.base = base
        self.seen = base / "seen"
        self.seen.mkdir()
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("DSGEN_", "RAY_"))} | {
            "PATH": f"{SCRIPTS}{os.pathsep}{os.environ.get('PATH', '')}",
            "PIP_NO_DEPS": "1",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(16),
            "RAY_USAGE_STATS_ENABLED": "0",
            "TEST_CLUSTER_SEEN": str(self.seen),
        }
        self._stack = stack
        port, dashboard, client = free_port(), free_port(), free_port()
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        head = ["--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        self._node("head", *head, "--include-dashboard=true", "--num-cpus=0")
        # One after the other: several at once take too long on two cores.
        for name in ("a", "b"):
            self._node(name, f"--address=127.0.0.1:{port}", "--num-cpus=1")

    def submit(self, folder: Path, wheel: Path, *entrypoint: str) -> subprocess.CompletedProcess[str]:
        environment = json.dumps({"py_modules": [str(wheel)]})
        options = ["--address", self.dashboard, "--working-dir", str(folder), "--runtime-env-json", environment]
        return subprocess.run(
            [str(SCRIPTS / "ray"), "job", "submit", *options, "--", *entrypoint],
            capture_output=True,
            text=True,
            timeout=JOB_LIMIT_S,
            env=self.environment,
            check=False,
        )

    def imports(self) -> dict[str, set[str]]:
        """What processes ran, by the node in whose folder they found dsgen."""
        found: dict[str, set[str]] = {}
        for path in self.seen.iterdir():
            place, *arguments = path.read_text().splitlines()
            found.setdefault(Path(place).relative_to(self.base).parts[0], set()).add(" ".join(arguments))
        return found

    def _node(self, name: str, *options: str) -> None:
        common = ["--node-ip-address=127.0.0.1", "--num-gpus=0", "--object-store-memory=100000000"]
        common += ["--min-worker-port=0", "--max-worker-port=0", f"--dashboard-agent-listen-port={free_port()}"]
        command = [str(SCRIPTS / "ray"), "start", "--block", f"--temp-dir={self.base / name}", *common, *options]
        log = self.base / f"{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen(
                command, stdout=file, stderr=subprocess.STDOUT, env=self.environment, start_new_session=True
            )
        self._stack.callback(end, process)
        deadline = time.monotonic() + START_LIMIT_S
        while "Ray runtime started" not in log.read_text():
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)


def end(node: subprocess.Popen[bytes]) -> None:
    """End a node with all that it has started."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(node.pid, sign)
            node.wait(END_LIMIT_S)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            pass


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    # Not in pytest's own folder: Ray puts sockets there, whose paths may have 107 characters.
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as base, ExitStack() as stack:
        yield Cluster(Path(base), stack)


def test_a_submitted_job_takes_the_wheel_to_every_node_and_writes_the_same_bytes(
    cluster: Cluster,
    wheel: Path,
    small: Path,
    dataset: Path,
    tmp_path: Path,
    contents: Callable[[Path], dict[str, bytes]],
) -> None:
    out = tmp_path / "out"
    done = cluster.submit(small.parent, wheel, "python", "-m", "dsgen", "run", small.name, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    assert contents(out) == contents(dataset)
    ran = cluster.imports()
    assert set(ran) == {"head", "a", "b"}
    assert any("-m dsgen run" in command for command in ran["head"])
    for node in ("a", "b"):
        assert any("dsgen.pipeline.engine.worker" in command for command in ran[node]), ran
