"""One file a command: `CONFIG` (its options), `EPILOG` (worked examples) and `run(config, problems) -> exit code`.

A command prints; the work is done by the layers below. `problems` has what is wrong with the options already; it is
raised together with what else is wrong.
"""
