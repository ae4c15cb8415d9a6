"""Options: what each command accepts, and how flags, files and defaults become one checked config."""
