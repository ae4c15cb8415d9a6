"""run.yaml: the config as used, which `--config` runs again, and the record of what became of it."""

from __future__ import annotations

import shlex
import sys
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from swiftkit import chat, events, hardware, paths, runs
from swiftkit.planning import Plan
from swiftkit.runs import Run
from swiftkit.trainers import Outcome

TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model")
PACKAGES = ("ms-swift", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "modelscope")


def started(made: Plan) -> dict[str, Any]:
    """The record of a run, as far as it is known when the training begins."""
    folder, template = made.folder.path, chat.path(made.wanted.family.template)
    learned = sum(sized.learned for sized in made.rows.train)
    return {
        "command": shlex.join(sys.argv),
        "folder": str(Path.cwd()),
        "state": "running",
        "started": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "device": hardware.device().record(),
        "dtype": f"{made.dtype}: {made.dtype_why}",
        "model": {
            "folder": str(folder.resolve()),
            "family": made.wanted.family.name,
            "parameters": made.folder.parameters,
        },
        "sha256": {
            "template": runs.sha256(template),
            "config.json": runs.sha256(folder / "config.json"),
            **{name: runs.sha256(folder / name) for name in TOKENIZER if (folder / name).is_file()},
            **{str(path): runs.sha256(path) for path in made.rows.files},
        },
        "rows": made.rows.account.__dict__,
        "tokens": {"train": made.rows.tokens, "learned": learned, "longest": made.rows.longest},
        "trainable": made.trainable,
        "steps": made.steps,
    }


def versions() -> dict[str, str]:
    """Versions of Python, swiftkit and what training hangs on."""
    found = {"python": sys.version.split()[0]}
    for name in ("swiftkit", *PACKAGES):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def hash_weights(made: Plan, record: dict[str, Any]) -> None:
    """Hash the base model while it is being trained on: for large models this takes a while."""
    hashes = {p.name: runs.sha256(p) for p in sorted(made.folder.path.glob("*.safetensors"))}
    record["sha256"] = {**record["sha256"], **hashes}


def ended(run: Run, outcome: Outcome, seconds: float) -> dict[str, Any]:
    """The rest of the record."""
    told = list(events.read(run.events))
    finished = next((e for e in told if e["event"] == "finished"), {})
    # Options of ms-swift (DoRA, packing …) can change what was planned; what it says counts.
    trainer = next((e for e in told if e.get("name") == "trainer"), {})
    best = run.best()
    return {
        "state": outcome.state,
        "error": outcome.error,
        "ended": datetime.now().astimezone().isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "memory": finished.get("memory"),
        **{key: trainer[key] for key in ("trainable", "steps") if key in trainer},
        "best": {key: best[key] for key in ("step", "metric", "value")} if best else None,
        "last": outcome.step,
    }


def save(run: Run, made: Plan, record: dict[str, Any]) -> None:
    """Write run.yaml: the resolved config, with absolute paths, and the record so far."""
    config = made.config.model_dump(mode="json")
    if not made.wanted.embedded:  # an embedded model moves with the installation
        config["model_id_or_path"] = str(made.folder.path.resolve())
    config["dataset"] = [absolute(name) for name in config["dataset"]]
    config["val_dataset"] = [absolute(name) for name in config["val_dataset"]]
    if made.config.registry:
        config["registry"] = str(paths.typed(made.config.registry, "--registry").resolve())
    config["output_dir"] = str(paths.typed(made.config.output_dir, "--output_dir").resolve())
    config = {key: value for key, value in config.items() if value is not None}
    content = {"config": config, "record": record}
    runs.write(run.config, yaml.safe_dump(content, sort_keys=False, allow_unicode=True))


def absolute(name: str) -> str:
    """A dataset as asked for, with a file's path made absolute, so that it means the same from everywhere."""
    whole = Path(name).expanduser()
    path, mark, count = name.rpartition("#") if "#" in name and not whole.exists() else (name, "", "")
    file = Path(path).expanduser()
    return f"{file.resolve()}{mark}{count}" if file.is_file() else name
