"""The lease: one driver at a time on a store, and a driver that lost it is kept from committing.

``lease.json`` names its owner and an epoch that every new owner raises by one. The owner beats; whoever finds an owner
of another machine watches for a time-to-live whether the beat changes, by its own clock alone: the clocks of two
machines are never compared. An owner of this machine is looked up by its process id and start time. On a local folder
there is the kernel's lock as well, which is given back when its holder dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any
from uuid import uuid4

import orjson
import psutil

from dsgen.pipeline.core.errors import DatasetError
from dsgen.pipeline.engine.store import LocalStore, Missing, Notice, Store, make_folder

PATH = "lease.json"
LOCK = ".lock"
TTL_S = 30.0
SETTLE_S = 2.0


class LeaseLost(DatasetError):
    """Another driver took over; this one may not commit any more."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A driver's process."""

    host: str
    """For people: two machines may bear the same name."""
    place: str
    """The kernel's boot and the process namespace, within which process ids mean something."""
    pid: int
    started: str
    """When the process began, in the kernel's own count: process ids are used again."""
    token: str

    @classmethod
    def this(cls) -> Owner:
        """This process, with a token of its own."""
        return cls(socket.gethostname(), _place(), os.getpid(), started(os.getpid()) or "", uuid4().hex)


class Lease:
    """The right to commit to a store. Thread-safe where it must be: ``renew`` and ``check`` may run at once."""

    def __init__(
        self,
        store: Store,
        *,
        ttl: float = TTL_S,
        notice: Notice = lambda _: None,
        me: Owner | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        start_of: Callable[[int], str | None] | None = None,
    ) -> None:
        self.store = store
        self.ttl = ttl
        self.notice = notice
        self.me = me or Owner.this()
        self.epoch = 0
        self.clock = clock
        self.sleep = sleep
        self.start_of = start_of or started
        self._lock: IO[str] | None = None

    def acquire(self) -> int:
        """Become the owner and return the epoch, the previous one plus one.

        Waits up to the owner's time-to-live where an owner of another machine may be dead.

        Raises:
            DatasetError: a live driver is writing.
        """
        self._lock_folder()
        try:
            self.epoch = self._take()
            if not self.store.conditional:
                # Two that came at the same moment may both have written; the one that wrote last is the owner.
                self.sleep(SETTLE_S)
                self.check()
        except BaseException:
            self._unlock_folder()
            raise
        return self.epoch

    def renew(self) -> None:
        """Beat: tell others that this driver lives.

        Raises:
            LeaseLost: another driver took over.
        """
        while True:
            content, version = self._mine()
            beaten = self._state(self.epoch, int(content["beat"]) + 1)
            if self.store.swap(PATH, beaten, version) or self._is(beaten):
                return

    async def keep(self) -> None:
        """Beat until cancelled, three times in a time-to-live; a store that cannot be reached is tried again.

        Raises:
            LeaseLost: another driver took over.
            DatasetError: the store was out of reach for longer than the time-to-live.
        """
        last = self.clock()
        # A thread of its own: those of asyncio may all be waiting for workers, and the beat must not.
        thread = ThreadPoolExecutor(1, thread_name_prefix="lease")
        try:
            while True:
                await asyncio.sleep(self.ttl / 3)
                try:
                    await asyncio.get_running_loop().run_in_executor(thread, self.renew)
                except LeaseLost:
                    raise
                except DatasetError:
                    if self.clock() - last > self.ttl:
                        raise
                else:
                    last = self.clock()
        finally:
            thread.shutdown(wait=False)

    def check(self) -> None:
        """Make sure, before a commit, that the lease is still this driver's.

        Raises:
            LeaseLost: it is not.
        """
        try:
            content = orjson.loads(self.store.read(PATH))
        except Missing:
            content = {}
        self._demand(content)

    def release(self) -> None:
        """Give the lease back, if it is still ours; the epoch stays for the next owner.

        A store that cannot be reached any more keeps it: the next driver waits for a time-to-live then.
        """
        try:
            with contextlib.suppress(DatasetError):
                while True:
                    _, version = self._mine()
                    if self.store.swap(PATH, self._state(self.epoch, free=True), version):
                        break
        finally:
            self._unlock_folder()

    def _take(self) -> int:
        while True:
            content, version = self._read()
            if content is None or version is None:
                epoch = 1
                state = self._state(epoch)
                if self.store.create(PATH, state) or self._is(state):
                    return epoch
                continue
            if content.get("owner") is not None:
                version = self._outlived(content, version)
            epoch = int(content["epoch"]) + 1
            state = self._state(epoch)
            if self.store.swap(PATH, state, version) or self._is(state):
                return epoch

    def _outlived(self, content: dict[str, Any], version: str) -> str:
        """The version that a dead owner left; waits where only time can tell.

        Raises:
            DatasetError: the owner lives.
        """
        owner = Owner(**content["owner"])
        if owner.place == self.me.place:
            if self.start_of(owner.pid) == owner.started:
                raise self._busy(owner)
            return version
        if self._lock is not None and owner.host == self.me.host:
            # It held the folder's kernel lock, which is ours now: it is gone, with its boot or its container.
            return version
        ttl = float(content["ttl"])
        self.notice(
            f"{self.store.url}: {_named(owner)} was writing here and did not end its run; "
            f"watching for {ttl:g} s whether it still does"
        )
        deadline = self.clock() + ttl
        while self.clock() < deadline:
            self.sleep(min(ttl / 6, max(0.0, deadline - self.clock())))
            now, latest = self._read()
            if now is None or latest is None or now.get("owner") is None or now["epoch"] != content["epoch"]:
                return version  # given back or taken meanwhile: the swap fails, and all is read again
            if now["beat"] != content["beat"]:
                raise self._busy(owner)
        self.notice(f"{self.store.url}: {_named(owner)} gave no sign for {ttl:g} s; taking over")
        return version

    def _busy(self, owner: Owner | None) -> DatasetError:
        who = f" ({_named(owner)})" if owner else ""
        return DatasetError(f"another run{who} is writing to {self.store.url}; wait for it to end, or stop it")

    def _demand(self, content: dict[str, Any]) -> None:
        owner = content.get("owner") or {}
        if owner.get("token") != self.me.token or content.get("epoch") != self.epoch:
            by = f" ({_named(Owner(**owner))})" if owner else ""
            raise LeaseLost(f"{self.store.url}: another driver{by} took over; this one stops; nothing is lost")

    def _mine(self) -> tuple[dict[str, Any], str]:
        content, version = self._read()
        self._demand(content or {})
        assert content is not None and version is not None
        return content, version

    def _read(self) -> tuple[dict[str, Any] | None, str | None]:
        try:
            raw, version = self.store.read_versioned(PATH)
        except Missing:
            return None, None
        return orjson.loads(raw), version

    def _is(self, state: bytes) -> bool:
        """Whether a refused write had in truth been carried out: its answer may have been lost and it was repeated."""
        try:
            return self.store.read(PATH) == state
        except Missing:
            return False

    def _state(self, epoch: int, beat: int = 0, *, free: bool = False) -> bytes:
        owner = None if free else asdict(self.me)
        return orjson.dumps({"epoch": epoch, "owner": owner, "beat": beat, "ttl": self.ttl}, option=orjson.OPT_INDENT_2)

    def _lock_folder(self) -> None:
        if not isinstance(self.store, LocalStore):
            return
        with self.store.writing():
            make_folder(self.store.root)
            lock = (self.store.root / LOCK).open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            owner = (self._read()[0] or {}).get("owner")
            raise self._busy(Owner(**owner) if owner else None) from None
        except OSError:
            # A mounted folder without locks: the lease does it alone.
            lock.close()
            return
        self._lock = lock

    def _unlock_folder(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def started(pid: int) -> str | None:
    """When a process began, or ``None`` when there is none that still works."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        # A killed process whose parent has not looked yet is a zombie.
        return None if fields[0] in "ZX" else fields[19]
    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        return None


def _place() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {psutil.boot_time():.0f}"


def _named(owner: Owner) -> str:
    return f"host {owner.host}, pid {owner.pid}"
