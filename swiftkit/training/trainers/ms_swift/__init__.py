"""Training by ms-swift 4.6.

| file | |
|---|---|
| `options.py`, `options.json` | ms-swift's own options, and what became of those of ms-swift 2 |
| `arguments.py` | a job as ms-swift's command line |
| `trainer.py` | the parent's side: start the worker, judge how it ended |
| `worker.py` | the child's side: `python -m …ms_swift.worker JOB.json` |
| `plugin/` | loaded by ms-swift in the child: our template and callback |
"""

from swiftkit.training.trainers.ms_swift.options import check_option as check_option
from swiftkit.training.trainers.ms_swift.trainer import preview as preview
from swiftkit.training.trainers.ms_swift.trainer import train as train
