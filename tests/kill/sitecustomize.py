"""Put on PYTHONPATH by tests: a command and its worker are killed at a point, wherever it is reached first.

`$KILL_AT` is event|end of a path|mode|count, as Python's audit hooks report them: the process that sees such an event
for the `count`-th time (1 if it is left out) is killed there; if it is a worker (`-m swiftkit.…`), its parent is killed
before it.
"""

import itertools
import os
import signal
import sys

num_seen = 0


def kill(event, arguments):
    global num_seen
    point, path, mode, count = (os.environ["KILL_AT"] + "|1").split("|")[:4]
    if event != point or not isinstance(arguments[0], str | os.PathLike):
        return
    if not str(arguments[0]).endswith(path) or (mode and str(arguments[1])[0] != mode):
        return
    num_seen += 1
    if num_seen < int(count):
        return
    if any(pair[0] == "-m" and pair[1].startswith("swiftkit.") for pair in itertools.pairwise(sys.orig_argv)):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if "KILL_AT" in os.environ:
    sys.addaudithook(kill)
