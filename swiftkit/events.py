"""events.jsonl: what happened in a run, one JSON object a line, append-only.

| event | beside `event` and `time` (seconds since 1970) |
|---|---|
| started | pid, pid_started, steps (planned), and what the run consists of |
| phase | name, of the part of the start that is now done |
| step | step, epoch, loss, grad_norm, learning_rate, tokens (so far, by the average of the rows) |
| eval | step, loss |
| saved | step, path |
| best | step, loss |
| resumed | step: the run goes on from there, later ones of an earlier life do not count |
| finished, failed, interrupted | step; failed: error |
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

Event = dict[str, Any]
ENDS = ("finished", "failed", "interrupted")


def append(path: Path, event: str, /, **values: Any) -> None:
    """Write one event; the line is complete or missing, since one write appends it."""
    line = json.dumps({"event": event, "time": round(time.time(), 3), **values}, ensure_ascii=False)
    with path.open("a", encoding="utf-8") as stream:
        stream.write(line + "\n")


def read(path: Path) -> Iterator[Event]:
    """Every complete event of a file; none when there is no file. A line cut off by a crash is passed over."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as stream:
        for line in stream:
            if line.endswith("\n"):
                with suppress(json.JSONDecodeError):
                    event = json.loads(line)
                    if isinstance(event, dict) and "event" in event:
                        yield event


def lived(events: Iterator[Event]) -> list[Event]:
    """The events that count: at `resumed`, those of later steps that an earlier life had logged are dropped."""
    kept: list[Event] = []
    for event in events:
        if event["event"] == "resumed":
            kept = [e for e in kept if e.get("step", 0) <= event["step"] and e["event"] not in ENDS]
        kept.append(event)
    return kept
