"""`python -m swiftkit.worker.symbolic`: math-verify, one pair of formulas a line.

Reads {"given": …, "wanted": …, "seconds": …} and writes true or false; the first line that it writes is
{"ready": true}, or {"error": …} when math-verify does not import. A pair that takes longer than its seconds ends this
process, by an alarm of its own, so that it never outlives whoever asked.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any, TextIO

START = 60.0  # seconds for the import
MEMORY = 4 * 2**30  # bytes of address space; 9^(9^9) would take all there is


def main() -> None:
    """Answer until stdin ends."""
    # Libraries that print must not do so into the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, START)
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    try:
        import math_verify  # type: ignore[import-untyped]  # noqa: F401
    except Exception as error:  # whatever a broken installation does
        _write(answers, {"error": f"{type(error).__name__}: {error}"})
        return
    _write(answers, {"ready": True})
    signal.setitimer(signal.ITIMER_REAL, 0)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        same = equal(request["given"], request["wanted"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(answers, same)


def _write(answers: TextIO, answer: object) -> None:
    print(json.dumps(answer), file=answers, flush=True)


def equal(given: str, wanted: str) -> bool:
    """Whether math-verify reads both formulas as a whole, and finds them the same."""
    from math_verify import verify

    try:
        one, other = _parsed(given), _parsed(wanted)
        # Its own timeouts are alarms as well, and would take ours away. No rounding: decimals come as fractions.
        return one is not None and other is not None and verify(other, one, float_rounding=15, timeout_seconds=None)
    except Exception:  # whatever sympy stumbles over, memory and recursion included
        return False


def _parsed(formula: str) -> Any:
    """The formula as sympy has it; None when math-verify does not read all of it."""
    from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
    from math_verify import LatexExtractionConfig, parse

    as_it_stands = NormalizationConfig(basic_latex=False, boxed="none")
    config = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=as_it_stands)
    found = parse(f"${formula}$", [config], extraction_mode="first_match", parsing_timeout=None)
    # With what it read as sympy comes the text that it read.
    return found[0] if len(found) == 2 and found[1] == formula else None


if __name__ == "__main__":
    main()
