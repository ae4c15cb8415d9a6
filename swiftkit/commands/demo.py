"""`swiftkit demo`: the whole loop with the embedded model, in real commands, each printed before it runs."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from swiftkit import examining, paths, runs
from swiftkit.config import DemoConfig
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, Problems, SwiftkitError
from swiftkit.flags import PROJECT_FILE, Given, build

CONFIG = DemoConfig
MODEL = "tiny-math"
EPILOG = """\
examples:
  swiftkit demo
  swiftkit demo --output_dir /tmp/demo"""


def commands(output: str) -> list[Callable[[], list[str]]]:
    """What the demo runs, each made when its turn comes: the last one needs a path that an earlier one has made."""
    where = ["--output_dir", output]
    return [
        lambda: ["exam", "--model_type", MODEL, *where],
        lambda: ["sft", "--model_type", MODEL, *where],
        lambda: ["exam", "--ckpt", "best", *where],
        lambda: ["export", "--ckpt", "best", "--merge_lora", *where],
        lambda: ["exam", "--ckpt", str(_merged(_run(output))), *where],
    ]


def _run(output: str) -> runs.Run:
    return [run for run in runs.listed(paths.typed(output, "--output_dir")) if run.path.parent.name == MODEL][-1]


def _merged(run: runs.Run) -> Path:
    best = run.best()
    assert best
    return run.path / f"merged-{best['step']}"


def _call(words: list[str], *, quiet: bool) -> int:
    """Run one command to its end. Ctrl-C reaches it as well, and it says itself how it ended; so only wait."""
    output = subprocess.DEVNULL if quiet else None
    with subprocess.Popen([sys.executable, "-m", "swiftkit", *words], stdout=output) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue


def run(given: Given, problems: Problems) -> int:
    """Run them all; returns the exit code."""
    problems.raise_any()
    config = build(DemoConfig, given)
    if Path(PROJECT_FILE).is_file():
        raise SwiftkitError(f"{PROJECT_FILE} in this folder would change the demo", "run it in another folder")
    for made in commands(config.output_dir):
        words = made()
        said = f"swiftkit {shlex.join(words)}"
        print(f"\n$ {said}", file=sys.stderr if config.json_ else sys.stdout, flush=True)
        code = _call(words, quiet=config.json_)
        if code in (INTERRUPTED, TERMINATED):
            return code
        if code:
            raise SwiftkitError(f"`{said}` ended with {code}", exit_code=max(code, FAILED))
    _summary(config)
    return 0


def _summary(config: DemoConfig) -> None:
    """Three marks, the curves, the report."""
    trained = _run(config.output_dir)
    home = paths.typed(config.output_dir, "--output_dir") / MODEL
    done = {
        "base": _newest(home, "base"),
        "best": _newest(trained.path, "adapter"),
        "merged": _newest(trained.path, "merged"),
    }
    curves, report = trained.path / "curves.png", done["best"].files.report
    if config.json_:
        marks = {name: exam.told for name, exam in done.items()}
        print(json.dumps({"run": str(trained.path), **marks, "curves": str(curves), "report": str(report)}))
        return
    print()
    for name, exam in done.items():
        print(f"{name + ':':8}{exam.mark.value:5.1f} of 100 ({exam.mark.low:.1f} to {exam.mark.high:.1f})")
    print(f"curves: {curves}\nreport: {report}")


def _newest(home: Path, kind: str) -> examining.Done:
    """The exam of a kind of checkpoint that was finished last under `home`."""
    return [done for done in examining.finished(home) if done.told["kind"] == kind][-1]
