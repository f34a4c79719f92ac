"""The main job's promises, checked from outside on its output: counts, unique statements, `load_dataset` offline."""

import json
import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

from datasets import load_dataset

dataset = Path(sys.argv[1])
counts = json.loads((dataset / "manifest.json").read_text())["counts"]
rows = load_dataset(str(dataset), split="train")
statements = rows["statement"]

assert counts["planned"] == sum(n for name, n in counts.items() if name != "planned"), counts
assert len(rows) == counts["accepted"] >= 5000, (len(rows), counts)
assert len(set(statements)) == len(statements), "a statement occurs twice"
for column in ("id", "statement", "solution", "answer"):
    assert rows.features[column].dtype == "string", column
    assert all(rows[column]), f"an empty {column}"
print(f"{len(rows):,} rows, all statements different; {counts}")
