r"""Whether two formulas are the same (`x(x+1)` and `x^2+x`, `√8` and `2\sqrt{2}`), by math-verify in its own process.

math-verify compares well and reads generously: it finds 30 in `12 hours 30 minutes`, 17 in `12(5)` and 5 in `5_2`. So
only what is a formula from its first character to its last is handed to it, rewritten in LaTeX that has one reading.
sympy may compute for hours on a short text, hence the process and the deadline.
"""

from __future__ import annotations

import atexit
import json
import logging
import re
import subprocess
import sys
import threading
from typing import Any

logger = logging.getLogger(__name__)

DEADLINE = 10.0  # seconds for one pair
LONGEST = 300  # characters of a formula

_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp"
_COMMANDS = re.compile(
    rf"{_FUNCTIONS}|sqrt|pi|frac|binom|cdot|times|div|pm|mp|leq?|geq?|neq?|lt|gt|in|cup|cap|infty|emptyset|mathbb|alpha"
    r"|beta|gamma|delta|epsilon|theta|lambda|mu|sigma|phi|omega|Delta|Omega"
)
_SIGNS = {"·": "cdot", "×": "times", "÷": "div", "√": "sqrt", "π": "pi", "∞": "infty", "∪": "cup", "∩": "cap"}
_SIGNS |= {"≤": "le", "≥": "ge", "≠": "ne", "±": "pm", "∈": "in", "∅": "emptyset"}
# Possessive: without, every \pi could also be \p and i, and failing would take 2^n steps for n of them.
_FORMULA = re.compile(r"(?:\\[a-zA-Z]++|\\[{}]|[a-zA-Zα-ω](?![a-zA-Z])|[-0-9+*/^=<>!,.|_ ()\[\]{}])++")
_RELATION = re.compile(r"[=<>]|\\(?:leq?|geq?|neq?|lt|gt|in)(?![a-zA-Z])")
_LETTER = r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])"  # one that stands for something by itself
_IN_BRACKETS = re.compile(r"\([^()\[\]]*[)\]]|\[[^()\[\]]*[)\]]|\\\{[^{}]*\\\}")
# What has two readings, or for math-verify another one than for its writer.
_AMBIGUOUS = re.compile(
    r"""[0-9][ ]+[0-9.] | [0-9.][ ]*\{ | [\])}][ ]*[0-9.]   # 5 6, 12{5}, (5)6
      | [0-9)\]}]_ | \}[ ]*\^ | [0-9][ ]*\|[ ]*[0-9]        # 5_2, 2^3^4, 5|3
      | \.(?![0-9]) | [0-9]*\.[0-9]*\. | ==                 # 1.2.3, 0.333...
      | /[ ]*0(?![.0-9])                                    # 1/0
      | (?:[0-9]+-){2}[0-9] | (?:[0-9]+/){2}[0-9]           # dates
    """,
    re.VERBOSE,
)


def equal(given: str, wanted: str) -> bool:
    """Whether two texts are formulas as a whole, and the same; False also when that takes longer than DEADLINE.

    Args:
        given: the answer, as `notation.plain` writes it.
        wanted: the reference, likewise.
    """
    one, other = formula(given), formula(wanted)
    if one is None or other is None or one.count(",") != other.count(","):
        return False
    if bool(_RELATION.search(one)) != bool(_RELATION.search(other)):  # 2x = 10 is not the number 10
        return False
    return one == other or _process.ask(*_without_capitals(one, other))


