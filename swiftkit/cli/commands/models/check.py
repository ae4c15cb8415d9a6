"""`swiftkit models check NAME|FOLDER|--all`: whether training, exam, export and ms-swift use the same tokens."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from swiftkit.cli.commands.models.listing import SEE_LIST
from swiftkit.errors import FAILED, SwiftkitError
from swiftkit.exports import token_parity
from swiftkit.exports.token_parity import SAME, ParityReport
from swiftkit.models import registry, weights
from swiftkit.models.context import ModelContext
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import resolve_model
from swiftkit.system.console import table

logger = logging.getLogger(__name__)


def run(words: list[str], *, model_type: str | None, check_all: bool, as_json: bool) -> int:
    """Check one model, or one of every family; exit code 1 if training and serving would use different tokens."""
    if check_all and not words:
        return _check_all(as_json)
    if len(words) != 1 or check_all:
        raise SwiftkitError("`swiftkit models check` takes one name or model folder, or --all", SEE_LIST)
    (name,) = words
    is_folder = name.startswith((".", "/", "~")) or Path(name).exists()
    context = _load(resolve_model(model_type, name) if is_folder else resolve_model(name, None))
    (report,) = token_parity.check([context])
    if report.failure:
        raise SwiftkitError(
            f"ms-swift or transformers cannot load {context.folder.path}: {report.failure}", exit_code=FAILED
        )
    if as_json:
        print(json.dumps(_to_json(context, report)))
    else:
        _print(context, report)
    return 0 if report.is_consistent else FAILED


def _load(model: ResolvedModel) -> ModelContext:
    """A model with its folder and tokenizer checked."""
    context = ModelContext.load(model, download=False)
    context.tokenizer  # noqa: B018 - raises if it cannot be used
    return context


def _print(context: ModelContext, report: ParityReport) -> None:
    family = context.model.family
    rows = [
        [parity.conversation, str(parity.num_tokens), str(parity.num_loss_tokens), parity.ms_swift, parity.export]
        for parity in report.conversations
    ]
    print(table(["conversation", "tokens", "with loss", "ms-swift's encoder", "export in transformers"], rows))
    if family.template_notes:
        print(f"\ntemplate notes: {family.template_notes}")
    print(f"\nend of answers: {report.stop or 'a token that is trained, and at which generation stops'}")
    same, different = "the same tokens in training, exam and export", "training and serving would use different tokens"
    verdict = same if report.is_consistent else different
    print(f"{context.model.name} (family {family.name}, template {family.template}): {verdict}")


def _check_all(as_json: bool) -> int:
    """Check every family with its first model that is on this machine."""
    contexts: dict[str, ModelContext] = {}
    unusable: dict[str, str] = {}
    for name, (family, _) in registry.entries().items():
        model = resolve_model(name, None)
        if family.name not in {*contexts, *unusable} and weights.find_local(model):
            try:
                contexts[family.name] = _load(model)
            except SwiftkitError as error:
                unusable[family.name] = str(error)
    reports = dict(zip(contexts, token_parity.check(list(contexts.values())), strict=True)) if contexts else {}
    missing = [name for name in registry.families() if name not in {*contexts, *unusable}]
    if as_json:
        models = [_to_json(contexts[name], report) for name, report in reports.items()]
        print(json.dumps({"models": models, "unusable": unusable, "missing": missing}))
    else:
        levels = {name: family.level for name, family in registry.families().items()}
        rows = [[name, contexts[name].model.name, levels[name], _verdict(report)] for name, report in reports.items()]
        rows += [[name, "", levels[name], reason] for name, reason in unusable.items()]
        print(table(["family", "model", "level", "training, exam, export"], rows))
        if missing:
            logger.info("no model of these families is on this machine: %s", ", ".join(missing))
    return 0 if not unusable and all(report.is_consistent for report in reports.values()) else FAILED


def _verdict(report: ParityReport) -> str:
    different = [parity.conversation for parity in report.conversations if parity.export != SAME]
    return report.failure or report.stop or (f"differ: {', '.join(different)}" if different else "the same tokens")


def _to_json(context: ModelContext, report: ParityReport) -> dict[str, Any]:
    family = context.model.family
    return {
        "model": context.model.name,
        "family": family.name,
        "template": family.template,
        "consistent": report.is_consistent,
        "stop": report.stop,
        "failure": report.failure,
        "conversations": [asdict(parity) for parity in report.conversations],
    }
