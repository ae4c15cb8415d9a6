"""Real commands: called in this process with warm workers, or in a process of their own."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from support import warm
from swiftkit import assets, plugins
from swiftkit.chat import template
from swiftkit.cli import main as cli
from swiftkit.models import registry
from swiftkit.system import hardware

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
PYTHON = sys.executable
SWIFTKIT = [PYTHON, "-m", "swiftkit"]

# One folder for the whole test session, whatever number of processes it has; the first process (pytest's own) creates
# it.
if "SWIFTKIT_TEST_SESSION" not in os.environ:
    os.environ["SWIFTKIT_TEST_SESSION"] = tempfile.mkdtemp(prefix="swiftkit-tests-")
    os.environ["SWIFTKIT_TEST_PROCESS"] = str(os.getpid())
SESSION = Path(os.environ["SWIFTKIT_TEST_SESSION"])
SESSION_PROCESS = int(os.environ["SWIFTKIT_TEST_PROCESS"])


def swiftkit(
    *words: str, cwd: Path | None = None, process: bool = False, timeout: float = 300, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a real command.

    Args:
        words: the command line.
        cwd: working directory.
        process: start a process of its own, whose workers are real starts as well; so does a PYTHONPATH with a
            sitecustomize.py. Packages in another PYTHONPATH are installed for this command only.
        timeout: in seconds, of such a process.
        environment: further environment variables.
    """
    packages = environment.get("PYTHONPATH")
    if process or (packages and Path(packages, "sitecustomize.py").exists()):
        return subprocess.run(
            [*SWIFTKIT, *words],
            cwd=cwd,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        warm_workers(),
        mock.patch.dict(os.environ, environment),
        contextlib.chdir(cwd or Path.cwd()),
        installed(packages),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        code = cli.main(list(words))
    return subprocess.CompletedProcess([*SWIFTKIT, *words], code, stdout.getvalue(), stderr.getvalue())


def write_package(site: Path, name: str, modules: dict[str, str], entries: str) -> None:
    """An installed package: modules of one file each, and entry points."""
    info = site / f"{name}-2.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text(entries)
    for module, text in modules.items():
        (site / f"{module}.py").write_text(text)


@contextlib.contextmanager
def installed(packages: str | None) -> Iterator[None]:
    """Packages of a folder, which nothing remembers afterwards; what is cached is read again before and after."""
    clear_caches()
    if packages:
        sys.path.insert(0, packages)
        importlib.invalidate_caches()
    try:
        yield
    finally:
        if packages:
            sys.path.remove(packages)
            for name, module in list(sys.modules.items()):
                if (getattr(module, "__file__", None) or "").startswith(packages):
                    del sys.modules[name]
        clear_caches()


@contextlib.contextmanager
def warm_workers() -> Iterator[None]:
    """Workers are started by the client of `support.warm`, which is started itself when it is first needed."""
    with mock.patch.object(sys, "executable", str(warm.client(SESSION, SESSION_PROCESS))):
        yield


def clear_caches() -> None:
    """Forget what a process reads once: files in the user's folders, installed packages, hardware."""
    for cached in (assets.packages, plugins.owners, template._load, registry._read, hardware.device):
        cached.cache_clear()


def stdout_json(done: subprocess.CompletedProcess[str], code: int = 0) -> dict[str, Any]:
    """The JSON object that a command with `--json` has printed."""
    assert done.returncode == code, done.stderr
    content: dict[str, Any] = json.loads(done.stdout)
    return content


def shared(name: str) -> Path:
    """A file of `../shared`; without that folder the test is skipped, or fails if CI is true."""
    path = SHARED / name
    if not path.exists():
        message = f"{name} is not next to this checkout (../shared)"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return path
