"""An exam engine that replays recorded responses, such as those of a system that runs elsewhere.

`$REPLAY_RESPONSES` names a file of JSON lines: the number of a question, and the response to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from swiftkit import files
from swiftkit.errors import SwiftkitError
from swiftkit.exams.engines import Generation, Prompt, StopRule
from swiftkit.exams.job import ExamJob

VARIABLE = "REPLAY_RESPONSES"


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


def key() -> str:
    """Other responses are other answers, which an exam must not reuse."""
    return files.sha256(responses_file())


def load(job: ExamJob) -> ReplayEngine:
    """The engine of an exam."""
    return ReplayEngine({row["number"]: row["response"] for _, row in files.read_jsonl(responses_file())})


def responses_file() -> Path:
    """The file of responses.

    Raises:
        SwiftkitError: none is named, or it does not exist.
    """
    name = os.environ.get(VARIABLE)
    if not name or not Path(name).is_file():
        raise SwiftkitError(f"${VARIABLE} is {name!r}, not a file", "set it to a file of JSON lines: number, response")
    return Path(name)
