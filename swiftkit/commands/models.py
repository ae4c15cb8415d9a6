"""`swiftkit models`: what the registry and ms-swift's catalogue know."""

from __future__ import annotations

import json
import logging
import os
import shlex
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swiftkit import assets, catalogue, chat, hub, lora, model_folder, models, paths, sources, tokenization, weights
from swiftkit.config import ModelsConfig
from swiftkit.errors import FAILED, Problems, SwiftkitError, nearest, unknown
from swiftkit.flags import Given, build
from swiftkit.log import table

if TYPE_CHECKING:
    from swiftkit.contract import Checked

logger = logging.getLogger(__name__)
CONFIG = ModelsConfig
LIST = "`swiftkit models` lists the names"
EPILOG = """\
examples:
  swiftkit models
  swiftkit models qwen 7b
  swiftkit models --level known
  swiftkit models check ./model
      whether training, export and ms-swift see the same tokens, on this folder's own tokenizer
  swiftkit models fetch qwen2_5-1_5b-instruct ./model
  swiftkit models adopt ./model ./mine
      a family for a model that has none, from its folder's own chat template
  swiftkit models show qwen2_5-1_5b-instruct --lora_rank 16
  swiftkit models --datasets"""


def run(given: Given, problems: Problems) -> int:
    """List or show; returns the exit code."""
    problems.raise_any()
    config = build(ModelsConfig, given)
    if config.datasets:
        return _datasets(config)
    if config.words and config.words[0] in VERBS:
        return VERBS[config.words[0]](config.words[1:], config)
    if config.family and config.family not in models.families():
        raise unknown("family", config.family, models.families())
    for left_out in models.broken():
        logger.warning("left out: %s", left_out.error)
    further = _catalogued()
    rows = [row for row in [*_registered(), *further] if _wanted(row, config)]
    if not rows:
        said = f"no model has {' and '.join(config.words)} in its name"
        raise SwiftkitError(said, nearest("".join(config.words[:1]), VERBS, "`swiftkit models` lists all"))
    if config.json_:
        print(json.dumps({"models": rows}))
        return 0
    shown = [
        [r["model"], r["family"] or "", r["level"], size(r["parameters"]) if r["parameters"] else "", str(r["source"])]
        for r in rows
    ]
    print(table(["model", "family", "level", "parameters", "weights from"], shown))
    if not config.words and not config.level and not config.family:
        logger.info(
            "and %s more that ms-swift trains: `swiftkit models WORD`, `swiftkit models --level known`",
            f"{len(further):,}",
        )
    return 0


def _wanted(row: dict[str, Any], config: ModelsConfig) -> bool:
    """Whether a row is asked for; those of the catalogue only by a word, a level, or a family."""
    asked = config.words or config.level or config.family or row["registered"]
    named = all(word.lower() in row["model"].lower() for word in config.words)
    return bool(asked and named and config.family in (None, row["family"]) and config.level in (None, row["level"]))


def _registered() -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "family": family.name,
            "level": family.level,
            "parameters": entry.parameters,
            "source": "embedded" if entry.embedded else entry.modelscope or entry.huggingface,
            "registered": True,
        }
        for name, (family, entry) in models.entries().items()
    ]


def _catalogued() -> list[dict[str, Any]]:
    """The text models of the catalogue that are not in the registry."""
    here = models.by_id()
    rows = []
    for name, known in catalogue.models().items():
        ids = [hub_id for hub_id in (known.modelscope, known.huggingface) if hub_id]
        if known.multimodal or any(hub_id.lower() in here for hub_id in ids):
            continue
        family = models.family_of(known)
        rows.append(
            {
                "model": name,
                "family": family.name if family else None,
                "level": "consistent" if family else "known",
                "parameters": None,
                "source": ids[0],
                "registered": False,
            }
        )
    return rows


def size(parameters: float) -> str:
    """1.54 B, 494 M."""
    return f"{parameters / 1e9:.2f} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"


