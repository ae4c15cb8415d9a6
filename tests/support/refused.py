"""Commands that must be refused: exit code 2, readable messages on stderr, nothing on stdout, no run folder."""

from __future__ import annotations

from pathlib import Path

from support.commands import swiftkit


def refused(*words: str, command: str = "sft", code: int = 2, **environment: str) -> str:
    """Run a command in this folder that must be refused; returns its messages."""
    done = swiftkit(command, *words, **environment)
    assert done.returncode == code, done.stderr
    assert not done.stdout
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
    assert not Path("output").exists()
    return done.stderr
