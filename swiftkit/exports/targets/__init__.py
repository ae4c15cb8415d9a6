"""Kind `targets`: what a checkpoint can be exported to. One file a target, with

- `export(checkpoint, folder, dtype)`: fill a new, empty folder; locking, renaming and the record are done outside,
- optionally `check(checkpoint)`, which raises SwiftkitError if the checkpoint cannot be exported to it,
- optionally `num_bytes(checkpoint, dtype) -> int`: disk that the export needs; without it, that of all weights.

`--to NAME` chooses one.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Protocol

from swiftkit import plugins
from swiftkit.errors import SwiftkitError
from swiftkit.schema import DType
from swiftkit.training.checkpoint import Checkpoint


class Export(Protocol):
    """The function of a target.

    Raises:
        SwiftkitError: the export failed or was interrupted, which its exit code says.
    """

    def __call__(self, checkpoint: Checkpoint, folder: Path, dtype: DType) -> None: ...


def check_plugin(name: str) -> None:
    """A target defines its function, with a checkpoint, a folder and a precision as parameters.

    Raises:
        SwiftkitError: the rule that it breaks.
    """
    try:
        inspect.signature(plugins.get("targets", name)).bind("checkpoint", "folder", "dtype")
    except TypeError as error:
        raise SwiftkitError(f"`export` cannot be called as export(checkpoint, folder, dtype): {error}") from error