def _show(words: list[str], config: ModelsConfig) -> int:
    if len(words) != 1:
        raise SwiftkitError("`swiftkit models show` takes one name", LIST)
    (asked,) = words
    known = models.catalogued(asked)
    if known:
        return _show_known(known, config)
    name, family, entry = models.named(asked)
    folder = models.folder_of(entry)
    if folder:
        found = lora.layers(weights.inspect(folder, family, trust_remote_code=False).tensors)
    else:
        found = lora.layers_of(entry.config, family.lora_targets) if entry.config else []
    trained = lora.trainable(lora.chosen(found, family.lora_targets), config.lora_rank) if found else None
    content: dict[str, Any] = {
        "model": name,
        "family": family.name,
        "level": models.level(family, name),
        "parameters": entry.parameters,
        "modelscope": entry.modelscope,
        "huggingface": entry.huggingface,
        "folder": str(folder) if folder else None,
        "template": family.template,
        "prompt": chat.load(family.template).render([{"role": "user", "content": "…"}], add_generation_prompt=True),
        "differs": family.differs,
        "architectures": family.architectures,
        "lora_targets": family.lora_targets,
        "lora_rank": config.lora_rank,
        "trainable": trained,
        "dataset": entry.dataset,
        "defaults": entry.defaults,
    }
    if config.json_:
        print(json.dumps(content))
        return 0
    content["prompt"] = repr(content["prompt"])[1:-1]
    content["differs"] = textwrap.fill(content["differs"], 88, subsequent_indent=" " * 15)
    content["parameters"] = size(entry.parameters) if entry.parameters else None
    content["defaults"] = [f"--{key} {value}" for key, value in entry.defaults.items()]
    if trained is not None and entry.parameters:
        content["trainable"] = (
            f"{trained:,} with LoRA of rank {config.lora_rank} ({trained / (trained + entry.parameters):.2%})"
        )
    del content["lora_rank"]
    shown = [[key, ", ".join(v) if isinstance(v, list) else str(v)] for key, v in content.items() if v]
    print(table([], shown))
    return 0


def _show_known(known: catalogue.Known, config: ModelsConfig) -> int:
    """A model that ms-swift trains and swiftkit has no family for."""
    content = {
        "model": known.name,
        "level": "known",
        "means": "multimodal; swiftkit trains on text alone"
        if known.multimodal
        else "its weights are quantised; training on those is not offered yet"
        if known.quantised
        else "a base model, which has learned no chat format: --model_type says which it shall learn, "
        "--model_id_or_path names it"
        if known.base
        else "ms-swift trains it; swiftkit has no family for it: `swiftkit models adopt` makes one from its folder"
        if model_folder.built_in(known.architectures)
        else "ms-swift trains it, with code of its own; transformers lacks its architecture",
        "modelscope": known.modelscope,
        "huggingface": known.huggingface,
        "formerly": list(known.former),
        "architectures": list(known.architectures),
        "ms-swift": f"type {known.swift_type}, template {known.swift_template}",
    }
    if config.json_:
        print(json.dumps(content))
    else:
        shown = [[key, ", ".join(v) if isinstance(v, list) else str(v)] for key, v in content.items() if v]
        print(table([], shown))
    return 0


def _check(words: list[str], config: ModelsConfig) -> int:
    """The token contract on the tokenizer of a model that is here; exit code 1 where training and serving part."""
    if config.all_ and not words:
        return _check_all(config)
    if len(words) != 1 or config.all_:
        raise SwiftkitError("`swiftkit models check` takes one name or model folder, or --all", LIST)
    (asked,) = words
    is_folder = asked.startswith((".", "/", "~")) or Path(asked).exists()
    wanted = models.find(config.model_type, asked) if is_folder else models.find(asked, None)
    folder = _sound(wanted, weights.locate(wanted, download=False))
    from swiftkit import contract

    (checked,) = contract.check([(wanted, folder)])
    if checked.failed:
        raise SwiftkitError(f"ms-swift or transformers cannot load {folder.path}: {checked.failed}", exit_code=FAILED)
    if config.json_:
        print(json.dumps(_told(wanted, checked)))
        return 0 if checked.kept else FAILED
    rows = [[v.conversation, str(v.tokens), str(v.learned), v.ms_swift, v.export] for v in checked.verdicts]
    print(table(["conversation", "tokens", "learned", "ms-swift's encoder", "exported, in transformers"], rows))
    if wanted.family.differs:
        print(f"\ntemplates differ: {wanted.family.differs}")
    print(f"\nanswers end: {checked.stop or 'at a token that is learned, and at which generation stops'}")
    verdict = "training, exam and export see the same tokens" if checked.kept else "training and serving would part"
    print(f"{wanted.name} (family {wanted.family.name}, template {wanted.family.template}): {verdict}")
    return 0 if checked.kept else FAILED


def _sound(wanted: models.Wanted, path: Path) -> weights.Folder:
    """The model folder, once it and its tokenizer have been looked at."""
    folder = weights.inspect(path, wanted.family, trust_remote_code=False)
    tokenizer = tokenization.load(path, as_it_stands=wanted.embedded)
    tokenization.check(tokenizer, path, folder.config, wanted.family.special_tokens)
    return folder


