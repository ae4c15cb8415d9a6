"""The command line: parse, run a command, print its result, turn errors into messages and exit codes."""
