"""Training of the teacher, from nothing to a folder that an engine loads: one command, the same weights every time.

    python -m dsgen.pipeline.teachers.tiny.train --out DIR

Needs the packages ``torch`` and ``transformers``; no GPU. All that decides on the result stands in this file, in
``data.py`` and in ``tokenizer.py``; the number of threads may change the last bits of a sum, and with them the weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.teachers.tiny import tokenizer as bpe
from dsgen.pipeline.teachers.tiny.data import TEMPLATES, Example, chosen, example

logger = logging.getLogger(__name__)

CONTEXT = 1024
SEED = 1
EXAMPLES = 4000
"""At most so many different problems of a template; small parameter spaces hold fewer."""
MORE_EXAMPLES = {"algebra/two_tariffs": 8000, "code/stack_machine": 8000}
"""What is hardest to learn: long divisions, negative numbers, ten programs."""
STEPS = 5000
BATCH_TOKENS = 2048
RATE = 1.5e-3
WARMUP = 200
ROUTER_LOSS = 0.01
_POOL = 16  # batches that are cut from one pool of texts sorted by length


class Row(NamedTuple):
    """A text as tokens, and where in it the answer begins."""

    tokens: tuple[int, ...]
    begin: int


def architecture() -> dict[str, Any]:
    """The settings of the Qwen3-MoE: 1.9 million parameters, two of eight experts a token."""
    return {
        "vocab_size": bpe.VOCABULARY,
        "hidden_size": 128,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "intermediate_size": 256,
        "moe_intermediate_size": 128,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "norm_topk_prob": True,
        "decoder_sparse_step": 1,
        "mlp_only_layers": [],
        "router_aux_loss_coef": ROUTER_LOSS,
        "max_position_embeddings": CONTEXT,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "pad_token_id": bpe.SPECIAL.index(bpe.PAD),
        "eos_token_id": bpe.SPECIAL.index(bpe.END),
    }


def build(seed: int = SEED) -> Any:
    """An untrained model."""
    import torch  # noqa: PLC0415 - an extra
    from transformers import Qwen3MoeConfig, Qwen3MoeForCausalLM  # noqa: PLC0415

    torch.manual_seed(seed)
    return Qwen3MoeForCausalLM._from_config(
        Qwen3MoeConfig(**architecture()), attn_implementation="sdpa", experts_implementation="grouped_mm"
    )


def rows(tokenizer: Any, examples: Sequence[Example]) -> list[Row]:
    """The examples as tokens."""
    made = []
    for messages, target in examples:
        asked = tokenizer.encode(bpe.conversation((m.role, m.text) for m in messages)).ids
        said = tokenizer.encode(target + bpe.END).ids
        made.append(Row((*asked, *said), len(asked)))
    return made


def batches(texts: Sequence[Row], rng: Random) -> Iterator[list[Row]]:
    """Batches of texts of similar length without end; every text comes once before any comes again."""
    while True:
        order = rng.sample(texts, len(texts))
        mean = sum(len(row.tokens) for row in order) / len(order)
        pool = max(1, round(_POOL * BATCH_TOKENS / mean))
        for start in range(0, len(order), pool):
            cut = list(_cut(sorted(order[start : start + pool], key=lambda row: len(row.tokens))))
            rng.shuffle(cut)
            yield from cut


def _cut(texts: Sequence[Row]) -> Iterator[list[Row]]:
    """Ascending texts, cut so that a batch with its padding holds about :data:`BATCH_TOKENS`."""
    batch: list[Row] = []
    for row in texts:
        if batch and (len(batch) + 1) * len(row.tokens) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    yield batch


def rate(step: int, steps: int) -> float:
    """The learning rate: a linear start, then half a cosine down to a hundredth."""
    if step < WARMUP:
        return RATE * (step + 1) / WARMUP
    done = (step - WARMUP) / max(1, steps - WARMUP)
    return RATE * (0.01 + 0.99 * (1 + math.cos(math.pi * done)) / 2)


def loss(model: Any, batch: Sequence[Row]) -> Any:
    """Cross-entropy of the answers' tokens, and the balance of every layer's router over tokens that are no padding."""
    import torch  # noqa: PLC0415 - an extra
    from transformers.models.qwen3_moe.modeling_qwen3_moe import load_balancing_loss_func  # noqa: PLC0415

    width = max(len(row.tokens) for row in batch)
    pad = model.config.pad_token_id
    ids = torch.tensor([[*row.tokens, *[pad] * (width - len(row.tokens))] for row in batch])
    place = torch.arange(width)
    real = place < torch.tensor([[len(row.tokens)] for row in batch])
    # The token before the answer's first predicts it; the last predicts nothing.
    asks = real[:, 1:] & (place[1:] >= torch.tensor([[row.begin] for row in batch]))
    # No attention mask: padding stands on the right, where no real token sees it.
    seen = model.model(input_ids=ids, use_cache=False, output_router_logits=True)
    logits = model.lm_head(seen.last_hidden_state[:, :-1][asks])
    config = model.config
    # Layer by layer: over all of them at once, what one router neglects another one's preference hides.
    balances = [
        load_balancing_loss_func((layer,), config.num_experts, config.num_experts_per_tok, real.to(torch.long))
        for layer in seen.router_logits
    ]
    balance = torch.stack(balances).mean()
    return torch.nn.functional.cross_entropy(logits, ids[:, 1:][asks]) + ROUTER_LOSS * balance


def fit(model: Any, texts: Sequence[Row], *, steps: int = STEPS, seed: int = SEED, minutes: float = math.inf) -> int:
    """Train in place; the number of tokens seen.

    Raises:
        TimeoutError: it took more than ``minutes`` of CPU time, the sum over threads.
    """
    import torch  # noqa: PLC0415 - an extra

    decayed = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    groups = [{"params": decayed, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.99))
    began, tokens = time.process_time(), 0
    model.train()
    for step, batch in zip(range(steps), batches(texts, Random(seed)), strict=False):  # noqa: S311 - reproducible
        for group in optimizer.param_groups:
            group["lr"] = rate(step, steps)
        value = loss(model, batch)
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        tokens += sum(len(row.tokens) for row in batch)
        taken = time.process_time() - began
        if step % 50 == 0 or step == steps - 1:
            logger.info(
                "step %d of %d: loss %.4f, %d tokens, %.0f CPU seconds", step, steps, value.item(), tokens, taken
            )
        if taken > 60 * minutes:
            raise TimeoutError(
                f"{step + 1} of {steps} steps took {taken:.0f} CPU seconds, {minutes} minutes are allowed"
            )
    return tokens


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write what an engine needs: settings, weights in bfloat16, tokenizer with its chat template."""
    import torch  # noqa: PLC0415 - an extra

    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(folder)
    bpe.save(tokenizer, folder)
    greedy = {"pad_token_id": model.config.pad_token_id, "eos_token_id": model.config.eos_token_id}
    (folder / "generation_config.json").write_text(json.dumps(greedy, indent=1) + "\n", encoding="utf-8")


