"""``inattention time``: encoders that differ only in their attention, timed side by side."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from inattention.cli.terminal.output import print_json, table_width
from inattention.cli.terminal.parsing import Quiet, flat, parse
from inattention.progress import hidden
from inattention.timing.config import TimingConfig

if TYPE_CHECKING:
    from inattention.timing.report import TimingReport

TIMING_FILE = "timing.json"


def run(arguments: list[str]) -> int:
    """Time encoders that differ only in their attention."""

    @dataclass(frozen=True, kw_only=True)
    class Time(Quiet):
        """Time encoders that differ only in their attention, side by side in one run.

        Attributes:
            out: folder of timing.json.
            json: print the contents of timing.json (config, machine, versions, rows, products, exponents, provenance)
                in place of tables.
            settings: what is timed.
        """

        out: Path = Path("runs/timing")
        json: bool = False
        settings: flat(TimingConfig) = field(default_factory=TimingConfig)  # ty: ignore[invalid-type-form]

    options = parse(Time, "time", arguments)
    with hidden(options.quiet):
        run_time(options.settings, options.out, quiet=options.quiet, as_json=options.json)
    return 0


def run_time(config: TimingConfig, out: Path, *, quiet: bool = False, as_json: bool = False) -> "TimingReport":
    """Measure, print the tables, and write them with their settings, machine and versions.

    Args:
        config: what to measure.
        out: the folder of `TIMING_FILE`; created if needed.
        quiet: print no tables.
        as_json: print what is written, in place of tables.

    Raises:
        ValueError: if a row does not exist or cannot be built at these sizes, or the folder cannot be written.
    """
    from inattention.files import check_writable, write_json
    from inattention.provenance import provenance
    from inattention.timing.run import measure_rows

    check_writable(out)  # before minutes are spent
    report = measure_rows(config)
    record = {**report.to_dict(), "provenance": provenance()}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / TIMING_FILE, record)
    if as_json:
        print_json(record)
    elif not quiet:
        print(f"{report.table(table_width())}\n\nwritten to {out / TIMING_FILE}")
    return report
