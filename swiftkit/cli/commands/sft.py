"""`swiftkit sft`: fine-tune a model, and print where everything is."""

from __future__ import annotations

import json
import logging
import shlex
from dataclasses import asdict
from typing import Any

import yaml

from swiftkit import files
from swiftkit.config.sft import SftConfig
from swiftkit.errors import Problems
from swiftkit.system import hardware
from swiftkit.system.progress import format_duration
from swiftkit.training import checks, planning, trainers
from swiftkit.training.planning import TrainingPlan
from swiftkit.training.progress import TrainingProgress
from swiftkit.training.run import Run
from swiftkit.training.sft import TrainingError, create_job, sft

logger = logging.getLogger(__name__)
CONFIG = SftConfig
EPILOG = """\
examples:
  swiftkit sft --model_type tiny-math
      the bundled model on the bundled data; needs no download
  swiftkit sft --model_type qwen2_5-1_5b-instruct --lora_rank 8 --dataset my_data.jsonl
  swiftkit sft --model_type qwen2_5-1_5b-instruct --model_id_or_path ./model \\
      --dataset a.jsonl b.csv#500 --learning_rate 5e-5 --num_train_epochs 3 --eval_steps 20
  swiftkit sft --config my.yaml --dry_run
      print what would happen, and stop
  swiftkit sft --model_type qwen3-0_6b --dataset my_data.jsonl --swift.neftune_noise_alpha 5

Names of ms-swift 2, 3 and 4, TRL and Unsloth are accepted where they mean the same (--per_device_train_batch_size,
--model, --max_seq_length, --r …), with hyphens or underscores."""


def run(config: SftConfig, problems: Problems) -> int:
    """Train; returns the exit code."""
    if config.dry_run:
        plan = planning.plan(config, problems)
        _log_plan(plan)
        planning.check_disk(plan)
        _print_dry_run(plan)
        return 0
    with TrainingProgress() as progress:

        def announce(plan: TrainingPlan) -> None:
            progress.steps = plan.steps
            _log_plan(plan)

        try:
            finished = sft(config, on_plan=announce, on_event=progress.on_event, problems=problems)
        except TrainingError as error:
            progress.stop()  # while a live line is shown, rich writes stdout's lines to stderr
            _print_result(error.run, config.json_)
            raise
    _print_result(finished, config.json_)
    for finding in checks.analyze(finished):
        logger.warning("note: %s", finding.text + (f" ({finding.hint})" if finding.hint else ""))
    return 0


def _log_plan(plan: TrainingPlan) -> None:
    for line in describe(plan):
        logger.info("%s", line)


def describe(plan: TrainingPlan) -> list[str]:
    """What was decided, in the lines that a user reads before the training."""
    config, data, family, folder = plan.config, plan.data, plan.model.family, plan.context.folder
    size = f"{folder.parameters / 1e6:,.1f} M parameters"
    lines = [
        f"model: {plan.model.name} (family {family.name}, {size}) in {folder.path}",
        f"data: {', '.join(config.dataset)}: {data.counts}",
        f"tokens: {data.num_tokens / len(data.train):,.0f} per training row on average, at most {data.longest:,}; "
        f"template {plan.context.template.name}",
        _trainable(plan),
        f"plan: {plan.steps:,} steps of {plan.rows_per_step} rows, "
        f"{'evaluation' if data.validation else 'checkpoint'} every {config.eval_steps}; "
        f"{plan.precision} on {hardware.device().kind}: {plan.precision.reason}"
        + ("; gradient checkpointing" if config.gradient_checkpointing else ""),
    ]
    if plan.defaults:
        defaults = " ".join(f"--{key} {value}" for key, value in plan.defaults.items())
        lines.append(f"defaults of {plan.model.name} from the registry: {defaults}")
    return lines + [f"note: {note}" for note in plan.notes]


def _trainable(plan: TrainingPlan) -> str:
    config = plan.config
    if config.sft_type == "full":
        return f"full fine-tuning: all {plan.trainable:,} parameters, stored in {plan.precision.storage}"
    share = plan.trainable / (plan.context.folder.parameters + plan.trainable)
    return (
        f"adapter: LoRA of rank {config.lora_rank} on {', '.join(config.lora_target_modules)}: "
        f"{plan.trainable:,} trainable parameters ({share:.2%})"
    )


def _print_dry_run(plan: TrainingPlan) -> None:
    output = files.parse_path(plan.config.output_dir, "--output_dir")
    command = trainers.preview(create_job(output / plan.model.name / "v0-dry-run", plan))
    content: dict[str, Any] = {
        "config": plan.config.model_dump(mode="json"),
        "rows": asdict(plan.data.counts),
        "steps": plan.steps,
    }
    if plan.config.json_:
        print(json.dumps(content | {"command": command}))
        return
    print(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
    if command:
        print(f"{plan.config.trainer}: {shlex.join(command)}")


def _print_result(run: Run, as_json: bool) -> None:
    record, last = run.read().record, run.last()
    best = record.best
    if as_json:
        result = {
            "run": str(run.path),
            "best_model_checkpoint": str(run.path / "best") if best else None,
            "last_model_checkpoint": str(last) if last else None,
            "curves": str(run.curves) if run.curves.is_file() else None,
            **record.model_dump(
                mode="json", include={"state", "error", "steps", "rows", "tokens", "trainable", "best", "seconds"}
            ),
        }
        print(json.dumps(result))
        return
    if last is None and record.state != "finished":
        return
    print(f"{record.state} at step {record.last} of {record.steps} after {format_duration(record.seconds or 0)}")
    if best:
        print(f"best: {best}")
    print(f"best_model_checkpoint: {run.path / 'best' if best else 'none (there was no validation)'}")
    print(f"last_model_checkpoint: {last or 'none'}")
    if run.curves.is_file():
        print(f"curves: {run.curves}")
