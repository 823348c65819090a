"""Run the command line as ``python -m inattention``."""

import sys

from inattention.cli import main

sys.exit(main())
