"""Exams by real commands, and what they keep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.commands import stdout_json, swiftkit
from swiftkit.exams.folder import ExamFolder, Question


def exam(folder: Path, *words: str, **environment: str) -> dict[str, Any]:
    """What `swiftkit exam … --json` prints in a folder; further environment variables as for `swiftkit`."""
    return stdout_json(swiftkit("exam", *words, "--json", cwd=folder, **environment))


def files_of(result: dict[str, Any]) -> ExamFolder:
    """The files of an exam."""
    return ExamFolder(Path(result["folder"]))


def questions_of(result: dict[str, Any]) -> list[Question]:
    """The questions of an exam, with their prompts."""
    return files_of(result).read_questions()
