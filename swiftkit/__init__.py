"""Fine-tune a small language model on your own data, and know whether it got better.

The three commands as functions. A config has the options of its command, and refuses wrong values with pydantic's
ValidationError, which is a ValueError; the functions raise `SwiftkitError` with everything else that is wrong:

    from swiftkit import SftConfig, sft

    run = sft(SftConfig(model_type="tiny-math", max_steps=20))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swiftkit.config.exam import ExamConfig as ExamConfig
    from swiftkit.config.export import ExportConfig as ExportConfig
    from swiftkit.config.sft import SftConfig as SftConfig
    from swiftkit.errors import SwiftkitError as SwiftkitError
    from swiftkit.exams.exam import exam as exam
    from swiftkit.exams.result import ExamResult as ExamResult
    from swiftkit.exports.export import export as export
    from swiftkit.training.run import Run as Run
    from swiftkit.training.sft import TrainingError as TrainingError
    from swiftkit.training.sft import sft as sft

__version__ = "0.1.0"

# Public name to its module, which is imported when the name is used: `import swiftkit` alone costs nothing.
_MODULES = {
    "ExamConfig": "swiftkit.config.exam",
    "ExamResult": "swiftkit.exams.result",
    "ExportConfig": "swiftkit.config.export",
    "Run": "swiftkit.training.run",
    "SftConfig": "swiftkit.config.sft",
    "SwiftkitError": "swiftkit.errors",
    "TrainingError": "swiftkit.training.sft",
    "exam": "swiftkit.exams.exam",
    "export": "swiftkit.exports.export",
    "sft": "swiftkit.training.sft",
}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
