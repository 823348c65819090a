"""Studies side by side: the same rows under another task, corpus or seed; or all rows of a study against one of them.

Two tables: what was measured, and differences with 95 % intervals. Studies need not share corpus or settings: what
their difference means, the reader has to know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inattention.study.reporting.claims.paper import told
from inattention.study.reporting.measurements import Evidence, Gap
from inattention.study.reporting.tables import TASK_TITLES, as_percent
from inattention.study.store import load


@dataclass(frozen=True)
class Beside:
    """One row of one study, beside what it is held against.

    Attributes:
        study: the study's name.
        row: the row.
        loss: its held-out masked L1, mean over seeds; None for features and for what was not run.
        cells: by task, the accuracy with its interval in words, or why there is none.
        against: what it is held against, in words; empty if nothing is.
        loss_gap: how much higher its loss is.
        gaps: by task, how much more it has in points; None where either was not measured or collapsed.
    """

    study: str
    row: str
    loss: float | None
    cells: dict[str, str]
    against: str
    loss_gap: float | None
    gaps: dict[str, Gap | None]


def beside(folders: Sequence[str | Path], *, against: str | None = None, rows: Sequence[str] = ()) -> list[Beside]:
    """Hold rows against the same rows of the first study, or against one row of their own study.

    Args:
        folders: of studies, each with `results.jsonl`.
        against: the row that all others of its study are held against; if left out, each row of a later study is held
            against that of the first.
        rows: the rows wanted; if left out, all that at least two studies have, or all where one row is held against.

    Returns:
        Row by row in the order of the first study, studies in the order given.

    Raises:
        ValueError: if there is one study and nothing to hold against, or a row is in none of them, or none is left;
            the message says which there are.
        ResultsError: if a study's results are missing or broken.
    """
    if len(folders) < 2 and against is None:
        raise ValueError("one study alone has nothing beside it: name another, or a row with --against ROW")
    found = {name: Evidence(load(folder)) for name, folder in _named(folders).items()}
    first = next(iter(found.values()))
    known = list(dict.fromkeys(row for of in found.values() for row in of.rows))
    common = [row for row in known if against or sum(row in of.rows for of in found.values()) > 1]
    wanted = [row for row in (rows or common) if row != against]
    for row in (*rows, *([against] if against else [])):
        if row not in known:
            raise ValueError(f"no study has a row {row!r}; there are {', '.join(known)}")
    if not wanted:
        raise ValueError(f"no row to compare: studies have none in common; there are {', '.join(known)}")
    lines = []
    for row in wanted:
        for name, of in found.items():
            if row not in of.rows:
                continue
            other, words = (of, against) if against else (first, next(iter(found)))
            lines.append(_line(name, of, row, other, against or row, "" if of is first and not against else words))
    return lines


def as_table(lines: Sequence[Beside]) -> str:
    """Lay rows out as Markdown: what was measured, then differences."""
    tasks = list(dict.fromkeys(task for line in lines for task in line.cells))
    studies = len({line.study for line in lines}) > 1
    head = ["row", *(["study"] if studies else []), "masked L1", *(TASK_TITLES[task].lower() for task in tasks)]

    def names(line: Beside) -> list[str]:
        return [f"`{line.row}`", *([line.study] if studies else [])]

    measured = [[*names(line), _number(line.loss), *(line.cells.get(task, "") for task in tasks)] for line in lines]
    compared = [
        [*names(line), _number(line.loss_gap, "+.3f"), *(told(line.gaps.get(task)) for task in tasks)]
        for line in lines
        if line.against
    ]
    held = " and ".join(dict.fromkeys(f"`{line.against}`" for line in lines if line.against))
    return (
        f"{_markdown([head, *measured])}\n\n"
        f"Less {held}, in points, with 95 % intervals that add those of both sides:\n\n"
        f"{_markdown([head, *compared])}\n\n"
        "Where no row of a study has several seeds, intervals are over test utterances alone.\n"
    )


def _named(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Name studies by as much of their folders' ends as tells them apart."""
    paths = [Path(folder) for folder in folders]
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        named = {"/".join(path.parts[-parts:]): path for path in paths}
        if len(named) == len(paths):
            return named
    raise ValueError(f"a study is named twice: {', '.join(map(str, paths))}")


def _line(name: str, of: Evidence, row: str, other: Evidence, other_row: str, words: str) -> Beside:
    mine, theirs = of.rows[row], other.rows.get(other_row)
    loss = mine.loss.mean if mine.loss else None
    gaps: dict[str, Gap | None] = {}
    for task in of.results.tasks:
        one, two = of.accuracy(task, row), other.accuracy(task, other_row)
        gaps[task] = one - two if one and two and words else None
    cells = {task: as_percent(mine.scores.get(task)) or mine.absent[task] for task in of.results.tasks}
    if mine.collapsed:
        cells = {task: f"{cell} collapsed" for task, cell in cells.items()}
    loss_gap = loss - theirs.loss.mean if loss is not None and theirs and theirs.loss and words else None
    return Beside(name, row, loss, cells, words, loss_gap, gaps)


def _number(value: float | None, form: str = ".3f") -> str:
    return "" if value is None else format(value, form).replace("-", "\N{MINUS SIGN}")


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, f"|{'---|' * len(lines[0])}", *rest])
