"""Write the data sets that ship with swiftkit.

    python tools/datagen [--folder FOLDER]

The same bytes are written every time. Without `--folder` the files in `datasets/` are replaced.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

# Running a folder puts the folder itself on the path. Its modules are imported as members of the package instead.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datagen import writer


def main() -> None:
    """Parse the command line and write the files."""
    parser = argparse.ArgumentParser(prog="datagen", description="Write the data sets that ship with swiftkit.")
    parser.add_argument("--folder", type=Path, default=writer.FOLDER, help="existing folder to write to")
    args = parser.parse_args()
    if not args.folder.is_dir():
        parser.error(f"--folder {args.folder} does not exist or is not a folder")
    writer.write_all(args.folder)


if __name__ == "__main__":
    main()
