"""`swiftkit demo`: the real commands, one after another, each printed before it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys

from swiftkit.config import DemoConfig
from swiftkit.errors import FAILED, Problems, SwiftkitError
from swiftkit.flags import Given, build

CONFIG = DemoConfig
EPILOG = """\
examples:
  swiftkit demo
  swiftkit demo --output_dir /tmp/demo"""


def commands(output: str) -> list[list[str]]:
    """What the demo runs."""
    return [
        ["models", "show", "tiny-math"],
        ["sft", "--model_type", "tiny-math", "--lora_rank", "8", "--output_dir", output],
        ["runs", "--output_dir", output],
    ]


def run(given: Given, problems: Problems) -> int:
    """Run them all; returns the exit code."""
    problems.raise_any()
    config = build(DemoConfig, given)
    for words in commands(config.output_dir):
        print(f"\n$ swiftkit {shlex.join(words)}", flush=True)
        code = subprocess.run([sys.executable, "-m", "swiftkit", *words]).returncode
        if code:
            raise SwiftkitError(f"`swiftkit {shlex.join(words)}` ended with {code}", exit_code=max(code, FAILED))
    return 0
