"""`swiftkit data`: check a dataset before training, and show its rows as a model reads them. One file a subcommand."""

from __future__ import annotations

from swiftkit.cli.commands.data import check, show
from swiftkit.cli.commands.data.options import DataConfig
from swiftkit.errors import Problems

EPILOG = """\
examples:
  swiftkit data check my_data.jsonl
      what it contains, what would be dropped, what to fix; what sft refuses is refused here too
  swiftkit data check my_data.jsonl --model_type qwen2_5-1_5b-instruct --exam my_exam.jsonl
      with lengths in tokens, and whether the exam's questions are in it
  swiftkit data show my_data.jsonl --model_type tiny-math
      the first rows as the model reads them, with loss tokens highlighted
  swiftkit data show my_data.jsonl#20 --model_type tiny-math --html rows.html
      twenty random rows, token by token"""
CONFIG = DataConfig


def run(config: DataConfig, problems: Problems) -> int:
    """Check or show; returns the exit code."""
    subcommand, *names = config.words or [""]
    commands = {"check": check.run, "show": show.run}
    if subcommand not in commands:
        problems.add(
            f"`swiftkit data` has no subcommand `{subcommand}`" if subcommand else "`swiftkit data` needs a subcommand",
            "`swiftkit data check FILE` or `swiftkit data show FILE --model_type NAME`",
        )
        problems.raise_any()
    # Words replace the dataset of a file; they add to that of a flag.
    flagged = config.dataset if config.is_typed("dataset") or not names else []
    commands[subcommand](config.model_copy(update={"dataset": [*names, *flagged]}), problems)
    return 0
