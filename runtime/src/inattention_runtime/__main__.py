"""``python -m inattention_runtime``: the command line."""

import sys

from inattention_runtime.cli import main

sys.exit(main())
