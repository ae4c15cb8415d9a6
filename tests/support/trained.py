"""One short demo, shared by all tests that need a trained run: real processes, without a network, watched.

It is started in the background when a test that needs it is collected, so that workers of pytest-xdist do not wait for
it.
"""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from filelock import FileLock

from support.commands import ROOT, SESSION, SWIFTKIT
from support.rows import only_run
from swiftkit.training.run import Run

FOLDER = SESSION / "demo"
MAX_STEPS = 40
TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Demo:
    """What the demo printed and left behind; tests that change the folder work on a copy."""

    folder: Path

    @property
    def output(self) -> Path:
        """The folder of all runs."""
        return self.folder / "output"

    @cached_property
    def run(self) -> Run:
        """The run that it trained."""
        return only_run(self.output)

    def text(self, name: str) -> str:
        """`stdout`, `stderr`, `code`, or `audit.log` (each connection of each process)."""
        return (self.folder / name).read_text(encoding="utf-8")


def begin() -> None:
    """Start the demo, if nobody has yet."""
    with FileLock(SESSION / "demo.lock"):
        if FOLDER.exists():
            return
        FOLDER.mkdir()
        environment = {
            **os.environ,
            "AUDIT_LOG": str(FOLDER / "audit.log"),
            "PYTHONPATH": str(ROOT / "tests" / "audit"),
            "XDG_CACHE_HOME": str(FOLDER / "cache"),
            "HF_HOME": str(FOLDER / "hf"),
        }
        isolated = ["unshare", "-rn"]  # not even the loopback interface is up
        if subprocess.run([*isolated, "true"], capture_output=True).returncode:
            isolated = []  # not allowed here; the connections are recorded
        words = [*isolated, *SWIFTKIT, "demo", "--max_steps", str(MAX_STEPS)]
        script = '"$@" >stdout 2>stderr; echo $? >.code; mv .code code'
        subprocess.Popen(["sh", "-c", script, "demo", *words], cwd=FOLDER, env=environment, stdin=subprocess.DEVNULL)


def result() -> Demo:
    """The finished demo; waits for it."""
    begin()
    deadline = time.monotonic() + TIMEOUT_S
    while not (FOLDER / "code").exists():
        assert time.monotonic() < deadline, f"the demo does not end: {(FOLDER / 'stderr').read_text()}"
        time.sleep(0.2)
    return Demo(FOLDER)
