"""Running heavy work in a child process with a process group of its own, and following what it tells."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType, MappingProxyType

import psutil

from swiftkit.events import Event

POLL = 0.1  # seconds between two looks at the events
GRACE = 60.0  # seconds that a stopping child has to save what it has


@dataclass(frozen=True)
class Ended:
    """How a child ended: its return code, and the signal (SIGINT, SIGTERM) that asked it to end if one did."""

    returncode: int
    signal: int | None


def run(
    command: list[str],
    *,
    log: Path,
    events: Path,
    show: Callable[[Event], None],
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Ended:
    """Run a command to its end; its output goes to `log`, each event that it appends to `events` to `show`.

    SIGINT and SIGTERM are passed on. The child may not look for anything on a hub: all it needs is on this machine.
    """
    with log.open("ab") as stream:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=_environment(variables),
            start_new_session=True,
        )
    with _signals_to(child) as received:
        for event in _follow(events, lambda: child.poll() is not None):
            show(event)
    return Ended(child.returncode, received[0] if received else None)


def last_words(log: Path, ended: Ended) -> str:
    """Why a child that told no reason has ended: the last line that it printed, or the signal that killed it."""
    if ended.returncode < 0:
        return f"its process was killed by signal {-ended.returncode} (9: often for want of memory)"
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), f"it ended with {ended.returncode}")


def me() -> tuple[int, float]:
    """This process's id and start (seconds since 1970), by which a child knows whether it still lives."""
    return os.getpid(), psutil.Process().create_time()


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    offline = (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
    )
    added = dict.fromkeys(offline, "1") | {"PYTHONUNBUFFERED": "1"} | dict(variables)
    # ms-swift sends its tensorboard events to this folder if it is set, whatever run it belongs to.
    return {key: value for key, value in os.environ.items() if key != "TENSORBOARD_LOGGING_DIR"} | added


@contextmanager
def _signals_to(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the child's group; the child saves and ends. In the end nothing of it is left.

    A second signal, or `GRACE` seconds, end it at once. Yields the signals that came.
    """
    received: list[int] = []
    family = {child.pid: psutil.Process(child.pid)}  # torchrun's processes have groups of their own

    def kill() -> None:
        for process in family.values():
            with suppress(psutil.Error):
                process.kill()

    def forward(number: int, frame: FrameType | None) -> None:
        received.append(number)
        with suppress(psutil.Error):
            family.update({p.pid: p for p in psutil.Process(child.pid).children(recursive=True)})
        if len(received) > 1:
            kill()
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGTERM)
        timer = threading.Timer(GRACE, kill)
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        if child.poll() is None:
            forward(signal.SIGTERM, None)
            child.wait()
        kill()
        for number, handler in before.items():
            signal.signal(number, handler)


def _follow(path: Path, ended: Callable[[], bool]) -> Iterator[Event]:
    """Events as they are written, until `ended` says that nobody writes any more and all is read."""
    position = 0
    while True:
        last = ended()
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(position)
                lines = stream.read().split(b"\n")
            position += sum(len(line) + 1 for line in lines[:-1])
            yield from (json.loads(line) for line in lines[:-1] if line)
        if last:
            return
        time.sleep(POLL)
