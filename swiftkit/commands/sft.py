"""`swiftkit sft`: check everything, train by ms-swift, keep the best checkpoint."""

from __future__ import annotations

import json
import logging
import shlex
import signal
import time
from pathlib import Path
from threading import Thread
from typing import Any

import yaml

from swiftkit import child, curves, events, hardware, paths, planning, plugins, record, runs
from swiftkit.config import SftConfig
from swiftkit.errors import FAILED, INTERRUPTED, TERMINATED, Problem, Problems
from swiftkit.flags import Given
from swiftkit.log import print_problems
from swiftkit.planning import Plan
from swiftkit.progress import Progress, span
from swiftkit.runs import Run
from swiftkit.trainers import Outcome, ms_swift
from swiftkit.worker.job import Job

logger = logging.getLogger(__name__)
CONFIG = SftConfig
EPILOG = """\
examples:
  swiftkit sft --model_type tiny-math
      the embedded model on the embedded data; needs no download
  swiftkit sft --model_type qwen2_5-1_5b-instruct --lora_rank 8 --dataset my_data.jsonl
  swiftkit sft --model_type qwen2_5-1_5b-instruct --model_id_or_path ./model \\
      --dataset a.jsonl b.csv#500 --learning_rate 5e-5 --num_train_epochs 3 --eval_steps 20
  swiftkit sft --config my.yaml --dry_run
      what would happen, and nothing else
  swiftkit sft --model_type qwen3-0_6b --dataset my_data.jsonl --swift.neftune_noise_alpha 5

Names of ms-swift 2, 3 and 4, TRL and Unsloth are understood where they mean the same (--per_device_train_batch_size,
--model, --max_seq_length, --r …), with hyphens or underscores."""


def run(given: Given, problems: Problems) -> int:
    """Train; returns the exit code."""
    made = planning.plan(given, problems)
    for line in described(made):
        logger.info("%s", line)
    planning.check_disk(made)
    if made.config.dry_run:
        _print_dry(made)
        return 0
    folder = runs.create(paths.typed(made.config.output_dir, "--output_dir"), made.wanted.name)
    logger.info("run: %s", folder.path)
    told = record.started(made)
    record.save(folder, made, told)
    _write_rows(folder, made)
    hashing = Thread(target=record.hash_weights, args=(made, told), daemon=True)
    hashing.start()
    began = time.time()
    with Progress(made.steps) as progress:
        outcome = plugins.get("trainers", "ms_swift")(job(folder, made), progress.show)
    if outcome.state == "finished":  # who has interrupted does not want to wait for hashes
        hashing.join()
    told |= record.ended(folder, outcome, time.time() - began)
    record.save(folder, made, told)
    if outcome.step:
        what = "full" if made.config.sft_type == "full" else f"rank {made.config.lora_rank}"
        title = f"{folder.name}, {what}, learning rate {made.config.learning_rate:g}"
        curves.save(curves.curves(events.lived(events.read(folder.events))), title, folder.path / "curves.png")
    if told["trainable"] != made.trainable:
        logger.warning(
            "ms-swift trained %s parameters, not the %s announced", f"{told['trainable']:,}", f"{made.trainable:,}"
        )
    return _report(folder, outcome, told, made.config.json_)


def described(made: Plan) -> list[str]:
    """What was decided, in the lines that a person reads before the training."""
    config, rows, family = made.config, made.rows, made.wanted.family
    average = rows.tokens / len(rows.train)
    lines = [
        f"model: {made.wanted.name} (family {family.name}, {made.folder.parameters / 1e6:,.1f} M parameters) "
        f"in {made.folder.path}",
        f"data: {', '.join(config.dataset)}: {rows.account}",
        f"tokens: {average:,.0f} a training row, {rows.longest:,} in the longest; template {family.template}",
        _trained(made),
        f"plan: {made.steps:,} steps of {made.rows_per_step} rows, "
        f"{'evaluation' if rows.validation else 'checkpoint'} every {config.eval_steps}; "
        f"{made.dtype} on {hardware.device().kind}: {made.dtype_why}"
        + ("; gradient checkpointing" if config.gradient_checkpointing else ""),
    ]
    if made.defaults:
        own = " ".join(f"--{key} {value}" for key, value in made.defaults.items())
        lines.append(f"settings of {made.wanted.name} from the registry: {own}")
    return lines + [f"note: {note}" for note in made.notes]


