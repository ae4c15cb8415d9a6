"""`swiftkit models fetch NAME [FOLDER]`: download a model of registry or catalog."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from swiftkit import files
from swiftkit.cli.commands.models.listing import SEE_LIST
from swiftkit.errors import SwiftkitError
from swiftkit.models import hub, weights
from swiftkit.models.registry import ResolvedModel
from swiftkit.models.resolve import catalog_entry, get_model

logger = logging.getLogger(__name__)


def run(words: list[str], *, as_json: bool) -> int:
    """Download, unless it is here already; the folder is the last line printed."""
    if len(words) not in (1, 2):
        raise SwiftkitError(
            "`swiftkit models fetch` takes a name or hub id, and optionally the folder to download to", SEE_LIST
        )
    into = files.parse_path(words[1], "the folder") if words[1:] else None
    if into and into.exists() and not _can_hold_model(into):
        raise SwiftkitError(f"{into} exists and does not contain a model", "name an empty or a new folder")
    family = None
    if model := catalog_entry(words[0]):
        name, ids = model.name, (model.modelscope, model.huggingface)
        path = next((cached for hub_id in ids if hub_id and (cached := hub.cached_model(hub_id))), None)
    else:
        name, family, entry = get_model(words[0])
        ids = (entry.modelscope, entry.huggingface)
        if entry.folder:
            raise SwiftkitError(f"{name} ships with swiftkit and needs no download", f"its folder is {entry.folder}")
        path = weights.find_local(ResolvedModel(name, family, entry, None))
    if path and not into and _is_complete(path):
        logger.info("%s is on this machine already", name)
    else:  # a client continues a download that stopped
        path = hub.fetch_model(name, *ids, into)
    if family:
        weights.load_model_folder(path, family, trust_remote_code=False)
    print(json.dumps({"model": name, "folder": str(path)}) if as_json else path)
    return 0


def _can_hold_model(path: Path) -> bool:
    return path.is_dir() and (not any(path.iterdir()) or (path / "config.json").is_file())


def _is_complete(path: Path) -> bool:
    try:
        return bool(weights.weight_files(path))
    except SwiftkitError:
        return False
