"""The command line: find the command, read its flags, run it, turn errors into messages and exit codes."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from importlib import import_module

from swiftkit import __version__, assets, flags, helptext, log
from swiftkit.errors import BUG, INTERRUPTED, Problems, SwiftkitError, nearest

# Name to one line of help; `swiftkit/commands/<name>.py` is imported when it is called.
COMMANDS = {
    "sft": "fine-tune a model on your own data",
    "exam": "ask a model questions with known answers, and score it",
    "export": "ship what was trained: merge the adapter into its base model",
    "data": "check a dataset, see its rows as a model sees them",
    "models": "list the models and datasets that swiftkit knows, show one",
    "runs": "list the runs, show one",
    "plugins": "list what other packages and your own folders add, check it",
    "demo": "watch it all, with a real model and without download, in three minutes",
}
REPORT = "this is a bug in swiftkit. Please report it with the traceback above and the output of `swiftkit --version`."


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (see `swiftkit.errors`)."""
    words = sys.argv[1:] if argv is None else argv
    try:
        log.set_up()
        return _dispatch(words)
    except SwiftkitError as error:
        log.print_problems(error.problems)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `swiftkit models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:
        traceback.print_exc()
        print(REPORT, file=sys.stderr)
        return BUG


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        print(f"swiftkit {__version__} (Python {sys.version.split()[0]})")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise SwiftkitError(f"there is no command `{name}`", nearest(name, COMMANDS))
    command = import_module(f"swiftkit.commands.{name}")
    if {"-h", "--help"} & set(rest):
        helptext.parser(name, command.CONFIG, command.EPILOG, flags.PROJECT_FILE).print_help()
        return 0
    problems = Problems()
    given = flags.read(command.CONFIG, rest, problems)
    if given.values.get("registry"):
        with problems.collect():
            assets.add(str(given.values["registry"]))
    code: int = command.run(given, problems)
    return code


def overview() -> str:
    """The help of `swiftkit` itself."""
    commands = "\n".join(f"  {name:8}{said}" for name, said in COMMANDS.items())
    return f"""swiftkit {__version__}
fine-tune a small language model on your own data, and know whether it got better

usage: swiftkit COMMAND [--flag value ...]      (`swiftkit COMMAND --help` lists its flags)

{commands}

examples:
  swiftkit demo
  swiftkit data check my_data.jsonl
  swiftkit sft --model_type qwen2_5-1_5b-instruct --lora_rank 8 --dataset my_data.jsonl
  swiftkit exam --ckpt best --dataset my_exam.jsonl
  swiftkit export --merge_lora
  swiftkit models qwen
  swiftkit runs show v0"""
