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


def commands(output: str, *, as_json: bool) -> list[list[str]]:
    """What the demo runs; as JSON the training alone, whose result is the demo's."""
    train = ["sft", "--model_type", "tiny-math", "--lora_rank", "8", "--output_dir", output]
    if as_json:
        return [[*train, "--json"]]
    return [["models", "show", "tiny-math"], train, ["runs", "--output_dir", output]]


def _run(words: list[str]) -> int:
    """Run one command to its end. Ctrl-C reaches it as well, and it says itself how it ended; so only wait."""
    with subprocess.Popen([sys.executable, "-m", "swiftkit", *words]) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def run(given: Given, problems: Problems) -> int:
    """Run them all; returns the exit code."""
    problems.raise_any()
    config = build(DemoConfig, given)
    for words in commands(config.output_dir, as_json=config.json_):
        print(f"\n$ swiftkit {shlex.join(words)}", file=sys.stderr if config.json_ else sys.stdout, flush=True)
        code = _run(words)
        if code in (INTERRUPTED, TERMINATED):
            return code
        if code:
            raise SwiftkitError(f"`swiftkit {shlex.join(words)}` ended with {code}", exit_code=max(code, FAILED))
    return 0