def corpus(seed: int) -> list[Example]:
    """All examples to be trained on, template by template."""
    key = Key.of("tiny teacher", "training", seed)
    counts = {template: MORE_EXAMPLES.get(template, EXAMPLES) for template in TEMPLATES}
    return [example(p) for template, n in counts.items() for p in chosen(template, key, held=False, count=n)]


def main() -> None:
    """The command."""
    import torch  # noqa: PLC0415 - an extra

    parser = argparse.ArgumentParser(description="Train the tiny teacher from scratch.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--seed", type=int, default=SEED, help="another seed, another teacher")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--minutes", type=float, default=30, help="CPU time after which to give up")
    parser.add_argument("--threads", type=int, default=1, help="more are faster, and end in other weights")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(arguments.threads)
    torch.use_deterministic_algorithms(True)
    examples = corpus(arguments.seed)
    tokenizer = bpe.train(text for messages, target in examples for text in (messages[-1].text, target))
    texts = rows(tokenizer, examples)
    model = build(arguments.seed)
    size = sum(p.numel() for p in model.parameters())
    logger.info("%d parameters, %d texts of %d tokens", size, len(texts), sum(len(row.tokens) for row in texts))
    fit(model, texts, steps=arguments.steps, seed=arguments.seed, minutes=arguments.minutes)
    save(model, tokenizer, arguments.out)


if __name__ == "__main__":
    main()
