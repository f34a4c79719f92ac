"""Faults other than a kill: a poison row, an endless one, a full disk, two drivers, a lost journal, a shared cache."""

from __future__ import annotations

import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import folder
from folder import Output
from processes import Driver, gone
from trial import OWN, RUN_LIMIT_S, Result, Trial

Scene = Callable[[Path, Output], Result]
SCENES: dict[str, Scene] = {}
_ATTEMPTS = 3
_ROW_LIMIT_S = 2.0


def scene(name: str) -> Callable[[Callable[[Stage], None]], None]:
    """Put a function on the list of scenes; what it raises as an AssertionError is a broken law."""

    def register(act: Callable[[Stage], None]) -> None:
        def play(root: Path, reference: Output) -> Result:
            stage = Stage(name, root, reference)
            began = time.monotonic()
            try:
                act(stage)
            except AssertionError as error:
                stage.result.faults.append(str(error))
            stage.result.seconds = time.monotonic() - began
            if not stage.result.faults:
                shutil.rmtree(root)
            return stage.result

        SCENES[name] = play

    return register


class Stage:
    """A folder, and commands in it."""

    def __init__(self, name: str, root: Path, reference: Output) -> None:
        self.output = Output(root)
        self.reference = reference
        self.result = Result(name)

    def workflow(self, options: dict[str, Any] | None = None, **engine: Any) -> Path:
        """The workflow of the reference, with further options of the stand-in."""
        path = self.output.root / "workflow.yaml"
        return folder.workflow(path, log=self.output.log, options=options, executor="local", workers=2, **engine)

    def start(self, *arguments: object, limit: int | None = None, said: str = "said", **env: str) -> Driver:
        """Give a command of dsgen's."""
        return Driver(*arguments, said=self.output.root / said, limit=limit, **env)

    def finish(self, *arguments: object, wanted: int = 0, **options: Any) -> str:
        """Give a command and wait for it; returns what it said."""
        driver = self.start(*arguments, **options)
        code = driver.wait(RUN_LIMIT_S)
        said = (self.output.root / options.get("said", "said")).read_text(errors="replace")
        assert code == wanted, f"exit code {code}, {wanted} is right: {said[-500:]}"
        assert "Traceback" not in said, said[-2000:]
        return said

    def run(self, workflow: Path, **options: Any) -> str:
        """``dsgen run`` in the folder."""
        return self.finish("run", workflow, "--out", self.output.folder, **options)

    def same(self) -> None:
        """The folder holds what the reference holds."""
        made, wanted = self.output.files(), self.reference.files()
        self.result.different = sum(made.get(p) != wanted.get(p) for p in made.keys() | wanted.keys())
        assert not self.result.different, f"{self.result.different} files differ"

    def one_statement(self) -> tuple[str, set[str]]:
        """A statement that stands in no other prompt, and the ids of its samples."""
        rows = sorted(self.reference.rows(["id", "statement"]), key=lambda r: str(r["id"]))
        for row in rows[len(rows) // 2 :]:
            ids = {r["id"] for r in rows if row["statement"] in r["statement"]}
            if len({i.rpartition("-")[0] for i in ids}) == 1 and len(ids) == 2:
                return row["statement"], ids
        raise AssertionError("every statement stands in others too")

    def set_aside(self, ids: set[str], reason: str) -> None:
        """These samples and no others are in quarantine, for a reason; all others are as they should be."""
        aside = self.output.rows(["unit_id", "reason"], "quarantine")
        assert {r["unit_id"] for r in aside} == {i.rpartition("-")[0] for i in ids}, f"in quarantine: {aside}"
        assert len(aside) == len(ids), f"in quarantine: {aside}"
        assert {r["reason"] for r in aside} == {reason}, f"in quarantine: {aside}"
        kept = self.output.rows(["id", "solution", "verdicts"], "data")
        kept += self.output.rows(["id", "solution", "verdicts"], "rejected")
        wanted = [r for r in self.reference.rows(["id", "solution", "verdicts"]) if r["id"] not in ids]
        assert sorted(map(str, kept)) == sorted(map(str, wanted)), "other rows were touched"


@scene("a row that kills every engine")
def _(stage: Stage) -> None:
    statement, ids = stage.one_statement()
    poison = stage.output.root / "poison"
    poison.touch()
    workflow = stage.workflow({"poison": statement, "poison_while": str(poison)}, attempts=_ATTEMPTS)
    said = stage.run(workflow)
    stage.set_aside(ids, "engine_lost")
    assert "2 quarantined" in said, said[-1000:]
    asked = stage.output.asked()
    poison.unlink()
    stage.finish("retry-quarantine", stage.output.folder, "--executor", "local")
    stage.same()
    # The row itself, and the judge's word on its samples.
    again = stage.output.asked() - asked
    assert again <= 1 + len(ids), f"{again} requests were asked to mend one row"


@scene("a reply that no worker gets through")
def _(stage: Stage) -> None:
    """A text so long that checking it takes longer than a row may: its worker is killed, and it alone is set aside."""
    statement, ids = stage.one_statement()
    stage.run(stage.workflow({"endless": statement}, row_limit_s=_ROW_LIMIT_S))
    stage.set_aside(ids, "timeout")


@scene("a full disk")
def _(stage: Stage) -> None:
    """A limit on the size of files stands for it: the journal is the first that may not grow any more."""
    workflow = stage.workflow()
    sizes = [p.stat().st_size for p in (stage.reference.folder / "journal").glob("*.log")]
    said = stage.run(workflow, wanted=2, limit=max(sizes) // 2048)
    assert "cannot write" in said and "what was committed is intact" in said, said[-500:]
    kept, commits = stage.output.kept(), stage.output.commits()
    assert kept, "nothing was kept before the disk was full"
    stage.run(workflow, said="later")
    stage.same()
    stage.result.again = sum(n - 1 for key, n in stage.output.begun().items() if key in kept)
    assert not stage.result.again, f"{stage.result.again} durable replies were asked again"
    assert commits.items() <= stage.output.commits().items(), "commits were written again"


@scene("two drivers in one folder")
def _(stage: Stage) -> None:
    workflow = stage.workflow()
    first = stage.start("run", workflow, "--out", stage.output.folder)
    while not stage.output.asked() and not first.ended:
        time.sleep(0.02)
    said = stage.run(workflow, wanted=2, said="second")
    assert "another run" in said and f"pid {first.process.pid}" in said, said
    assert first.wait(RUN_LIMIT_S) == 0, "the first one was disturbed"
    stage.same()
    assert set(stage.output.begun().values()) == {1}, "the second one asked for something"


@scene("a journal that is gone")
def _(stage: Stage) -> None:
    """Without its cache a run costs more and makes the same."""
    trial = Trial(stage.output.root, stage.reference, random.Random(0), workers=2)
    driver = trial.start()
    while stage.output.asked() < stage.reference.asked() / 2 and not driver.ended:
        time.sleep(0.02)
    driver.process.kill()
    driver.process.wait()
    shutil.rmtree(stage.output.folder / "journal")
    assert trial.start().wait(RUN_LIMIT_S) == 0
    stage.same()


@scene("a cache that runs share")
def _(stage: Stage) -> None:
    """A second run beside the first's Redis makes the same and asks for nothing."""
    if shutil.which("redis-server") is None:
        stage.result.name += " (left out: no redis-server)"
        return
    workflow = stage.workflow()
    with _redis(stage.output.root) as url:
        stage.run(workflow, DSGEN_REDIS_URL=url)
        stage.same()
        asked = stage.output.asked()
        shutil.rmtree(stage.output.folder)
        stage.run(workflow, DSGEN_REDIS_URL=url)
    stage.same()
    assert stage.output.asked() == asked, f"{stage.output.asked() - asked} requests were asked again"


@scene("a request to end")
def _(stage: Stage) -> None:
    """SIGTERM, then Ctrl-C: all processes of the engines' end within seconds, and the next start goes on."""
    workflow = stage.workflow()
    for share, number in ((0.2, "SIGTERM"), (0.5, "SIGINT")):
        driver = stage.start("run", workflow, "--out", stage.output.folder)
        while stage.output.asked() < share * stage.reference.asked() and not driver.ended:
            time.sleep(0.02)
        assert len(driver.find(OWN)) == folder.ENGINES, "the engines have no processes of their own"
        subprocess.run(["kill", f"-{number}", str(driver.process.pid)], check=True)
        began = time.monotonic()
        code = driver.wait(60)
        took = time.monotonic() - began
        left = gone(driver.family, 10)
        said = (stage.output.root / "said").read_text()
        assert code == 130, f"{number}: exit code {code}"
        assert took < 15, f"{number}: it took {took:.0f} s"
        assert not left, f"{number}: left behind {left}"
        assert "the same command goes on from there" in said and "Traceback" not in said, said[-2000:]
    stage.run(workflow)
    stage.same()


@contextmanager
def _redis(root: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(root)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        server.kill()
        server.wait()
