"""Holds one file, alone: ms-swift puts the folder of a plugin first on `sys.path`."""
