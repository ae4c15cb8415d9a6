"""The command line's entry point: find the command, read its options, run it, turn errors into exit codes."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from swiftkit import __version__, assets
from swiftkit.errors import BUG, INTERRUPTED, Problems, SwiftkitError, nearest
from swiftkit.system import console, session
from swiftkit.system.session import Session

if TYPE_CHECKING:
    from swiftkit.config.fields import Config

# Name to one line of help; `swiftkit/cli/commands/<name>.py` is imported when the command is called.
COMMANDS = {
    "sft": "fine-tune a model on your own data",
    "exam": "evaluate a model on questions with reference answers (alias: eval)",
    "export": "merge an adapter into its base model, ready to serve",
    "data": "check a dataset, or show its rows as a model reads them",
    "models": "list known models and datasets; show, check, fetch or import one",
    "runs": "list the runs, or show one",
    "plugins": "list and check the plugins of other packages and of your own folders",
    "demo": "run the whole loop with a small bundled model; needs no download",
}
ALIASES = {"eval": "exam"}
BUG_REPORT = (
    "this is a bug in swiftkit. Please report it with the traceback above and the output of `swiftkit --version`."
)


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code (see `swiftkit.errors`)."""
    words = sys.argv[1:] if argv is None else argv
    token = session.current.set(Session(shlex.join(["swiftkit", *words]), handles_signals=True))
    try:
        console.configure()
        return _dispatch(words)
    except SwiftkitError as error:
        console.print_problems(error.problems)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # `swiftkit models | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:
        traceback.print_exc()
        print(BUG_REPORT, file=sys.stderr)
        return BUG
    finally:
        session.current.reset(token)


def load_command(name: str) -> ModuleType:
    """The module of a command: `CONFIG`, `EPILOG`, `run(config, problems) -> exit code`."""
    return import_module(f"swiftkit.cli.commands.{name}")


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0 if words else 2
    if words[0] in ("-V", "--version", "version"):
        print(f"swiftkit {__version__} (Python {sys.version.split()[0]})")
        return 0
    name, *rest = words
    name = ALIASES.get(name, name)
    if name not in COMMANDS:
        raise SwiftkitError(f"there is no command `{name}`", nearest(name, COMMANDS))
    from swiftkit.cli import help, parser  # pydantic alone takes longer than the overview
    from swiftkit.config import resolve

    command = load_command(name)
    if {"-h", "--help"} & set(rest):
        help.help_parser(name, command.CONFIG, command.EPILOG).print_help()
        return 0
    problems = Problems()
    config = resolve.build(command.CONFIG, parser.read(command.CONFIG, rest, problems, _configs), problems)
    with assets.search_path(config.registry, problems):
        code: int = command.run(config, problems)
    return code


def _configs() -> Iterator[tuple[str, type[Config]]]:
    """Every command with its options; for names that the command itself does not know, such as in swiftkit.yaml.

    First those whose options are imported without the command, since most names are theirs.
    """
    from swiftkit.config.exam import ExamConfig
    from swiftkit.config.export import ExportConfig
    from swiftkit.config.sft import SftConfig

    light: dict[str, type[Config]] = {"sft": SftConfig, "exam": ExamConfig, "export": ExportConfig}
    yield from light.items()
    for name in COMMANDS:
        if name not in light:
            yield name, load_command(name).CONFIG


def overview() -> str:
    """The help of `swiftkit` itself."""
    commands = "\n".join(f"  {name:8}{line}" for name, line in COMMANDS.items())
    return f"""swiftkit {__version__}
Fine-tune a small language model on your own data, and know whether it got better.

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
