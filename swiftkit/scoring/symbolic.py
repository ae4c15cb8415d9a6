r"""Equality of formulas (`x(x+1)` and `x^2+x`, `√8` and `2\sqrt{2}`), decided by math-verify in a child process.

math-verify compares reliably but extracts loosely: it finds 30 in `12 hours 30 minutes`, 17 in `12(5)` and 5 in `5_2`.
So it only receives texts that are formulas as a whole, rewritten as LaTeX with a single reading. sympy may compute for
hours on a short text, hence the child process and its timeout.
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

TIMEOUT_S = 10.0  # for one pair of formulas
MAX_FORMULA_CHARS = 300

_FUNCTIONS = "arcsin|arccos|arctan|sinh|cosh|tanh|sin|cos|tan|cot|sec|csc|log|ln|exp"
_COMMANDS = re.compile(
    rf"{_FUNCTIONS}|sqrt|pi|frac|binom|cdot|times|div|pm|mp|leq?|geq?|neq?|lt|gt|in|cup|cap|infty|emptyset|mathbb|alpha"
    r"|beta|gamma|delta|epsilon|theta|lambda|mu|sigma|phi|omega|Delta|Omega"
)
_SIGNS = {"·": "cdot", "×": "times", "÷": "div", "√": "sqrt", "π": "pi", "∞": "infty", "∪": "cup", "∩": "cap"}
_SIGNS |= {"≤": "le", "≥": "ge", "≠": "ne", "±": "pm", "∈": "in", "∅": "emptyset"}
# Possessive: otherwise every \pi could also be \p and i, and a failed match would take 2^n steps for n of them.
_FORMULA = re.compile(r"(?:\\[a-zA-Z]++|\\[{}]|[a-zA-Zα-ω](?![a-zA-Z])|[-0-9+*/^=<>!,.|_ ()\[\]{}])++")
_RELATION = re.compile(r"[=<>]|\\(?:leq?|geq?|neq?|lt|gt|in)(?![a-zA-Z])")
_VARIABLE = r"(?<![\\a-zA-Z])[a-zA-Z](?![a-zA-Z])"
_IN_BRACKETS = re.compile(r"\([^()\[\]]*[)\]]|\[[^()\[\]]*[)\]]|\\\{[^{}]*\\\}")
# Notation with two readings, or that math-verify reads differently than its author means it.
_AMBIGUOUS = re.compile(
    r"""[0-9][ ]+[0-9.] | [0-9.][ ]*\{ | [\])}][ ]*[0-9.]   # 5 6, 12{5}, (5)6
      | [0-9)\]}]_ | \}[ ]*\^ | [0-9][ ]*\|[ ]*[0-9]        # 5_2, 2^3^4, 5|3
      | \.(?![0-9]) | [0-9]*\.[0-9]*\. | ==                 # 1.2.3, 0.333...
      | /[ ]*0(?![.0-9])                                    # 1/0
      | (?:[0-9]+-){2}[0-9] | (?:[0-9]+/){2}[0-9]           # dates
    """,
    re.VERBOSE,
)


def equal(answer: str, reference: str) -> bool:
    """Whether two texts, normalized by `normalize.normalize`, are formulas as a whole, and equal.

    False also if math-verify takes longer than TIMEOUT_S.
    """
    formula, reference_formula = to_latex(answer), to_latex(reference)
    if formula is None or reference_formula is None or formula.count(",") != reference_formula.count(","):
        return False
    if bool(_RELATION.search(formula)) != bool(_RELATION.search(reference_formula)):  # 2x = 10 is not the number 10
        return False
    return formula == reference_formula or _process.equal(*_rename_capitals(formula, reference_formula))


def to_latex(text: str) -> str | None:
    """`text` as LaTeX with a single reading; None if it is not a formula as a whole."""
    if len(text) > MAX_FORMULA_CHARS:
        return None
    for sign, command in _SIGNS.items():
        text = text.replace(sign, rf"\{command} ")
    text = re.sub(rf"(?<![\\a-zA-Z])({_FUNCTIONS}|sqrt|pi)(?![a-zA-Z])", r"\\\1 ", text.replace("**", "^").strip())
    commands = re.findall(r"\\([a-zA-Z]+)", text)
    if not _FORMULA.fullmatch(text) or not all(map(_COMMANDS.fullmatch, commands)):
        return None
    braced = _add_braces(text)
    if braced is None or _AMBIGUOUS.search(braced) or "," in _IN_BRACKETS.sub("", braced):
        return None
    if _RELATION.search(braced) and not re.search("[a-zA-Zα-ω]", re.sub(r"\\[a-zA-Z]+", "", braced)):
        return None  # 1 < 2 and 3 < 4 are both true, but not the same answer
    # Without a sign between them, math-verify reads a mixed number in 2(3), and a function x in x(x+1).
    braced = re.sub(r"((?:[0-9]|\\pi|(?<![\\a-zA-Z])[a-eijk-zA-Z])[ ]*)\(", r"\1\\cdot (", braced)
    return " ".join(re.sub(r"([0-9]*)\.([0-9]+)", _decimal_as_fraction, braced).split())


def _rename_capitals(formula: str, reference: str) -> tuple[str, str]:
    """Both formulas, with every capital renamed whose lower case also occurs: math-verify treats X and x as equal."""
    variables = set(re.findall(_VARIABLE, f"{formula} {reference}"))
    unused = iter([letter for letter in "abcjklmnopqrstuvwxyz" if not {letter, letter.upper()} & variables])
    renamed = {letter: next(unused, letter) for letter in sorted(variables) if letter != letter.lower() in variables}
    formula, reference = (
        re.sub(_VARIABLE, lambda found: renamed.get(found[0], found[0]), text) for text in (formula, reference)
    )
    return formula, reference


def _add_braces(text: str) -> str | None:
    r"""`text` with {…} around the arguments of \frac, \sqrt and ^, also around (…), a single number and a letter."""
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
        command = found[0].rstrip("( ")
        text = f"{text[: found.start()]}{command}{{{text[found.end() : end]}}}{text[end + 1 :]}"
    return text


def _decimal_as_fraction(found: re.Match[str]) -> str:
    """A decimal as an exact fraction: math-verify rounds floats."""
    return rf"{{\frac{{{int(found[1] + found[2])}}}{{{10 ** len(found[2])}}}}}"


class _Process:
    """math-verify in a child process, which starts on first use, serves further pairs, and ends with this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._child: subprocess.Popen[str] | None = None
        self._unavailable = False

    def equal(self, answer: str, reference: str) -> bool:
        """Whether two formulas are equal; False if the child does not decide within TIMEOUT_S."""
        with self._lock:
            if self._unavailable or not self._start():
                return False
            return self._exchange({"answer": answer, "reference": reference, "seconds": TIMEOUT_S}) is True

    def _start(self) -> bool:
        """Start the child unless it is running; False if math-verify does not work."""
        if self._child and self._child.poll() is None:
            return True
        self._stop()
        command = [sys.executable, "-m", "swiftkit.worker.symbolic"]
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,  # Ctrl-C goes to this process only, which then ends the child
        )
        atexit.register(self._stop)
        status = self._exchange(None)
        if status == {"ready": True}:
            return True
        reason = status["error"] if isinstance(status, dict) else "its process does not start"
        logger.warning("formulas are compared as text only: math-verify: %s", reason)
        self._unavailable = True
        self._stop()
        return False

    def _exchange(self, request: dict[str, object] | None) -> Any:
        """Send `request`, if any, and return the child's next line; None if it has ended, as it does on a timeout."""
        child = self._child
        assert child and child.stdin and child.stdout
        try:
            if request:
                print(json.dumps(request), file=child.stdin, flush=True)
            line = child.stdout.readline()
        except OSError:
            line = ""
        if not line:
            self._stop()
        return json.loads(line) if line else None

    def _stop(self) -> None:
        if self._child:
            self._child.kill()
            self._child.communicate()
            self._child = None
            atexit.unregister(self._stop)


_process = _Process()
