"""Run the command line as ``python -m inattention.cli``."""

import sys

from inattention.cli import main

sys.exit(main())
