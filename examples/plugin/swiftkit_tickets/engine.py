"""An exam engine that replays recorded responses, such as those of a system that runs elsewhere.

`$REPLAY_RESPONSES` names a file of JSON lines: the number of a question, and the response to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swiftkit import files
from swiftkit.exams.engines import Generation, Prompt, StopRule
from swiftkit.exams.job import ExamJob


@dataclass(frozen=True)
class ReplayEngine:
    """Recorded responses, by question."""

    responses: Mapping[int, str]

    def generate(self, prompts: Sequence[Prompt], stop: StopRule, on_done: Callable[[Generation], None]) -> None:
        """Respond to all prompts. See `swiftkit.exams.engines.Engine`."""
        for prompt in prompts:
            if stop.is_interrupted():
                return
            text = self.responses.get(prompt.number)
            if text is None:
                on_done(Generation(prompt.number, error="no response was recorded"))
                continue
            reason = stop.after_text(prompt.number, text) or "stop"
            on_done(Generation(prompt.number, text=text, num_tokens=len(text.split()), stop_reason=reason))


def load(job: ExamJob) -> ReplayEngine:
    """The engine of an exam."""
    rows = files.read_jsonl(Path(os.environ["REPLAY_RESPONSES"]))
    return ReplayEngine({row["number"]: row["response"] for _, row in rows})
