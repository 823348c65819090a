"""``inattention time``: encoders that differ only in their attention, timed side by side."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inattention.cli.options import flat, parse
from inattention.timing.config import TimingConfig

if TYPE_CHECKING:
    from inattention.timing.report import TimingReport

TIMING_FILE = "timing.json"


def run(arguments: list[str]) -> int:
    """Time encoders that differ only in their attention, side by side."""

    @dataclass(frozen=True, kw_only=True)
    class Time:
        """Time encoders that differ only in their attention, side by side in one run.

        Attributes:
            out: folder of timing.json.
            settings: what is timed.
        """

        out: Path = Path("runs/timing")
        settings: flat(TimingConfig) = field(default_factory=TimingConfig)  # ty: ignore[invalid-type-form]

    options = parse(Time, "time", arguments)
    run_time(options.settings, options.out)
    return 0


def run_time(config: TimingConfig, out: Path) -> "TimingReport":
    """Measure, print the tables, and write them with their settings, machine and versions.

    Args:
        config: what to measure.
        out: the folder of `TIMING_FILE`; created if needed.

    Raises:
        ValueError: if a row does not exist or cannot be built at these sizes.
        OSError: if the folder cannot be written.
    """
    from inattention.files import write_json
    from inattention.provenance import provenance
    from inattention.timing.run import measure_rows

    out.mkdir(parents=True, exist_ok=True)  # fail before minutes are spent
    report = measure_rows(config)
    print(report.table())
    write_json(out / TIMING_FILE, {**report.to_dict(), "provenance": provenance()})
    print(f"\nwritten to {out / TIMING_FILE}")
    return report
