"""Put on PYTHONPATH by tests: kills a command and its child at a point.

`$KILL_AT` is event|end of a path|mode|count, as Python's audit hooks see them; the last one is 1 if not given.
"""

import os
import signal
import sys

seen = 0


def strike(event, arguments):
    global seen
    wanted, path, mode, count = (os.environ["KILL_AT"] + "|1").split("|")[:4]
    if event != wanted or not isinstance(arguments[0], (str, os.PathLike)):
        return
    if not str(arguments[0]).endswith(path) or (mode and str(arguments[1])[0] != mode):
        return
    seen += 1
    if seen < int(count):
        return
    if "swiftkit.worker" in " ".join(sys.orig_argv):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if "KILL_AT" in os.environ:
    sys.addaudithook(strike)
