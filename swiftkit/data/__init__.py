"""Data: rows to examples to tokens; split, checked, displayed."""
