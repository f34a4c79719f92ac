"""A teacher that fits into the repository: a small Qwen3-MoE trained on dsgen's own exact rows.

What it can and cannot do, with the figures, is in ``checkpoint/README.md``.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

SHIPPED = "dsgen/tiny"
"""The model's name in workflows; no hub is asked for it."""


def checkpoint() -> Path:
    """The folder with the trained weights, their tokenizer and their card, as an engine loads it."""
    return Path(str(files(__name__) / "checkpoint"))
