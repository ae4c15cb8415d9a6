"""`swiftkit demo`: the whole loop with the bundled model, in real commands, each printed before it runs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from swiftkit import files
from swiftkit.config.fields import PROJECT_FILE, Config, flag
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, Problems, SwiftkitError
from swiftkit.exams.result import ExamResult, list_results
from swiftkit.training.run import Run, list_runs

MODEL = "tiny-math"
EPILOG = """\
examples:
  swiftkit demo
  swiftkit demo --max_steps 40
      a shorter training, for a first look
  swiftkit demo --output_dir /tmp/demo"""


class DemoConfig(Config):
    """Fine-tune the bundled model on the bundled data, with real commands, each printed before it runs."""

    max_steps: int | None = flag(
        None, "Stop the training after this many optimizer steps.", "Training", ge=1, shown="three epochs: 177 steps"
    )
    output_dir: str = flag("output", "Folder for all runs.", "Output", metavar="FOLDER")


CONFIG = DemoConfig


def run(config: DemoConfig, problems: Problems) -> int:
    """Run all commands; returns the exit code."""
    problems.raise_any()
    if Path(PROJECT_FILE).is_file():
        raise SwiftkitError(f"{PROJECT_FILE} in this folder would change the demo", "run it in another folder")
    for command in commands(config):
        words = command()
        line = f"swiftkit {shlex.join(words)}"
        print(f"\n$ {line}", file=sys.stderr if config.json_ else sys.stdout, flush=True)
        code = _call(words, quiet=config.json_)
        if code in (INTERRUPTED, TERMINATED):
            return code
        if code:
            raise SwiftkitError(f"`{line}` ended with exit code {code}", exit_code=max(code, FAILED))
    _print_summary(config)
    return 0


def commands(config: DemoConfig) -> list[Callable[[], list[str]]]:
    """The commands; functions, because the last one needs a path that an earlier one creates."""
    options = ["--output_dir", config.output_dir]
    options += ["--registry", config.registry] if config.registry else []
    training = ["--max_steps", str(config.max_steps)] if config.max_steps else []
    return [
        lambda: ["exam", "--model_type", MODEL, *options],
        lambda: ["sft", "--model_type", MODEL, *training, *options],
        lambda: ["exam", "--ckpt", "best", *options],
        lambda: ["export", "--ckpt", "best", "--merge_lora", *options],
        lambda: ["exam", "--ckpt", str(_merged(_newest_run(config.output_dir))), *options],
    ]


def _newest_run(output: str) -> Run:
    return [run for run in list_runs(files.parse_path(output, "--output_dir")) if run.path.parent.name == MODEL][-1]


def _merged(run: Run) -> Path:
    best = run.best()
    assert best
    return run.path / f"merged-{best.step}"


def _call(words: list[str], *, quiet: bool) -> int:
    """Run one command to its end. Ctrl-C reaches it as well, and it reports how it ended; so only wait."""
    output = subprocess.DEVNULL if quiet else None
    with subprocess.Popen([sys.executable, "-m", "swiftkit", *words], stdout=output) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def _print_summary(config: DemoConfig) -> None:
    """Three scores, the curves, the report."""
    run = _newest_run(config.output_dir)
    home = files.parse_path(config.output_dir, "--output_dir") / MODEL
    results = {
        "base": _newest_result(home, "base"),
        "best": _newest_result(run.path, "adapter"),
        "merged": _newest_result(run.path, "merged"),
    }
    report = results["best"].report
    if config.json_:
        scores = {name: result.model_dump(mode="json") for name, result in results.items()}
        print(json.dumps({"run": str(run.path), **scores, "curves": str(run.curves), "report": str(report)}))
        return
    print()
    for name, result in results.items():
        low, high = result.interval
        print(f"{name + ':':8}{result.score:5.1f} of 100 ({low:.1f} to {high:.1f})")
    print(f"curves: {run.curves}\nreport: {report}")


def _newest_result(home: Path, kind: str) -> ExamResult:
    """The newest exam of a kind of checkpoint."""
    return [result for result in list_results(home) if result.kind == kind][-1]
