"""run.yaml: the config as used, which `--config` runs again, and the record of what happened."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import yaml

from swiftkit import files
from swiftkit.data import catalog
from swiftkit.system import events, hardware, session
from swiftkit.system.events import Finished, Phase
from swiftkit.system.versions import versions
from swiftkit.training.planning import TrainingPlan
from swiftkit.training.record import BaseModelRecord, BestCheckpoint, RunRecord, TokenCounts
from swiftkit.training.run import Run
from swiftkit.training.trainers import TrainResult

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")


def begin(plan: TrainingPlan) -> RunRecord:
    """The record of a run, as far as it is known when training begins."""
    folder = plan.context.folder.path
    inputs = [folder / name for name in ("config.json", *TOKENIZER_FILES)]
    return RunRecord(
        command=session.current.get().command,
        folder=str(Path.cwd()),
        started=_now(),
        versions=versions(),
        device=hardware.device().to_json(),
        dtype=plan.precision.compute.name,
        dtype_reason=plan.precision.reason,
        model=BaseModelRecord(
            folder=str(folder.resolve()), family=plan.model.family.name, parameters=plan.context.folder.parameters
        ),
        template=plan.context.template.name,
        sha256={
            "template": plan.context.template.sha256,
            **{path.name: files.sha256(path) for path in inputs if path.is_file()},
            **{str(path): files.sha256(path) for path in plan.data.files},
        },
        rows=plan.data.counts,
        tokens=TokenCounts(train=plan.data.num_tokens, loss=plan.data.num_loss_tokens, longest=plan.data.longest),
        trainable=plan.trainable,
        steps=plan.steps,
    )


def hash_weights(plan: TrainingPlan) -> dict[str, str]:
    """Hashes of the base model's weight files; for large models this takes a while."""
    return {path.name: files.sha256(path) for path in sorted(plan.context.folder.path.glob("*.safetensors"))}


def finish(run: Run, record: RunRecord, result: TrainResult, seconds: float) -> RunRecord:
    """The complete record."""
    reported = list(events.read(run.events))
    finished = next((event for event in reported if isinstance(event, Finished)), None)
    # Options of the trainer (DoRA, packing …) can change what was planned; what it reports counts.
    trainer = next((event for event in reported if isinstance(event, Phase) and event.phase == "trainer"), None)
    best = run.best()
    return record.model_copy(
        update={
            "state": result.state,
            "error": result.error,
            "ended": _now(),
            "seconds": round(seconds, 1),
            "memory": finished.memory if finished else None,
            "trainable": trainer.trainable if trainer and trainer.trainable else record.trainable,
            "steps": trainer.steps if trainer and trainer.steps else record.steps,
            "best": BestCheckpoint(step=best.step, value=best.value, metric=best.metric) if best else None,
            "last": result.step,
        }
    )


def save(run: Run, plan: TrainingPlan, record: RunRecord) -> None:
    """Write run.yaml: the resolved config, with absolute paths, and the record so far."""
    config = plan.config.model_dump(mode="json", exclude_none=True)
    if not plan.model.is_bundled:  # a bundled model moves with the installation
        config["model_id_or_path"] = str(plan.context.folder.path.resolve())
    for name in ("dataset", "val_dataset"):
        config[name] = [catalog.absolute(dataset) for dataset in config[name]]
    for name in ("registry", "output_dir"):
        if name in config:
            config[name] = str(files.parse_path(config[name], f"--{name}").resolve())
    content = {"config": config, "record": record.model_dump(mode="json", exclude_none=True)}
    files.write(run.config_file, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")
