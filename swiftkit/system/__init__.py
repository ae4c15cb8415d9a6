"""The machine and the outside world: hardware, child processes and their events, the console."""
