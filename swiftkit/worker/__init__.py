"""Entry points of child processes, which import the heavy libraries."""
