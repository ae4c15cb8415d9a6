"""What a person sees of a training: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType
from typing import Self

from swiftkit.events import Event

logger = logging.getLogger(__name__)
EVERY = 15.0  # seconds between two plain lines of training steps
PHASES = {"imports": "ms-swift is loaded", "model": "the model is loaded", "trainer": "training begins"}


def span(seconds: float) -> str:
    """A length of time as a person says it: 45 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Line:
    """One live line on a terminal, plain lines elsewhere; use as a context, since a live line has to be taken down."""

    def __init__(self, first: str) -> None:
        from rich.console import Console

        console = Console(stderr=True)
        self.live = console.status(first) if console.is_terminal else None
        self.shown = time.time()

    def __enter__(self) -> Self:
        if self.live:
            self.live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.live:
            self.live.stop()

    def say(self, line: str, *, lasting: bool = False) -> None:
        """Show a line; a lasting one stays, and of the others a plain output sees one every `EVERY` seconds."""
        if self.live:
            self.live.update(line)
        if lasting and self.live:
            self.live.console.print(line, highlight=False)
        elif lasting or (not self.live and time.time() - self.shown > EVERY):
            self.shown = time.time()
            if not self.live:
                logger.info("%s", line)
                sys.stderr.flush()


class Progress(Line):
    """Shows the events of a training."""

    def __init__(self, steps: int) -> None:
        super().__init__("starting")
        self.steps = steps
        self.began = time.time()
        self.training: tuple[float, int] | None = None  # time and step at which timing began
        self.validation = ""

    def show(self, event: Event) -> None:
        """Take in one event."""
        kind = event["event"]
        if kind == "phase":
            said = f"{PHASES[event['name']]} ({span(event['time'] - self.began)})"
            self.steps = event.get("steps", self.steps)
            self.say(said, lasting=not self.live)
        elif kind == "step":
            self._step(event)
        elif kind == "eval":
            self.validation = f"validation loss {event['loss']:.4f}"
            self.say(f"step {event['step']}/{self.steps}: {self.validation}", lasting=True)
        elif kind == "best":
            self.validation += " (best so far)"

    def _step(self, event: Event) -> None:
        step = event["step"]
        parts = [f"step {step}/{self.steps}", f"loss {event['loss']:.4f}"]
        if self.validation:
            parts.append(self.validation)
        # The first step pays for warming up; three more make an estimate worth showing.
        if self.training is None:
            self.training = (event["time"], step)
        else:
            seconds, steps = event["time"] - self.training[0], step - self.training[1]
            parts.append(f"{event['tokens'] / step * steps / max(seconds, 1e-9):,.0f} tokens/s")
            if steps >= 3 and step < self.steps:
                parts.append(f"{span(seconds / steps * (self.steps - step))} left")
        self.say(", ".join(parts), lasting=step == 1 and not self.live)
