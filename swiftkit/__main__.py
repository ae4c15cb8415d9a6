"""`python -m swiftkit`: the same as the `swiftkit` command."""

import sys

from swiftkit.cli.main import main

sys.exit(main())
