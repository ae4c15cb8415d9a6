"""Loaded by ms-swift through `--external_plugins`, in the training process and in its data loader processes.

Registers swiftkit's template (ms-swift's `register_template`) and callback (its `callbacks_map`). It also replaces two
attributes of ms-swift until the process ends, because ms-swift runs code from a model folder and has no option against
it: `ModelLoader.default_trust_remote_code`, and the `AutoConfig` of `swift.model.model_meta`, called with a fixed True.
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

from swiftkit import files
from swiftkit.chat.encode import ChatEncoder
from swiftkit.data import tasks
from swiftkit.system import events, supervisor
from swiftkit.system.events import Best, Eval, Event, Failed, Finished, Interrupted, Phase, Saved, Step
from swiftkit.training import job as jobs
from swiftkit.training.run import save_best
from swiftkit.training.trainers.ms_swift import arguments
from swiftkit.training.trainers.ms_swift.trainer import JOB_VARIABLE

JOB = jobs.load(Path(os.environ[JOB_VARIABLE]))
TASK, EXAMPLE_TYPE = tasks.get(JOB.config.task), tasks.example_type(JOB.config.task)


class SwiftkitTemplate(Template):
    """ms-swift's template with swiftkit's renderer: the tokens that the parent counted are those that are trained."""

    def encode(self, inputs: Any, return_template_inputs: bool = False, return_length: bool = False) -> dict[str, Any]:
        """Ids and labels of a training row; everything else (generation) is left to ms-swift."""
        if not isinstance(inputs, dict) or "lengths" not in inputs:
            return super().encode(inputs, return_template_inputs, return_length)
        encoder = ChatEncoder(self.tokenizer._tokenizer, JOB.compiled_template, JOB.stop_token)
        own = {name: inputs[name] for name in EXAMPLE_TYPE.own_fields()}
        own |= {"text": inputs.get("text"), "masked": tuple(inputs.get("masked") or ())}
        example = EXAMPLE_TYPE(tuple(inputs.get("messages") or ()), inputs["source"], **own)
        (encoded,) = TASK.encode([example], encoder)
        expected = inputs["lengths"]
        if len(encoded.ids) != expected:
            raise RuntimeError(
                f"{inputs['source']}: {len(encoded.ids)} tokens here, {expected} when it was checked: transformers "
                "does not tokenize as the folder's tokenizer.json does"
            )
        row: dict[str, Any] = {"input_ids": encoded.ids, "labels": encoded.labels}
        return row | {"lengths": [expected]} if return_length else row


class Recorder(TrainerCallback):
    """Writes events.jsonl, keeps the best checkpoint, ends training on a signal or when it diverges."""

    def __init__(self, args: Any, trainer: Any) -> None:
        super().__init__(args, trainer)
        self.best: float | None = None
        self.latest: tuple[int, float] | None = None  # step and value of the last evaluation
        self.stop_reason: str | None = None
        self.interrupted_at = math.inf  # time of the first signal
        self.writes = args.process_index == 0
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        self._report(Phase(phase="model"))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        # A second signal ends it at once; not the one that torchrun sends to its processes right after the first.
        if time.monotonic() > self.interrupted_at + 2:
            raise KeyboardInterrupt
        self.interrupted_at = min(self.interrupted_at, time.monotonic())
        self.stop_reason = self.stop_reason or "interrupted"

    def _report(self, event: Event) -> None:
        if self.writes:
            events.append(JOB.events, event)

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The trainer is ready."""
        trainable = sum(p.numel() for p in self.trainer.model.parameters() if p.requires_grad)
        self._report(Phase(phase="trainer", trainable=trainable, steps=state.max_steps))
        # ms-swift collects garbage at every evaluation. Imports leave half a million permanent objects; frozen, they
        # are not traversed each time (0.25 s of an evaluation of 0.36 s on a small model).
        gc.freeze()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """The loss of a step."""
        if not logs or "loss" not in logs:
            return
        if not self._check_finite("loss", logs["loss"], state, control):
            return
        finite = {key: logs[key] for key in ("grad_norm", "learning_rate") if math.isfinite(logs.get(key, math.inf))}
        self._report(
            Step(
                step=state.global_step,
                loss=logs["loss"],
                epoch=round(state.epoch or 0, 4),
                tokens=round(state.global_step * JOB.rows_per_step * JOB.mean_tokens),
                **finite,
            )
        )

    def _check_finite(self, what: str, value: float, state: Any, control: Any) -> bool:
        """Whether a loss is a number; if it is not, training ends (and the events stay valid JSON)."""
        if math.isfinite(value):
            return True
        reason = f"diverged: the {what} of step {state.global_step} is {value}; lower --learning_rate"
        self.stop_reason = self.stop_reason or reason
        control.should_training_stop = True
        return False

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: dict[str, float], **kwargs: Any) -> None:
        """An evaluation; whether it is the best is decided when its checkpoint is saved."""
        if not self._check_finite("validation loss", metrics["eval_loss"], state, control):
            return
        self._report(Eval(step=state.global_step, loss=metrics["eval_loss"]))
        metric = TASK.SELECTION.metric
        if metric in metrics:
            self.latest = (state.global_step, metrics[metric])
        else:
            known = ", ".join(sorted(name for name in metrics if name.startswith("eval_")))
            reason = f"the task `{JOB.config.task}` selects by {metric}, but an evaluation reports only {known}"
            self.stop_reason = self.stop_reason or reason
            control.should_training_stop = True

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A checkpoint; copied to a folder of its own if its evaluation is the best so far."""
        if not self.writes:
            return
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        files.link(JOB.run / "last", folder.name)
        self._report(Saved(step=state.global_step, path=folder.name))
        step, value = self.latest or (None, math.nan)
        if step == state.global_step and JOB.num_validation and TASK.SELECTION.is_better(value, self.best):
            self.best, metric = value, TASK.SELECTION.metric
            save_best(JOB.run, folder, step, value, metric)
            self._report(Best(step=step, value=value, metric=metric))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Save and stop after a signal, or if the parent is gone."""
        if supervisor.is_orphaned(JOB.parent):
            self.stop_reason = self.stop_reason or "interrupted"
        if args.world_size > 1:
            self.stop_reason = _agree(self.stop_reason)
        if self.stop_reason:
            control.should_save = self.stop_reason == "interrupted"
            control.should_training_stop = True

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """How it ended, with the peak memory."""
        step = state.global_step
        if self.stop_reason == "interrupted":
            self._report(Interrupted(step=step))
        elif self.stop_reason:
            self._report(Failed(step=step, error=self.stop_reason))
        else:
            self._report(Finished(step=step, memory=_peak_memory()))


