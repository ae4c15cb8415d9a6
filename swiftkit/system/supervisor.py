"""Heavy work in a child process with a process group of its own: start it, follow its events, judge how it ended."""

from __future__ import annotations

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
from typing import Literal

import psutil

from swiftkit import files
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, SwiftkitError
from swiftkit.system import events, session
from swiftkit.system.events import End, Event, Failed, Finished, Interrupted

POLL_INTERVAL_S = 0.1  # between two looks at the events
SHUTDOWN_TIMEOUT_S = 60.0  # in which a child that was told to stop can save its work
State = Literal["finished", "failed", "interrupted", "crashed"]


@dataclass(frozen=True)
class ProcessResult:
    """How a child process ended.

    Attributes:
        returncode: its exit code, negative for a signal.
        signal: SIGINT or SIGTERM, if one of them was passed on to it.
        events: everything that it reported.
        log: what it printed.
    """

    returncode: int
    signal: int | None
    events: list[Event]
    log: Path

    @property
    def end(self) -> End | None:
        """How it says that it ended."""
        return events.last_end(events.effective(self.events))

    @property
    def state(self) -> State:
        """What happened to the work; `crashed` if the process ended without saying so."""
        if isinstance(self.end, Finished):
            return "finished"
        if isinstance(self.end, Failed):
            return "failed"
        return "interrupted" if self.signal or isinstance(self.end, Interrupted) else "crashed"

    @property
    def failure_reason(self) -> str:
        """Why the work failed: as the process says, else the signal that killed it, else its last line of output."""
        if isinstance(self.end, Failed):
            return self.end.error
        if self.returncode < 0:
            return f"its process was killed by signal {-self.returncode} (9: often out of memory)"
        lines = self.log.read_text(encoding="utf-8", errors="replace").split("\n") if self.log.is_file() else []
        default = f"it ended with exit code {self.returncode}"
        return next((line.strip() for line in reversed(lines) if line.strip()), default)

    def require_finished(self, what: str, *, interrupted: str, resume_hint: str | None = None) -> None:
        """Raise if the work was interrupted or failed.

        Args:
            what: the work, for the message: `the exam`.
            interrupted: what to say if it was interrupted.
            resume_hint: how to continue then.

        Raises:
            SwiftkitError: it was interrupted (exit code 130 or 143), or it failed (exit code 1).
            RuntimeError: a program error in a plugin is the cause.
        """
        # Also if all was done when the signal came: the user wants whatever would follow to end.
        if self.signal or self.state == "interrupted":
            raise SwiftkitError(f"interrupted: {interrupted}", resume_hint, exit_code=self.interrupt_code)
        if isinstance(self.end, Failed) and self.end.is_bug:
            raise RuntimeError(self.end.error)
        if self.state != "finished":
            hint = self.end.hint if isinstance(self.end, Failed) else None
            hint = hint or (f"its output is in {self.log}" if self.log.is_file() else None)
            raise SwiftkitError(f"{what} failed: {self.failure_reason}", hint, exit_code=FAILED)

    @property
    def interrupt_code(self) -> int:
        """Exit code of an interrupted command."""
        return INTERRUPTED if self.signal == signal.SIGINT else TERMINATED


def run(
    command: list[str],
    *,
    log: Path,
    events_file: Path,
    on_event: Callable[[Event], None] | None = None,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> ProcessResult:
    """Run a command to its end.

    SIGINT and SIGTERM are passed on, if the session handles signals. The child has no access to any hub: all that it
    needs is on this machine.

    Args:
        command: program and arguments.
        log: file to which its output is appended.
        events_file: file to which it appends events.
        on_event: called with each event when it appears.
        variables: further environment variables.
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
    reported: list[Event] = []
    with _supervise(child) as received:
        for event in _follow(events_file, lambda: child.poll() is not None):
            reported.append(event)
            if on_event:
                on_event(event)
    return ProcessResult(child.returncode, received[0] if received else None, reported, log)


def process_identity() -> tuple[int, float]:
    """This process's id and start (seconds since 1970), by which a child knows whether its parent is still alive."""
    return os.getpid(), psutil.Process().create_time()


def is_orphaned(parent: tuple[int, float]) -> bool:
    """Whether the process with that id and start is gone."""
    pid, started = parent
    try:
        return abs(psutil.Process(pid).create_time() - started) > 1
    except psutil.Error:
        return True


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    offline = (
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HF_DATASETS_OFFLINE",
        "HF_HUB_DISABLE_TELEMETRY",
        "DO_NOT_TRACK",
    )
    added = dict.fromkeys(offline, "1") | {"PYTHONUNBUFFERED": "1"} | dict(variables)
    # If it is set, ms-swift writes its tensorboard events to this folder, whichever run it belongs to.
    return {key: value for key, value in os.environ.items() if key != "TENSORBOARD_LOGGING_DIR"} | added


@contextmanager
def _supervise(child: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Pass SIGINT and SIGTERM on to the child's group, so that the child saves and ends; at the end, nothing of it
    runs.

    A second signal, or `SHUTDOWN_TIMEOUT_S`, kills it. Yields the signals that were received.
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
        timer = threading.Timer(SHUTDOWN_TIMEOUT_S, kill)
        timer.daemon = True
        timer.start()

    handled = (signal.SIGINT, signal.SIGTERM) if session.current.get().handles_signals else ()
    previous = {number: signal.signal(number, forward) for number in handled}
    try:
        yield received
    finally:
        if child.poll() is None:  # an exception, such as KeyboardInterrupt in a notebook
            forward(signal.SIGTERM, None)
            child.wait()
        kill()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _follow(path: Path, has_ended: Callable[[], bool]) -> Iterator[Event]:
    """Events as they are written, until the writer has ended and all of them are read."""
    position = 0
    while True:
        is_last = has_ended()
        if path.exists():
            with path.open("rb") as stream:
                stream.seek(position)
                complete, newline, _ = stream.read().rpartition(b"\n")
            position += len(complete) + len(newline)
            lines = complete.decode("utf-8", "replace").split("\n")
            for _, content in files.parse_jsonl(lines):
                if isinstance(content, dict) and (event := events.from_json(content)):
                    yield event
        if is_last:
            return
        time.sleep(POLL_INTERVAL_S)
