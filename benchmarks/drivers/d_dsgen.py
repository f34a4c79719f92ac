"""A whole `dsgen run` behind the arguments that a comparison gives to every tool.

The folder decides: the same command in the same folder resumes. Records `{"idx", "problem"}` become a records source;
their gold answer is 42, which is what a mock endpoint says. The last line is `DRIVER_JSON {"rows": …, "good": …}`.

    python d_dsgen.py --base-url http://127.0.0.1:8199/v1 --prompts prompts.jsonl --out FOLDER [--concurrency 64]

`--batch` is the number of problems in a commit, `--replicas` the number of CPU workers, `--variant ray` runs on Ray.
Only the standard library is imported here: what is measured is dsgen.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base-url", required=True)
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--concurrency", type=int, default=64, help="calls at the same time")
    parser.add_argument("--batch", type=int, default=0, help="problems a commit; chosen when absent")
    parser.add_argument("--replicas", type=int, default=0, help="CPU workers; all cores when absent")
    parser.add_argument("--variant", choices=["", "local", "ray"], default="")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for one call")
    given = parser.parse_args()
    folder = Path(given.out)
    folder.mkdir(parents=True, exist_ok=True)
    seeds = folder / "records.jsonl"
    with Path(given.prompts).open() as prompts, seeds.open("w") as file:
        rows = 0
        for line in prompts:
            file.write(json.dumps({"question": json.loads(line)["problem"], "answer": "42"}) + "\n")
            rows += 1
    workflow = {
        "name": "endpoint",
        "seed": 1,
        "bucket_units": given.batch or min(500, max(10, rows // 10)),
        "sources": [{"kind": "records", "path": str(seeds)}],
        "teacher": {
            "kind": "openai",
            "base_url": given.base_url,
            "model": "mock",
            "slots": given.concurrency,
            "timeout_s": given.timeout,
            "max_tokens": 1024,
        },
        "validators": [{"kind": "format"}, {"kind": "answer"}],
        "engine": {"executor": given.variant or "local"},
    }
    file = folder / "workflow.yaml"
    file.write_text(json.dumps(workflow))  # JSON is YAML
    command = [sys.executable, "-P", "-m", "dsgen", "run", str(file), "--out", str(folder / "dataset")]
    if given.replicas:
        command += ["--workers", str(given.replicas)]
    done = subprocess.run(command, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    counts = json.loads((folder / "dataset" / "manifest.json").read_text())["counts"]
    print("DRIVER_JSON " + json.dumps({"rows": counts["planned"], "good": counts["accepted"]}), flush=True)


if __name__ == "__main__":
    main()
