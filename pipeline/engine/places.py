"""Where each record of a journal is, in 16 bytes a record: sorted arrays, and a small dictionary for new ones."""

from __future__ import annotations

from array import array
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_FRESH = 1 << 15
_Words = NDArray[np.uint64]


def fingerprint(key: str) -> int:
    """Eight bytes of a key's hash. Two keys may share one: whoever reads a record compares its whole key."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "little")


class Places:
    """Fingerprint → places, in the order in which they were added."""

    def __init__(self) -> None:
        self._runs: list[tuple[_Words, _Words]] = []
        self._fresh: dict[int, tuple[int, ...]] = {}
        self._count = 0

    def add(self, fingerprint: int, place: int) -> None:
        """Note one more place."""
        known = self._fresh.get(fingerprint)
        self._fresh[fingerprint] = (place,) if known is None else (*known, place)
        self._count += 1
        if len(self._fresh) >= _FRESH:
            self._settle()

    def load(self, fingerprints: array[int], places: array[int]) -> None:
        """Note many places at once; the arrays are of type ``Q``."""
        self._settle()
        self._push(np.frombuffer(fingerprints, np.uint64), np.frombuffer(places, np.uint64))
        self._count += len(places)

    def find(self, fingerprint: int) -> list[int]:
        """The places of a fingerprint, first added first."""
        found: list[int] = []
        wanted = np.uint64(fingerprint)
        for fingerprints, places in self._runs:
            at = int(fingerprints.searchsorted(wanted))
            while at < len(fingerprints) and fingerprints[at] == wanted:
                found.append(int(places[at]))
                at += 1
        found += self._fresh.get(fingerprint, ())
        return found

    def __len__(self) -> int:
        return self._count

    def _settle(self) -> None:
        if self._fresh:
            fresh = self._fresh
            counts = np.fromiter(map(len, fresh.values()), np.int64, len(fresh))
            words = np.fromiter(fresh, np.uint64, len(fresh)).repeat(counts)
            places = np.array([place for known in fresh.values() for place in known], np.uint64)
            self._fresh = {}
            self._push(words, places)

    def _push(self, fingerprints: _Words, places: _Words) -> None:
        """Add a run. Runs of similar size are merged, so that there are only a few and each place moves a few times."""
        if not len(places):
            return
        order = np.argsort(fingerprints, kind="stable")
        self._runs.append((fingerprints[order], places[order]))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            (older, older_places), (newer, newer_places) = self._runs[-2:]
            fingerprints = np.concatenate((older, newer))
            # Stable, the older run first: the order of places is kept.
            order = np.argsort(fingerprints, kind="stable")
            self._runs[-2:] = [(fingerprints[order], np.concatenate((older_places, newer_places))[order])]
