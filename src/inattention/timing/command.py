"""What ``inattention time`` does: measure, print the tables, and write ``timing.json``."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from inattention.timing.config import TimingConfig

if TYPE_CHECKING:
    from inattention.timing.report import TimingReport

TIMING_FILE = "timing.json"


def run_time(config: TimingConfig, out: Path) -> "TimingReport":
    """Measure, print the tables, and write them with their setting, machine and versions.

    Args:
        config: what to measure.
        out: the folder that gets `TIMING_FILE`; made if need be.

    Raises:
        ValueError: for a row that does not exist or cannot be built at these sizes.
        OSError: if the folder cannot be written.
    """
    from inattention.timing.run import measure_rows

    out.mkdir(parents=True, exist_ok=True)  # before minutes are spent
    report = measure_rows(config)
    print(report.table())
    written = write_json(report.to_dict(), out / TIMING_FILE)
    print(f"\nwritten to {written}")
    return report


def write_json(data: object, file: Path) -> Path:
    """Write plain data, whole or not at all."""
    temporary = file.with_name(f".{file.name}.writing")
    temporary.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(temporary, file)
    return file
