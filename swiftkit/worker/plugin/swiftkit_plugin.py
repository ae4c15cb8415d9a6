"""Loaded by ms-swift through `--external_plugins`, in the training process and in its loader processes.

Registers our template (ms-swift's `register_template`) and our callback (its `callbacks_map`). It also replaces two
attributes of ms-swift, undone at exit, because ms-swift runs code from a model folder and has no option against it:
`ModelLoader.default_trust_remote_code`, and the `AutoConfig` of `swift.model.model_meta`, called with a fixed True.
"""

from __future__ import annotations

import atexit
import gc
import math
import os
import signal
import time
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from swift.callbacks import TrainerCallback, callbacks_map
from swift.model import model_meta
from swift.model.register import ModelLoader
from swift.template import TEMPLATE_MAPPING, Template, register_template
from transformers import AutoConfig

from swiftkit import chat, events, runs
from swiftkit.schema import Encoded
from swiftkit.worker import job as jobs

JOB = jobs.load(Path(os.environ[jobs.VARIABLE]))


class SwiftkitTemplate(Template):
    """ms-swift's template with our renderer: the tokens that the parent counted are those that are trained."""

    def encode(self, inputs: Any, return_template_inputs: bool = False, return_length: bool = False) -> dict[str, Any]:
        """Ids and labels of a training row; everything else (generation) is left to ms-swift."""
        if not isinstance(inputs, dict) or "lengths" not in inputs:
            return super().encode(inputs, return_template_inputs, return_length)
        encoded = self._tokens(inputs)
        expected = inputs["lengths"]
        if len(encoded.ids) != expected:
            raise RuntimeError(
                f"{inputs['source']}: {len(encoded.ids)} tokens here, {expected} when it was checked: transformers "
                "does not tokenise as the folder's tokenizer.json does"
            )
        row: dict[str, Any] = {"input_ids": encoded.ids, "labels": encoded.labels}
        return row | {"lengths": [expected]} if return_length else row

    def _tokens(self, row: dict[str, Any]) -> Encoded:
        tokenizer = self.tokenizer._tokenizer
        if row.get("text") is not None:
            return next(chat.encode_text([row["text"]], tokenizer, JOB.stop))
        return next(chat.encode([row["messages"]], chat.load(JOB.template), tokenizer))


class Recorder(TrainerCallback):
    """Writes events.jsonl, keeps the best checkpoint, ends the training when asked to or when it diverges."""

    def __init__(self, args: Any, trainer: Any) -> None:
        super().__init__(args, trainer)
        self.best = math.inf
        self.latest: tuple[int, float] | None = None
        self.stop: str | None = None
        self.asked = math.inf  # when the first signal came
        self.writes = args.process_index == 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._signal)
        self._tell("phase", name="model")

    def _signal(self, number: int, frame: FrameType | None) -> None:
        # The second time: at once. Not what torchrun sends on to its processes, which follows on the heels.
        if time.monotonic() > self.asked + 2:
            raise KeyboardInterrupt
        self.asked = min(self.asked, time.monotonic())
        self.stop = self.stop or "interrupted"

    def _tell(self, event: str, **values: Any) -> None:
        if self.writes:
            events.append(JOB.events, event, **values)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer is ready."""
        trained = sum(p.numel() for p in self.trainer.model.parameters() if p.requires_grad)
        self._tell("phase", name="trainer", trainable=trained, steps=state.max_steps)
        # ms-swift collects garbage at every evaluation. What the imports left behind is half a million objects that
        # stay for good; frozen, they are not walked each time (0.25 s of an evaluation of 0.36 s on a small model).
        gc.freeze()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """A step's loss."""
        if not logs or "loss" not in logs:
            return
        if not self._finite("loss", logs["loss"], state, control):
            return
        tokens = round(state.global_step * JOB.rows_per_step * JOB.mean_tokens)
        kept = {
            key: logs[key] for key in ("loss", "grad_norm", "learning_rate") if math.isfinite(logs.get(key, math.inf))
        }
        self._tell("step", step=state.global_step, epoch=round(state.epoch or 0, 4), tokens=tokens, **kept)

    def _finite(self, what: str, value: float, state: Any, control: Any) -> bool:
        """Whether a loss is a number; if not, the training ends (and the events stay valid JSON)."""
        if math.isfinite(value):
            return True
        self.stop = self.stop or f"diverged: the {what} of step {state.global_step} is {value}; lower --learning_rate"
        control.should_training_stop = True
        return False

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """A validation loss; whether it is the best is known when its checkpoint is saved."""
        if self._finite("validation loss", metrics["eval_loss"], state, control):
            self.latest = (state.global_step, metrics["eval_loss"])
            self._tell("eval", step=state.global_step, loss=metrics["eval_loss"])

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint; copied to a place of its own when its validation loss is the lowest so far."""
        if not self.writes:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        runs.link(JOB.run / "last", folder.name)
        self._tell("saved", step=state.global_step, path=folder.name)
        if self.latest and self.latest[0] == state.global_step and self.latest[1] < self.best and JOB.keep_best:
            self.best = self.latest[1]
            runs.keep_best(JOB.run, folder, state.global_step, self.best)
            self._tell("best", step=state.global_step, loss=self.best)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop when a signal asked for it, or when the parent is gone."""
        if jobs.orphaned(JOB.parent):
            self.stop = self.stop or "interrupted"
        if args.world_size > 1:
            self.stop = _agreed(self.stop)
        if self.stop:
            control.should_save = self.stop == "interrupted"
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """How it ended, with the memory that it took."""
        if self.stop == "interrupted":
            self._tell("interrupted", step=state.global_step)
        elif self.stop:
            self._tell("failed", step=state.global_step, error=self.stop)
        else:
            self._tell("finished", step=state.global_step, memory=_memory())


def _agreed(stop: str | None) -> str | None:
    """The same reason to stop in all processes, since one that leaves alone lets the others wait for ever."""
    import torch.distributed

    reasons: list[str | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(reasons, stop)
    return next((reason for reason in reasons if reason), None)


def _memory() -> dict[str, int]:
    """Peak memory in bytes: of this process, and of the GPU where there is one."""
    import resource

    import torch

    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated()
    return peak


class ConfigWithoutCode:
    """transformers' AutoConfig, with its own classes only."""

    @staticmethod
    def from_pretrained(*args: Any, **kwargs: Any) -> Any:
        """As AutoConfig's, whatever `trust_remote_code` was asked for."""
        return AutoConfig.from_pretrained(*args, **{**kwargs, "trust_remote_code": False})


def set_until_exit(owner: Any, name: str, value: Any) -> None:
    """Replace an attribute of ms-swift until this process ends."""
    atexit.register(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


base = TEMPLATE_MAPPING[JOB.swift_template]
register_template(replace(base, template_type="swiftkit", template_cls=SwiftkitTemplate), exist_ok=True)
callbacks_map["swiftkit"] = Recorder
if not JOB.trust_remote_code:
    set_until_exit(ModelLoader, "default_trust_remote_code", False)
    set_until_exit(model_meta, "AutoConfig", ConfigWithoutCode)