def formula(text: str) -> str | None:
    """`text` in LaTeX that has one reading; None when it is no formula as a whole."""
    if len(text) > LONGEST:
        return None
    for sign, command in _SIGNS.items():
        text = text.replace(sign, rf"\{command} ")
    text = re.sub(rf"(?<![\\a-zA-Z])({_FUNCTIONS}|sqrt|pi)(?![a-zA-Z])", r"\\\1 ", text.replace("**", "^").strip())
    commands = re.findall(r"\\([a-zA-Z]+)", text)
    if not _FORMULA.fullmatch(text) or not all(map(_COMMANDS.fullmatch, commands)):
        return None
    braced = _braced(text)
    if braced is None or _AMBIGUOUS.search(braced) or "," in _IN_BRACKETS.sub("", braced):
        return None
    if _RELATION.search(braced) and not re.search("[a-zA-Zα-ω]", re.sub(r"\\[a-zA-Z]+", "", braced)):
        return None  # 1 < 2 and 3 < 4 are both true, which is not the question
    # Without a sign between them, math-verify reads a mixed number in 2(3), and a function x in x(x+1).
    braced = re.sub(r"((?:[0-9]|\\pi|(?<![\\a-zA-Z])[a-eijk-zA-Z])[ ]*)\(", r"\1\\cdot (", braced)
    return " ".join(re.sub(r"([0-9]*)\.([0-9]+)", _rational, braced).split())


def _without_capitals(one: str, other: str) -> tuple[str, str]:
    """Both formulas, a capital renamed where its small letter occurs too: math-verify reads X and x as the same."""
    letters = set(re.findall(_LETTER, f"{one} {other}"))
    spare = iter([letter for letter in "abcjklmnopqrstuvwxyz" if not {letter, letter.upper()} & letters])
    renamed = {letter: next(spare, letter) for letter in sorted(letters) if letter != letter.lower() in letters}
    one, other = (re.sub(_LETTER, lambda found: renamed.get(found[0], found[0]), text) for text in (one, other))
    return one, other


def _braced(text: str) -> str | None:
    r"""`text` with {…} around what \frac, \sqrt and ^ take, also where it was (…), one number or one letter."""
    text = re.sub(r"\\frac\s*([0-9])\s*([0-9])", r"\\frac{\1}{\2}", text)
    text = re.sub(r"(\\sqrt|\^)\s*(-?[0-9]+(?:\.[0-9]+)?|[a-zA-Z](?![a-zA-Z]))", r"\1{\2}", text)
    while found := re.search(r"(?:\\sqrt|\^)\s*\(", text):
        depth = 1
        for end in range(found.end(), len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if not depth:
                break
        else:
            return None
        head = found[0].rstrip("( ")
        text = f"{text[: found.start()]}{head}{{{text[found.end() : end]}}}{text[end + 1 :]}"
    return text


def _rational(found: re.Match[str]) -> str:
    """A decimal exactly: where there is a float, math-verify rounds."""
    return rf"{{\frac{{{int(found[1] + found[2])}}}{{{10 ** len(found[2])}}}}}"


class _Process:
    """math-verify in a child process: started on first use, kept for the next pair, ended with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._missing = False

    def ask(self, given: str, wanted: str) -> bool:
        """Whether two formulas are the same; False when the child does not know within DEADLINE."""
        with self._lock:
            if self._missing or not self._running():
                return False
            return self._told({"given": given, "wanted": wanted, "seconds": DEADLINE}) is True

    def _running(self) -> bool:
        if self._child and self._child.poll() is None:
            return True
        self._end()
        command = [sys.executable, "-m", "swiftkit.worker.symbolic"]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # a Ctrl-C is for this process, which then ends the child
        )
        atexit.register(self._end)
        started = self._told(None)
        if started == {"ready": True}:
            return True
        reason = started["error"] if isinstance(started, dict) else "its process does not start"
        logger.warning("formulas are compared as text only: math-verify: %s", reason)
        self._missing = True
        self._end()
        return False

    def _told(self, request: dict[str, object] | None) -> Any:
        """The child's next line, after `request` when there is one; None when it died, at the deadline for example."""
        child = self._child
        assert child and child.stdin and child.stdout
        try:
            if request:
                print(json.dumps(request), file=child.stdin, flush=True)
            line = child.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._end()
        return json.loads(line) if line else None

    def _end(self) -> None:
        if self._child:
            self._child.kill()
            self._child.communicate()
            self._child = None
            atexit.unregister(self._end)


_process = _Process()
