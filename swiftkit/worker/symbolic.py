"""`python -m swiftkit.worker.symbolic`: compare formulas with math-verify, one pair per line.

Reads {"answer": …, "reference": …, "seconds": …} and writes true or false. The first line that it writes is
{"ready": true}, or {"error": …} if math-verify does not import. A pair that takes longer than its seconds ends this
process by SIGALRM, so the process never outlives its parent for long.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from typing import Any, TextIO

IMPORT_TIMEOUT_S = 60.0
MAX_MEMORY_BYTES = 4 * 2**30  # of address space; 9^(9^9) would take all there is


def main() -> None:
    """Serve pairs until stdin ends."""
    # Libraries that print must not write into the verdicts.
    output = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, IMPORT_TIMEOUT_S)
    _, hard_limit = resource.getrlimit(resource.RLIMIT_AS)
    limit = MAX_MEMORY_BYTES if hard_limit == resource.RLIM_INFINITY else min(MAX_MEMORY_BYTES, hard_limit)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard_limit))
    try:
        import math_verify  # type: ignore[import-untyped]  # noqa: F401
    except Exception as error:  # a broken installation may raise anything
        _write(output, {"error": f"{type(error).__name__}: {error}"})
        return
    _write(output, {"ready": True})
    signal.setitimer(signal.ITIMER_REAL, 0)
    for line in sys.stdin:
        request = json.loads(line)
        signal.setitimer(signal.ITIMER_REAL, request["seconds"])
        verdict = equal(request["answer"], request["reference"])
        signal.setitimer(signal.ITIMER_REAL, 0)
        _write(output, verdict)


def _write(output: TextIO, message: object) -> None:
    print(json.dumps(message), file=output, flush=True)


def equal(answer: str, reference: str) -> bool:
    """Whether math-verify parses both formulas as a whole, and finds them equal."""
    from math_verify import verify

    try:
        target, gold = _parse(answer), _parse(reference)
        if target is None or gold is None:
            return False
        # math-verify's own timeouts are alarms too, and would replace the one of `main`. No rounding: decimals arrive
        # as fractions.
        verdict: bool = verify(gold, target, float_rounding=15, timeout_seconds=None)
        return verdict
    except Exception:  # sympy may raise anything, memory and recursion errors included
        return False


def _parse(formula: str) -> Any:
    """The formula as a sympy object; None if math-verify does not parse all of it."""
    from latex2sympy2_extended import NormalizationConfig  # type: ignore[import-untyped]
    from math_verify import LatexExtractionConfig, parse

    unchanged = NormalizationConfig(basic_latex=False, boxed="none")
    config = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=unchanged)
    found = parse(f"${formula}$", [config], extraction_mode="first_match", parsing_timeout=None)
    # The sympy object comes with the text that it was parsed from.
    return found[0] if len(found) == 2 and found[1] == formula else None


if __name__ == "__main__":
    main()
