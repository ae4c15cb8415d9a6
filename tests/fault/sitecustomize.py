"""Put on PYTHONPATH by tests: in the process that answers an exam, the model fails on the questions of `$FAIL_ON`.

With `$FAIL_BY=kill` the process is killed there, as the kernel does when memory runs out.
"""

import os
import signal
import sys

if "FAIL_ON" in os.environ and "swiftkit.worker.exam" in sys.orig_argv:
    from swiftkit.worker.generation import Answerer

    numbers = {int(number) for number in os.environ["FAIL_ON"].split(",")}
    sound = Answerer._batch

    def broken(self, prompts, finished):
        if numbers & {prompt.number for prompt in prompts}:
            if os.environ.get("FAIL_BY") == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            raise RuntimeError("no memory for this question")
        sound(self, prompts, finished)

    Answerer._batch = broken
