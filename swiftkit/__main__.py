"""`python -m swiftkit`: the same as the `swiftkit` command."""

import sys

from swiftkit.cli import main

sys.exit(main())
