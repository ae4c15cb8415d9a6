"""`swiftkit demo`: the real commands, one after another, each printed before it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys

from swiftkit.config import DemoConfig
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, Problems, SwiftkitError
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


def _run(command: list[str]) -> int:
    """Run one command to its end. Ctrl-C reaches it as well, and it says itself how it ended; so only wait."""
    with subprocess.Popen(command) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def run(given: Given, problems: Problems) -> int:
    """Run them all; returns the exit code."""
    problems.raise_any()
    config = build(DemoConfig, given)
    for words in commands(config.output_dir):
        print(f"\n$ swiftkit {shlex.join(words)}", flush=True)
        code = _run([sys.executable, "-m", "swiftkit", *words])
        if code in (INTERRUPTED, TERMINATED):
            return code
        if code:
            raise SwiftkitError(f"`swiftkit {shlex.join(words)}` ended with {code}", exit_code=max(code, FAILED))
    return 0
