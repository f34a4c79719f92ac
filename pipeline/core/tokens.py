"""Token counts by a real tokenizer that ships with dsgen: the byte-level BPE vocabulary of the Qwen models."""

from __future__ import annotations

import binascii
import gzip
import hashlib
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

_VOCABULARY = "qwen.tiktoken.gz"
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class TokenizerName(NamedTuple):
    """What tells one tokenizer from another, in manifests and settings."""

    name: str
    sha256: str
    """Of the vocabulary as it is used, uncompressed."""


class Tokenizer:
    """Counts tokens; the text is data, so special tokens in it count as ordinary text."""

    def __init__(self, name: TokenizerName, encoding: Any) -> None:
        self.name = name
        self._encoding = encoding

    def count(self, text: str) -> int:
        """The number of tokens of a text."""
        return len(self._encoding.encode_ordinary(text))


@lru_cache(maxsize=1)
def shipped() -> Tokenizer:
    """The tokenizer that ships with dsgen."""
    return _load("qwen", _shipped_vocabulary())


@lru_cache(maxsize=1)
def shipped_name() -> TokenizerName:
    """The name of :func:`shipped`, without the third of a second that loading it takes."""
    return TokenizerName("qwen", hashlib.sha256(_shipped_vocabulary()).hexdigest())


def _shipped_vocabulary() -> bytes:
    return gzip.decompress(files("dsgen.pipeline.core").joinpath(_VOCABULARY).read_bytes())


def from_file(path: Path) -> Tokenizer:
    """A tokenizer from a ``.tiktoken`` file (lines of base64 token and rank), cut into pieces as Qwen's is."""
    return _load(path.stem, path.read_bytes())


def _load(name: str, raw: bytes) -> Tokenizer:
    import tiktoken  # noqa: PLC0415 - a third of a second that commands without tokens need not pay

    # Without a Python frame for each of 150,000 lines: every worker process pays for this at its start.
    words = raw.split()
    ranks = dict(zip(map(binascii.a2b_base64, words[::2]), map(int, words[1::2]), strict=True))
    encoding = tiktoken.Encoding(name, pat_str=_PATTERN, mergeable_ranks=ranks, special_tokens={})
    return Tokenizer(TokenizerName(name, hashlib.sha256(raw).hexdigest()), encoding)