def _agree(reason: str | None) -> str | None:
    """The same reason to stop in all processes; if one stopped alone, the others would wait for it forever."""
    import torch.distributed

    reasons: list[str | None] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(reasons, reason)
    return next((each for each in reasons if each), None)


def _peak_memory() -> dict[str, int]:
    """In bytes: of this process, and of the GPU if there is one."""
    import resource

    import torch

    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated()
    return peak


class ConfigWithoutCode:
    """transformers' AutoConfig, restricted to its own classes."""

    @staticmethod
    def from_pretrained(*args: Any, **kwargs: Any) -> Any:
        """As AutoConfig's, whatever `trust_remote_code` is passed."""
        return AutoConfig.from_pretrained(*args, **{**kwargs, "trust_remote_code": False})


def replace_until_exit(owner: Any, name: str, value: Any) -> None:
    """Replace an attribute of ms-swift until this process ends."""
    atexit.register(setattr, owner, name, getattr(owner, name))
    setattr(owner, name, value)


base = TEMPLATE_MAPPING[JOB.model.swift_template]
register_template(replace(base, template_type=arguments.TEMPLATE, template_cls=SwiftkitTemplate), exist_ok=True)
callbacks_map[arguments.CALLBACK] = Recorder
if not JOB.config.trust_remote_code:
    replace_until_exit(ModelLoader, "default_trust_remote_code", False)
    replace_until_exit(model_meta, "AutoConfig", ConfigWithoutCode)
