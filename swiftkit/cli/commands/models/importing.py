"""`swiftkit models import FOLDER [INTO]`: a family for a model folder, from the folder's own chat template."""

from __future__ import annotations

import json
import logging
import os
import shlex

from swiftkit import assets, files
from swiftkit.errors import SwiftkitError
from swiftkit.models.importer import import_model

logger = logging.getLogger(__name__)


def run(words: list[str], *, as_json: bool) -> int:
    """Write the family's two files, print their paths, and say how to use them."""
    home, added = os.environ.get("SWIFTKIT_HOME"), assets.added()
    into = words[1] if words[1:] else str(added) if added else home
    if len(words) not in (1, 2) or into is None:
        raise SwiftkitError(
            "`swiftkit models import` takes a model folder, and the folder for the family's two files",
            "swiftkit models import ./model ./mine (the second one may be left out if $SWIFTKIT_HOME is set)",
        )
    imported = import_model(files.parse_path(words[0], "the model folder"), files.parse_path(into, "the folder"))
    if as_json:
        paths = [str(imported.declaration), str(imported.template)]
        print(json.dumps({"family": imported.name, "files": paths}))
        return 0
    print(imported.declaration)
    print(imported.template)
    flag = "" if into == home else f" --registry {shlex.quote(into)}"
    model = shlex.quote(words[0])
    logger.info("next: swiftkit models check %s%s", model, flag)
    logger.info("      swiftkit sft --model_id_or_path %s%s --dataset …", model, flag)
    return 0