def _fetch(words: list[str], config: ModelsConfig) -> int:
    """Download a model, of the registry or of the catalogue; its folder is the last line printed."""
    if len(words) not in (1, 2):
        raise SwiftkitError("`swiftkit models fetch` takes a name or hub id, and a folder to put it into or none", LIST)
    asked, folder = words[0], words[1] if words[1:] else None
    into = paths.typed(folder, "the folder") if folder else None
    if into and into.exists() and not (into.is_dir() and (not any(into.iterdir()) or (into / "config.json").is_file())):
        raise SwiftkitError(f"{into} is there and holds no model", "name an empty folder, or one that is not there yet")
    known = models.catalogued(asked)
    family = None
    if known:
        name, modelscope, huggingface = known.name, known.modelscope, known.huggingface
        ids = [hub_id for hub_id in (modelscope, huggingface) if hub_id]
        path = next((p for hub_id in ids if (p := hub.cached_model(hub_id))), None)
    else:
        name, family, entry = models.named(asked)
        modelscope, huggingface = entry.modelscope, entry.huggingface
        if shipped := models.folder_of(entry):
            raise SwiftkitError(f"{name} ships with swiftkit and needs no download", f"its folder is {shipped}")
        path = weights.here(models.Wanted(name, family, entry, None))
    if path and not _whole(path):
        path = None  # a download that broke off; the client goes on with it
    if path and not into:
        logger.info("%s is on this machine already", name)
    else:
        path = hub.fetch_model(name, modelscope, huggingface, into)
    if family:
        weights.inspect(path, family, trust_remote_code=False)
    print(json.dumps({"model": name, "folder": str(path)}) if config.json_ else path)
    return 0


def _whole(path: Path) -> bool:
    try:
        return bool(weights.files(path))
    except SwiftkitError:
        return False


def _adopt(words: list[str], config: ModelsConfig) -> int:
    """A family of its own for a model folder, from the folder's chat template."""
    from swiftkit import adoption

    home = words[1] if words[1:] else os.environ.get(assets.ADDED) or os.environ.get("SWIFTKIT_HOME")
    if len(words) not in (1, 2) or home is None:
        raise SwiftkitError(
            "`swiftkit models adopt` takes a model folder, and the folder that its two files are put into",
            "swiftkit models adopt ./model ./mine (without the second, $SWIFTKIT_HOME is it)",
        )
    folder = paths.typed(words[0], "the model folder")
    name, family, template = adoption.adopt(folder, paths.typed(home, "the folder"))
    if config.json_:
        print(json.dumps({"family": name, "files": [str(family), str(template)]}))
        return 0
    print(family)
    print(template)
    flag = "" if home == os.environ.get("SWIFTKIT_HOME") else f" --registry {shlex.quote(home)}"
    named = shlex.quote(words[0])
    logger.info("now: swiftkit models check %s%s", named, flag)
    logger.info("     swiftkit sft --model_id_or_path %s%s --dataset …", named, flag)
    return 0


def _told(wanted: models.Wanted, checked: Checked) -> dict[str, Any]:
    return {
        "model": wanted.name,
        "family": wanted.family.name,
        "template": wanted.family.template,
        "kept": checked.kept,
        "stop": checked.stop,
        "failed": checked.failed,
        "conversations": [vars(verdict) for verdict in checked.verdicts],
    }


def _check_all(config: ModelsConfig) -> int:
    """The contract of every family, on its first model that is on this machine; exit code 1 where one is broken."""
    from swiftkit import contract

    found: dict[str, tuple[models.Wanted, weights.Folder]] = {}
    unsound: dict[str, str] = {}
    for name, (family, _) in models.entries().items():
        wanted = models.find(name, None)
        if family.name not in {*found, *unsound} and (path := weights.here(wanted)):
            try:
                found[family.name] = wanted, _sound(wanted, path)
            except SwiftkitError as error:
                unsound[family.name] = str(error)
    checked = dict(zip(found, contract.check(list(found.values())), strict=True)) if found else {}
    missing = [name for name in models.families() if name not in {*found, *unsound}]
    if config.json_:
        told = [_told(found[name][0], one) for name, one in checked.items()]
        print(json.dumps({"models": told, "unsound": unsound, "missing": missing}))
    else:
        rows = [
            [name, found[name][0].name, found[name][0].family.level, _verdict(one)] for name, one in checked.items()
        ]
        rows += [[name, "", models.families()[name].level, said] for name, said in unsound.items()]
        print(table(["family", "model", "level", "training, exam, export"], rows))
        if missing:
            logger.info("no model of these families is on this machine: %s", ", ".join(missing))
    return 0 if not unsound and all(one.kept for one in checked.values()) else FAILED


def _verdict(checked: Checked) -> str:
    parted = [verdict.conversation for verdict in checked.verdicts if verdict.export != "same"]
    return checked.failed or checked.stop or (f"part: {', '.join(parted)}" if parted else "the same tokens")


def _datasets(config: ModelsConfig) -> int:
    known = {name: e for name, e in sources.entries().items() if all(word in name for word in config.words)}
    if config.json_:
        print(json.dumps({"datasets": [{"dataset": name, **e.model_dump()} for name, e in known.items()]}))
    else:
        print(table(["dataset", "license", "description"], [[n, e.license, e.description] for n, e in known.items()]))
    return 0


VERBS: dict[str, Callable[[list[str], ModelsConfig], int]] = {
    "show": _show,
    "check": _check,
    "fetch": _fetch,
    "adopt": _adopt,
}
