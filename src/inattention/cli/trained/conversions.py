"""``inattention conversions``: a table over many conversions of one encoder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from inattention.cli.terminal.parsing import parse


def run(arguments: list[str]) -> int:
    """Compare conversions of one encoder: word errors, times, a report."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Conversions:
        """Compare conversions of one encoder: a table of word errors and times, and a report.

        Example: inattention conversions results/whisper-tiny

        Reads conversion.json and measurements.json of each folder below FOLDER.

        Attributes:
            folder: folder whose subfolders are conversions.
            out: folder of table.csv, table.md and report.html; default: the same folder.
        """

        folder: Annotated[Path, tyro.conf.Positional]
        out: Path | None = None

    options = parse(Conversions, "conversions", arguments)
    from inattention.conversion.table.page import REPORT, write_table
    from inattention.conversion.table.records import read_conversions
    from inattention.conversion.table.rows import as_markdown

    out = options.out or options.folder
    print(as_markdown(write_table(read_conversions(options.folder), out)), end="")
    print(f"report: {out / REPORT}")
    return 0
