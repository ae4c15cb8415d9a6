"""One file a command: `CONFIG`, `EPILOG` (worked examples), and `run(given, problems) -> exit code`."""
