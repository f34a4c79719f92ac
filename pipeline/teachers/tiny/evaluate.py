"""How often the teacher is right, template by template, on problems whose numbers it was never trained on.

    python -m dsgen.pipeline.teachers.tiny.evaluate [--checkpoint DIR] [--count 100] [--profile harder] [--pass-at 4]

Needs the packages ``torch`` and ``transformers``; no GPU.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dsgen.pipeline.core.keys import Key
from dsgen.pipeline.core.problem import Problem
from dsgen.pipeline.core.program import PROFILES as ALL_PROFILES
from dsgen.pipeline.core.reading.compare import Outcome, compare
from dsgen.pipeline.core.reading.final import final_answer
from dsgen.pipeline.teachers.chat import split_reasoning
from dsgen.pipeline.teachers.prompt import prompt
from dsgen.pipeline.teachers.tiny import checkpoint
from dsgen.pipeline.teachers.tiny import tokenizer as bpe
from dsgen.pipeline.teachers.tiny.data import PROFILES, TEMPLATES, chosen

BATCH = 64


class Score(NamedTuple):
    """A template's result: problems, right samples of each."""

    template: str
    right: tuple[int, ...]
    samples: int

    def share(self) -> float:
        """Right samples of all."""
        return sum(self.right) / (self.samples * len(self.right))

    def solved(self) -> float:
        """Problems with a right sample at least."""
        return sum(r > 0 for r in self.right) / len(self.right)


def is_right(problem: Problem, content: str) -> bool:
    """Whether the final answer behind the reasoning is the problem's."""
    final = final_answer(split_reasoning(content)[1])
    return final is not None and compare(problem.answer, final.text, rescue=False).status is Outcome.CORRECT


class Speaker:
    """A model with its tokenizer, for batches of prompts on the CPU."""

    def __init__(self, model: Any, tokenizer: Any) -> None:
        self.model = model
        self.tokenizer = tokenizer

    @classmethod
    def load(cls, folder: Path) -> Speaker:
        """A checkpoint in float32: bfloat16 is slow on most CPUs."""
        import torch  # noqa: PLC0415 - an extra
        from tokenizers import Tokenizer  # noqa: PLC0415
        from transformers import Qwen3MoeForCausalLM  # noqa: PLC0415

        model = Qwen3MoeForCausalLM.from_pretrained(
            folder, dtype=torch.float32, attn_implementation="sdpa", experts_implementation="grouped_mm"
        )
        return cls(model, Tokenizer.from_file(str(folder / "tokenizer.json")))

    def say(self, problems: Sequence[Problem], *, samples: int = 1, temperature: float = 0.0) -> list[list[str]]:
        """Samples for every problem; temperature 0 is greedy."""
        asked = [
            self.tokenizer.encode(bpe.conversation((m.role, m.text) for m in prompt(problem, instructions=""))).ids
            for problem in problems
        ]
        said: list[list[str]] = [[] for _ in problems]
        order = sorted(range(len(problems)), key=lambda i: len(asked[i]))
        for start in range(0, len(order), BATCH):
            part = order[start : start + BATCH]
            for i, texts in zip(part, self._batch([asked[i] for i in part], samples, temperature), strict=True):
                said[i] = texts
        return said

    def _batch(self, asked: Sequence[Sequence[int]], samples: int, temperature: float) -> list[list[str]]:
        import torch  # noqa: PLC0415 - an extra

        width = max(map(len, asked))
        pad = self.model.config.pad_token_id
        ids = torch.tensor([[pad] * (width - len(row)) + list(row) for row in asked])
        sampling = {"do_sample": True, "temperature": temperature, "top_p": 1.0, "top_k": 0} if temperature else {}
        self.model.eval()
        with torch.inference_mode():
            out = self.model.generate(
                input_ids=ids,
                attention_mask=(ids != pad).long(),
                max_new_tokens=self.model.config.max_position_embeddings - width,
                num_return_sequences=samples,
                pad_token_id=pad,
                eos_token_id=self.model.config.eos_token_id,
                **sampling,
            )
        texts = [self.tokenizer.decode(row[width:].tolist()) for row in out]
        return [texts[i : i + samples] for i in range(0, len(texts), samples)]


def measure(
    speaker: Speaker,
    *,
    wanted: Sequence[str] = TEMPLATES,
    count: int = 100,
    profiles: tuple[str, ...] = PROFILES,
    samples: int = 1,
    temperature: float = 0.0,
) -> list[Score]:
    """Scores on held-out problems, the same ones for every teacher."""
    key = Key.of("tiny teacher", "evaluation")
    scores = []
    for template in wanted:
        problems = chosen(template, key, held=True, count=count, profiles=profiles)
        if not problems:
            continue
        said = speaker.say(problems, samples=samples, temperature=temperature)
        right = tuple(sum(is_right(p, text) for text in texts) for p, texts in zip(problems, said, strict=True))
        scores.append(Score(template, right, samples))
    return scores


def main() -> None:
    """The command."""
    import torch  # noqa: PLC0415 - an extra

    parser = argparse.ArgumentParser(description="Accuracy of the tiny teacher on numbers outside its training rows.")
    parser.add_argument("--checkpoint", type=Path, default=checkpoint())
    parser.add_argument("--count", type=int, default=100, help="problems of each template")
    parser.add_argument("--template", action="append", help="may be repeated, taught or not; else all that are taught")
    parser.add_argument("--profile", choices=ALL_PROFILES, action="append", help="may be repeated; else what is taught")
    parser.add_argument("--pass-at", type=int, default=0, metavar="N", help="samples of each problem; 0: greedy")
    parser.add_argument("--temperature", type=float, default=1.0, help="of the samples of --pass-at")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one line of JSON instead of the table")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    began = time.monotonic()
    scores = measure(
        Speaker.load(arguments.checkpoint),
        wanted=arguments.template or TEMPLATES,
        count=arguments.count,
        profiles=tuple(arguments.profile or PROFILES),
        samples=arguments.pass_at or 1,
        temperature=arguments.temperature if arguments.pass_at else 0.0,
    )
    if not scores:
        parser.error("these templates have no numbers of this profile")
    together = Score("all", tuple(r for s in scores for r in s.right), scores[0].samples)
    lines = [*scores, together]
    table = {s.template: {"problems": len(s.right), "right": s.share(), "solved": s.solved()} for s in lines}
    if arguments.json:
        sys.stdout.write(json.dumps(table) + "\n")
        return
    for name, line in table.items():
        solved = f"  pass@{arguments.pass_at} {line['solved']:6.1%}" if arguments.pass_at else ""
        sys.stdout.write(f"{name:34} {line['problems']:5d} problems  {line['right']:6.1%} right{solved}\n")
    sys.stdout.write(f"{time.monotonic() - began:.0f} s\n")


if __name__ == "__main__":
    main()
