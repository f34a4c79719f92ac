"""What a run asks of Ray at its start: which cluster, and that Ray leaves the process's own ways alone."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dsgen.pipeline.core.errors import UserError

ray = pytest.importorskip("ray")
on_ray = pytest.importorskip("dsgen.pipeline.engine.on_ray")


class Init:
    """Stands for ``ray.init``: remembers what it was asked, and takes SIGTERM over, as Ray does."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.error: Exception | None = None

    def __call__(self, **options: Any) -> None:
        self.asked = options
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))
        if self.error is not None:
            raise self.error


@pytest.fixture
def init(monkeypatch: pytest.MonkeyPatch) -> Iterator[Init]:
    made = Init()
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(ray, "init", made)
    monkeypatch.setattr(on_ray, "_knock", lambda _: None)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 6.0, "GPU": 2.0})
    monkeypatch.setattr(on_ray.reaper, "Reaper", Reaper)
    before = signal.getsignal(signal.SIGTERM)
    yield made
    signal.signal(signal.SIGTERM, before)


class Reaper:
    ended = 0

    def end(self) -> None:
        Reaper.ended += 1


def test_without_an_address_it_starts_its_own_cluster_and_joins_none_that_happens_to_run(init: Init) -> None:
    executor = on_ray.RayExecutor(3, None)
    assert init.asked["address"] == "local"
    assert init.asked["num_cpus"] == 3
    assert executor.workers == 3


@pytest.mark.parametrize("given", ["auto", "10.0.0.1:6379"])
def test_an_address_is_joined_with_all_its_cpus(init: Init, given: str) -> None:
    executor = on_ray.RayExecutor(None, given)
    assert init.asked["address"] == given
    assert init.asked["num_cpus"] is None
    assert (executor.workers, executor.gpus) == (6, 2)


def test_a_submitted_job_joins_the_cluster_that_runs_it(init: Init, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    on_ray.RayExecutor(None, None)
    assert init.asked["address"] == "10.0.0.1:6379"


@pytest.mark.parametrize("error", [ConnectionError("refused"), ValueError("Invalid address format: here")])
def test_no_cluster_there_is_the_users_to_mend(init: Init, error: Exception) -> None:
    init.error = error
    with pytest.raises(UserError, match=r"no Ray cluster at here: .*--executor local"):
        on_ray.RayExecutor(None, "here")


def test_an_address_where_nobody_listens_is_told_before_ray_tries_for_minutes() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"no Ray cluster at {address}: .*refused"):
            on_ray.RayExecutor(None, address)


def test_ray_does_not_take_over_what_sigterm_means(init: Init) -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    on_ray.RayExecutor(None, None)
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
