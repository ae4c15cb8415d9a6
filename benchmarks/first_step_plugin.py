"""For timing `swift sft` itself: notes when its first and last optimizer step ended."""

import json
import os
import time

from swift.callbacks import TrainerCallback, callbacks_map

TIMES = {"imports": time.time()}


class Clock(TrainerCallback):
    def on_train_begin(self, args, state, control, **kwargs):
        TIMES["trainer"] = time.time()

    def on_step_end(self, args, state, control, **kwargs):
        TIMES.setdefault("first step", time.time())
        TIMES["last step"] = time.time()

    def on_train_end(self, args, state, control, **kwargs):
        with open(os.environ["TIMES"], "w") as stream:  # noqa: PTH123
            json.dump(TIMES, stream)


callbacks_map["clock"] = Clock
