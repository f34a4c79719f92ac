"""How far the records of a GSM8K file lift, and why the others stop.

python benchmarks/lift_funnel.py [FILE.jsonl]      # without a file: the 500 records that ship
"""

from __future__ import annotations

import sys
from collections import Counter

from dsgen.seeds.sources.gsm8k import STAGES, Gsm8k
from dsgen.seeds.text.lift import NotLifted, lift


def main() -> None:
    opened = Gsm8k(path=sys.argv[1]).open() if len(sys.argv) > 1 else Gsm8k().open()
    reached: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    free: Counter[int] = Counter()
    for index in range(len(opened)):
        record = opened.records[index]
        made = lift(record["question"], record["answer"])
        if isinstance(made, NotLifted):
            reached[made.stage] += 1
            reasons[f"{made.stage}: {made.reason}"] += 1
        else:
            reached["lifted"] += 1
            free[len(made.parameters)] += 1
    print(" → ".join(f"{s} {sum(reached[t] for t in STAGES[i:]):,}" for i, s in enumerate(STAGES)))
    print(f"lifted: {reached['lifted'] / len(opened):.1%}; free parameters: {dict(sorted(free.items()))}")
    for reason, count in reasons.most_common(12):
        print(f"  {count:5,} stopped at {reason}")


if __name__ == "__main__":
    main()
