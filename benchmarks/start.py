"""How long a person waits for help, lists and checks: whole processes, in turn, medians.

python benchmarks/start.py [rounds]
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BIN = Path(sys.executable).parent
COMMANDS = {
    "swiftkit --help": ["swiftkit", "--help"],
    "swiftkit sft --help": ["swiftkit", "sft", "--help"],
    "swiftkit models": ["swiftkit", "models"],
    "swiftkit models show": ["swiftkit", "models", "show", "qwen2_5-7b-instruct"],
    "swiftkit sft --dry_run, 1,000 rows": [
        "swiftkit",
        "sft",
        "--model_type",
        "tiny-math",
        "--dataset",
        "rows.jsonl",
        "--dry_run",
    ],
    "swift --help": ["swift", "--help"],
}


def main(rounds: int) -> None:
    seen: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as folder:
        question = "What is {0} + {0}, if there are {0} apples in each of two baskets and nobody eats any of them?"
        turns = [
            [{"role": "user", "content": question.format(i)}, {"role": "assistant", "content": f"{i} + {i} = {2 * i}"}]
            for i in range(1000)
        ]
        Path(folder, "rows.jsonl").write_text("\n".join(json.dumps({"messages": t}) for t in turns))
        for _ in range(rounds + 1):
            for name, (program, *words) in COMMANDS.items():
                began = time.perf_counter()
                subprocess.run([str(BIN / program), *words], cwd=folder, capture_output=True)
                seen[name].append(time.perf_counter() - began)
    for name, times in seen.items():
        counted = times[1:]  # the first round fills the disk cache
        print(f"{name:36} {statistics.median(counted):.3f} s (min {min(counted):.3f}, max {max(counted):.3f})")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
