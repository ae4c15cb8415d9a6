"""Rows of datasets, and what runs and exams keep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from swiftkit.system import events
from swiftkit.system.events import Event
from swiftkit.training.run import Run, list_runs


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON lines file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def write_rows(path: Path, rows: list[Any]) -> Path:
    """Rows as JSON lines; text is written unchanged."""
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def chat_rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Valid rows with distinct questions."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"What is {i} + {i}?"},
                {"role": "assistant", "content": f"{i} + {i} = {2 * i}\n<<ans:{2 * i}>>"},
            ]
        }
        for i in range(start, start + count)
    ]


def only_run(output: Path) -> Run:
    """The only run under a folder."""
    (run,) = list_runs(output)
    return run


def rows_of(run: Run, part: str) -> list[dict[str, Any]]:
    """Rows that a run has kept: `train` or `validation`."""
    return read_lines(run.data(part))


def events_of(run: Run, kind: type[Event]) -> list[Any]:
    """A run's events of one class."""
    return [event for event in events.read(run.events) if isinstance(event, kind)]


def batches(rows: list[dict[str, Any]], base: Path, template: str, size: int) -> list[dict[str, Any]]:
    """Padded batches of a run's rows, for a plain training loop."""
    import torch

    from swiftkit.chat import template as templates
    from swiftkit.chat import tokenizer
    from swiftkit.chat.encode import ChatEncoder

    encoder = ChatEncoder(tokenizer.load(base, use_tokenizer_json=True), templates.load(template))
    encoded = list(encoder.encode([row["messages"] for row in rows]))
    padded = []
    for start in range(0, len(encoded), size):
        part = encoded[start : start + size]
        width = max(len(e.ids) for e in part)
        pad = [[0] * (width - len(e.ids)) for e in part]
        padded.append(
            {
                "input_ids": torch.tensor([e.ids + p for e, p in zip(part, pad, strict=True)]),
                "attention_mask": torch.tensor([[1] * len(e.ids) + p for e, p in zip(part, pad, strict=True)]),
                "labels": torch.tensor([e.labels + [-100] * len(p) for e, p in zip(part, pad, strict=True)]),
            }
        )
    return padded
