"""What a user sees of a training: one live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from swiftkit.system.events import Best, End, Eval, Event, Phase, Started, Step
from swiftkit.system.progress import Line, format_duration

PHASES = {"imports": "libraries loaded", "model": "model loaded", "trainer": "training starts"}
MIN_TIMED_STEPS = 3  # before the remaining time is estimated


class TrainingProgress(Line):
    """Shows the events of a training."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0
        self._start = time.time()
        self._first_step: Step | None = None
        self._validation = ""

    def on_event(self, event: Event) -> None:
        """Show one event."""
        if isinstance(event, Started):
            self.steps = event.total
            self._start = event.time
            if self.is_live:
                self.show("loading libraries")
        elif isinstance(event, Phase):
            self.steps = event.steps or self.steps
            elapsed = format_duration(event.time - self._start)
            self.show(f"{PHASES.get(event.phase, event.phase)} ({elapsed})", permanent=not self.is_live)
        elif isinstance(event, Step):
            self._on_step(event)
        elif isinstance(event, Eval):
            self._validation = f"validation loss {event.loss:.4f}"
            self.show(f"step {event.step}/{self.steps}: {self._validation}", permanent=True)
        elif isinstance(event, Best):
            self._validation += " (best so far)"
        elif isinstance(event, End):
            self.stop()

    def _on_step(self, event: Step) -> None:
        parts = [f"step {event.step}/{self.steps}", f"loss {event.loss:.4f}"]
        if self._validation:
            parts.append(self._validation)
        # The first step includes warm-up, so timing begins after it.
        if self._first_step is None:
            self._first_step = event
        else:
            seconds, steps = event.time - self._first_step.time, event.step - self._first_step.step
            parts.append(f"{event.tokens / event.step * steps / max(seconds, 1e-9):,.0f} tokens/s")
            if steps >= MIN_TIMED_STEPS and event.step < self.steps:
                parts.append(f"{format_duration(seconds / steps * (self.steps - event.step))} left")
        self.show(", ".join(parts), permanent=event.step == 1 and not self.is_live)
