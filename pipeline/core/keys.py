"""Hashed random keys: every random choice of a run is a function of named scopes, never of order or time."""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from random import Random

Scope = str | int | bytes
_MASK = (1 << 64) - 1


def digest(*scope: Scope, size: int = 16) -> bytes:
    """A hash of the scopes, in which ``("a", "bc")`` and ``("ab", "c")`` differ."""
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in scope]
    return blake2b(b"".join([b"%d:%b" % (len(part), part) for part in parts]), digest_size=size).digest()


class Key:
    """A node in the tree of random streams; equal scopes give equal streams on every machine."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @classmethod
    def of(cls, *scope: Scope) -> Key:
        """The root key of a scope, such as a run's seed."""
        return cls(digest("dsgen", *scope))

    def child(self, *scope: Scope) -> Key:
        """The key below this one; different scopes share nothing."""
        return Key(digest(self.raw, *scope))

    def rng(self) -> Random:
        """A generator seeded with the whole key."""
        return Random(int.from_bytes(self.raw, "big"))  # noqa: S311 - reproducible, not secret

    def number(self) -> int:
        """63 bits of the key, as a seed for an engine that wants a small integer."""
        return int.from_bytes(self.raw[:8], "big") >> 1

    def permutation(self, size: int) -> Permutation:
        """A permutation of ``range(size)`` in constant memory."""
        return _permutation(self.raw, size)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and other.raw == self.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"Key({self.raw.hex()})"


class Permutation:
    """A keyed bijection of ``range(size)``: a four-round Feistel network with cycle walking.

    Luby and Rackoff (1988): four rounds with pseudo-random round functions are a strong pseudo-random
    permutation. Here the rounds use a 64-bit mixer, which is enough for sampling without replacement.
    """

    __slots__ = ("half", "keys", "mask", "size")

    def __init__(self, raw: bytes, size: int) -> None:
        if size < 1:
            raise ValueError(f"a permutation needs at least one element, got {size}")
        self.size = size
        self.half = max(1, ((size - 1).bit_length() + 1) // 2)
        self.mask = (1 << self.half) - 1
        stream = blake2b(raw, digest_size=32).digest()
        self.keys = tuple(int.from_bytes(stream[i : i + 8], "big") for i in range(0, 32, 8))

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < self.size:
            raise IndexError(f"{index} is outside a permutation of {self.size}")
        half, mask = self.half, self.mask
        while True:
            left, right = index >> half, index & mask
            for key in self.keys:
                mixed = ((right ^ key) * 0x9E3779B97F4A7C15) & _MASK
                mixed = ((mixed ^ (mixed >> 29)) * 0xBF58476D1CE4E5B9) & _MASK
                # Halves wider than 64 bits take further words, or their upper bits would stay as they were.
                if half > 64:
                    mixed = int.from_bytes(blake2b(b"%d.%d" % (key, right), digest_size=64).digest(), "big")
                left, right = right, left ^ ((mixed ^ (mixed >> 32)) & mask)
            index = (left << half) | right
            if index < self.size:
                return index


@lru_cache(maxsize=4096)
def _permutation(raw: bytes, size: int) -> Permutation:
    return Permutation(raw, size)
