"""Support tickets for swiftkit; the line `swiftkit.assets` in setup.cfg lets the data folders in here be found."""
