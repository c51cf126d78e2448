"""`python -m hub` is the command `trunkline`."""

import sys

from hub.cli import main

sys.exit(main())
