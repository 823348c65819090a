"""What ``inattention time`` does: measure, print the tables, and write ``timing.json``."""

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
    from inattention.files import write_json
    from inattention.provenance import provenance
    from inattention.timing.run import measure_rows

    out.mkdir(parents=True, exist_ok=True)  # before minutes are spent
    report = measure_rows(config)
    print(report.table())
    write_json(out / TIMING_FILE, {**report.to_dict(), "provenance": provenance()})
    print(f"\nwritten to {out / TIMING_FILE}")
    return report
