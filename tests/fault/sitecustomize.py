"""Put on PYTHONPATH by tests: in the process that answers an exam, the model fails on the questions of `$FAIL_ON`."""

import os
import sys

if "FAIL_ON" in os.environ and "swiftkit.worker.exam" in sys.orig_argv:
    from swiftkit.worker.generation import Answerer

    numbers = {int(number) for number in os.environ["FAIL_ON"].split(",")}
    sound = Answerer._batch

    def broken(self, prompts, finished):
        if numbers & {prompt.number for prompt in prompts}:
            raise RuntimeError("no memory for this question")
        sound(self, prompts, finished)

    Answerer._batch = broken
