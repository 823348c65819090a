"""Files of the table: ``table.csv``, ``table.md`` and ``report.html``."""

from collections.abc import Sequence
from pathlib import Path

from inattention import templates
from inattention.comparison import MARKS
from inattention.conversion.table.figures import FIXED, LOOKING, by_layers, by_stages, frontier
from inattention.conversion.table.records import ConversionRecord
from inattention.conversion.table.rows import LENGTHS, Table, as_csv, as_markdown, filled, make_table
from inattention.files import write_text

REPORT = "report.html"
# What the encoder is fed, and the seconds of speech that it is timed on: fed 30 s, less speech takes the same time.
_TIMED_FIGURES = (("own", 5), ("own", 30), ("30", 30))


def write_table(records: Sequence[ConversionRecord], folder: Path) -> Table:
    """Write the table of conversions into a folder.

    Args:
        records: the conversions.
        folder: output folder.
    """
    table = make_table(records)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.csv", as_csv(table))
    write_text(folder / "table.md", as_markdown(table))
    write_text(folder / REPORT, render(table, records))
    return table


def render(table: Table, records: Sequence[ConversionRecord]) -> str:
    """Return the report as one HTML page."""
    environment = templates.environment("inattention.conversion.table")
    figures = [(length, frontier(table, length, seconds)) for length, seconds in _TIMED_FIGURES]
    figures += [(length, by_layers(table, length)) for length in LENGTHS]
    header, rows = filled(table)
    return environment.get_template("table.html.jinja").render(
        table=table,
        header=header,
        rows=rows,
        figures=[(length, drawn) for length, drawn in figures if drawn],
        stages=by_stages(records),
        colours={"fixed": FIXED, "looking": LOOKING},
        # Records of earlier versions have a path.
        teacher=Path(records[0].conversion["teacher"]["name"]).name,
        speech=records[0].conversion["speech"],
        records=records,
        marks=MARKS,
    )
