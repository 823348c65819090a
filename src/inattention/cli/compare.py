"""``inattention compare``: rows of several studies side by side, or of one study against one of its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from inattention.cli.terminal.output import print_json, table_width
from inattention.cli.terminal.parsing import parse


def run(arguments: list[str]) -> int:
    """Compare rows of several studies, or all rows of one study with one."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Compare:
        """Compare the rows of studies, or all rows of one study with one of them.

        Prints Markdown; on a terminal, tables that fit it.

        Attributes:
            studies: folders of studies.
            against: the row that all others of its study are compared with; default: each row of a later study is
                compared with the same row of the first.
            only: rows to show; default: all that can be compared.
            json: print a list of rows as JSON: study, row, masked_l1, accuracies by task (mean, low and high, as
                fractions), reference, paired, masked_l1_difference, and differences by task (estimate, low, high,
                seeds, utterances, verdict).
        """

        studies: Annotated[tuple[Path, ...], tyro.conf.Positional]
        against: str | None = None
        only: tuple[str, ...] = ()
        json: bool = False

    options = parse(Compare, "compare", arguments)
    from inattention.study.reporting.compare_studies import as_data, as_table, compare_studies

    rows = compare_studies(options.studies, against=options.against, rows=options.only)
    if options.json:
        print_json(as_data(rows))
    else:
        print(as_table(rows, table_width()), end="")
    return 0
