"""Run by an exam's worker before its work (`support.warm`): the model fails on the questions numbered in `$FAIL_ON`.

With `$FAIL_BY=kill` the worker is killed there, as the kernel does when memory runs out.
"""

import os
import signal

from swiftkit.exams.engines.transformers import TransformersEngine

numbers = {int(number) for number in os.environ["FAIL_ON"].split(",")}
generate_batch = TransformersEngine._generate_batch


def fail(self, prompts, stop, on_done):
    if numbers & {prompt.number for prompt in prompts}:
        if os.environ.get("FAIL_BY") == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise RuntimeError("no memory for this question")
    generate_batch(self, prompts, stop, on_done)


TransformersEngine._generate_batch = fail
