"""Contains one file only: ms-swift puts the folder of a plugin first on `sys.path`."""