def _trained(made: Plan) -> str:
    config = made.config
    if config.sft_type == "full":
        return f"full fine-tuning: all {made.trainable:,} parameters, kept in fp32"
    share = made.trainable / (made.folder.parameters + made.trainable)
    return (
        f"adapter: LoRA of rank {config.lora_rank} on {', '.join(config.lora_target_modules)}: "
        f"{made.trainable:,} trainable parameters ({share:.2%})"
    )


def arguments(made: Plan, run: Path) -> list[str]:
    """ms-swift's command line for this plan."""
    options = ms_swift.arguments(
        made.config,
        made.wanted.family,
        made.folder.path,
        run.resolve(),
        dtype=made.dtype,
        validates=bool(made.rows.validation),
    )
    return ms_swift.argv(options)


def _print_dry(made: Plan) -> None:
    config = made.config.model_dump(mode="json")
    argv = arguments(made, paths.typed(made.config.output_dir, "--output_dir") / made.wanted.name / "v0-dry-run")
    rows = made.rows.account.__dict__
    if made.config.json_:
        print(json.dumps({"config": config, "ms_swift": argv, "rows": rows, "steps": made.steps}))
        return
    print(yaml.safe_dump({"config": config, "rows": rows, "steps": made.steps}, sort_keys=False, allow_unicode=True))
    print("ms-swift: swift sft " + shlex.join(argv))


def job(run: Run, made: Plan) -> Job:
    """The job file's content."""
    account, config = made.rows.account, made.config
    summary = {
        "steps": made.steps,
        "model": made.wanted.name,
        "dtype": made.dtype,
        "trainable": made.trainable,
        "train": account.train,
        "validation": account.validation,
    }
    return Job(
        run=run.path.resolve(),
        argv=arguments(made, run.path),
        template=made.wanted.family.template,
        swift_template=made.wanted.family.swift.template,
        stop=made.stop,
        summary=summary,
        mean_tokens=made.rows.tokens / account.train,
        rows_per_step=made.rows_per_step,
        trust_remote_code=config.trust_remote_code,
        keep_best=bool(made.rows.validation),
        parent=child.me(),
    )


def _write_rows(run: Run, made: Plan) -> None:
    folder = run.path / "data"
    folder.mkdir()
    for name, part in (("train", made.rows.train), ("validation", made.rows.validation)):
        if not part:
            continue
        lines = []
        for sized in part:
            example = sized.example
            content: dict[str, Any] = {"text": example.text} if example.text else {"messages": list(example.messages)}
            content |= {"source": example.source, "lengths": sized.tokens, "type": example.type}
            lines.append(json.dumps(content, ensure_ascii=False))
        runs.write(folder / f"{name}.jsonl", "\n".join(lines) + "\n")


def _report(run: Run, outcome: Outcome, told: dict[str, Any], wants_json: bool) -> int:
    best, last = told["best"], run.last()
    if wants_json:
        result = {
            "run": str(run.path),
            "best_model_checkpoint": str(run.path / "best") if best else None,
            "last_model_checkpoint": str(last) if last else None,
            **{key: told[key] for key in ("state", "error", "steps", "rows", "trainable", "best", "seconds")},
        }
        print(json.dumps(result))
    elif last:
        kept = str(run.path / "best") if best else "none (nothing was validated)"
        print(f"{outcome.state} at step {outcome.step} of {told['steps']} after {span(told['seconds'])}")
        if best:
            print(f"best validation loss: {best['value']:.4f} at step {best['step']}")
        print(f"best_model_checkpoint: {kept}")
        print(f"last_model_checkpoint: {last}")
        print(f"curves: {run.path / 'curves.png'}")
    if outcome.state == "finished":
        return 0
    if outcome.state == "interrupted":
        logger.warning("interrupted at step %s; what was saved stays in %s", outcome.step, run.path)
        return TERMINATED if outcome.signal == signal.SIGTERM else INTERRUPTED
    print_problems([Problem(f"the training failed: {outcome.error}", f"ms-swift's own output is in {run.log}")])
    return FAILED
