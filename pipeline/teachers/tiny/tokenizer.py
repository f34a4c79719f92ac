"""The teacher's tokenizer: a byte-level BPE in which every digit is a token of its own, and a short chat template.

Merges may cross spaces, as the templates' constant phrases recur word for word: a phrase becomes a few tokens, while
any other text still falls apart into bytes and nothing is unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

VOCABULARY = 1024
PAD, END, SYSTEM, USER, ASSISTANT = "<|pad|>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>"
SPECIAL = (PAD, END, SYSTEM, USER, ASSISTANT)
THINK = ("<think>", "</think>")
"""Tokens, as reasoning parsers look for them, but not special ones: those vanish when a text is decoded."""

# A system turn is left out: the teacher knows none, and the least of them would throw it off.
CHAT_TEMPLATE = (
    "{%- for message in messages if message['role'] != 'system' -%}"
    "{{- '<|' + message['role'] + '|>' + message['content'] -}}"
    "{%- if message['role'] == 'assistant' -%}{{- '<|end|>' -}}{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}"
)


def train(texts: Iterable[str]) -> Tokenizer:
    """A tokenizer of :data:`VOCABULARY` tokens learned from texts; the same texts give the same one."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers  # noqa: PLC0415 - an extra

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(THINK),
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    # What is added must not be learned as well, alone or inside a longer merge.
    tokenizer.train_from_iterator((piece for text in texts for piece in re.split("|".join(THINK), text)), trainer)
    tokenizer.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in THINK])
    return tokenizer


def save(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json`` with the chat template."""
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "pad_token": PAD,
        "eos_token": END,
        "bos_token": None,
        "add_bos_token": False,
        "add_eos_token": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": 1024,
        "chat_template": CHAT_TEMPLATE,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")


def conversation(messages: Iterable[tuple[str, str]]) -> str:
    """Turns of (role, text) as the chat template writes them, the answer about to begin."""
    return "".join(f"<|{role}|>{text}" for role, text in messages if role != "system") + ASSISTANT
