"""One file a command: `CONFIG` (its options), `EPILOG` (worked examples) and `run(config, problems) -> exit code`.

A command prints; what it does is done by the rooms below. `problems` has what is wrong with the options already; it is
raised together with what else is wrong.
"""
