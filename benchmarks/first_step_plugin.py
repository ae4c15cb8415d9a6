"""Loaded by `swift sft` in `training.py`: writes the times of its phases (seconds since 1970) to the file `$TIMES`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from swift.callbacks import TrainerCallback, callbacks_map

IMPORTED = time.time()


class Clock(TrainerCallback):
    """Notes the times of the training, and writes them when it ends."""

    def __init__(self, args: Any, trainer: Any) -> None:
        super().__init__(args, trainer)
        self.times = {"imports": IMPORTED}

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer is ready."""
        self.times["trainer"] = time.time()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """An optimizer step is done."""
        self.times.setdefault("first step", time.time())
        self.times["last step"] = time.time()

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """All steps are done."""
        Path(os.environ["TIMES"]).write_text(json.dumps(self.times), encoding="utf-8")


callbacks_map["clock"] = Clock
