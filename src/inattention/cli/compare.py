"""``inattention compare``: rows of several studies side by side, or of one study against one of its rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from inattention.cli.options import parse


def run(arguments: list[str]) -> int:
    """Compare studies: the same rows on another task, corpus or seed, or all rows against one."""
    import tyro

    @dataclass(frozen=True, kw_only=True)
    class Compare:
        """Compare the rows of studies, or all rows of one study with one of them. Prints Markdown.

        Attributes:
            studies: folders of studies.
            against: the row that all others of its study are compared with; default: each row of a later study is
                compared with the same row of the first.
            only: rows to show; default: all that can be compared.
        """

        studies: Annotated[tuple[Path, ...], tyro.conf.Positional]
        against: str | None = None
        only: tuple[str, ...] = ()

    options = parse(Compare, "compare", arguments)
    from inattention.study.reporting.compare_studies import as_table, compare_studies

    print(as_table(compare_studies(options.studies, against=options.against, rows=options.only)), end="")
    return 0
