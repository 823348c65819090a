"""Compare studies: the same rows under another task, corpus or seed; or all rows of a study with one of them.

Two tables: what was measured, and differences with 95 % intervals. Studies on the same corpus share their test
utterances, and differences are paired over them; studies on different corpora are independent samples. Settings may
differ: what a difference means is for the reader to know.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from inattention.comparison import MARKS, Difference
from inattention.study import store
from inattention.study.comparison import Estimate, RowComparison, address, measured_rows
from inattention.study.reporting.tables import (
    TASK_TITLES,
    AccuracyRow,
    Tables,
    as_percent,
    build_tables,
    utterances_text,
)
from inattention.study.reporting.text_formatting import loss_text, points_text
from inattention.study.results import StudyResults
from inattention.text import aligned, within


@dataclass(frozen=True)
class ComparedRow:
    """A row of one study, and its differences from a reference.

    Attributes:
        study: name of the study.
        row: name of the row.
        loss: held-out masked L1, mean over seeds; None for features and for rows that were not run.
        cells: by task, the accuracy with its interval, or why there is none.
        scores: by task, the same as numbers; None where there is none.
        utterances: what its losses and accuracies rest on, in words; the same for all rows of a study.
        reference: the row or study that it is compared with; empty if there is none.
        same_utterances: whether both were scored on the test utterances of one corpus.
        loss_difference: how much higher its loss is.
        differences: by task; None where a row was not measured, not per test utterance, or collapsed.
    """

    study: str
    row: str
    loss: float | None
    cells: dict[str, str]
    scores: Mapping[str, Estimate | None] = field(default_factory=dict)
    utterances: str = ""
    reference: str = ""
    same_utterances: bool = True
    loss_difference: Difference | None = None
    differences: Mapping[str, Difference | None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Study:
    """A study among those compared."""

    name: str
    results: StudyResults
    tables: Tables

    def row(self, name: str) -> AccuracyRow | None:
        return next((row for row in self.tables.accuracy if row.row.name == name), None)


def compare_studies(
    folders: Sequence[str | Path], *, against: str | None = None, rows: Sequence[str] = ()
) -> list[ComparedRow]:
    """Compare rows with the same rows of the first study, or with one row of their own study.

    Args:
        folders: of studies, each with `results.jsonl`.
        against: the row that all others of its study are compared with; without it, each row of a later study is
            compared with that of the first.
        rows: the rows wanted; by default all that at least two studies have, or all where one row is the reference.

    Returns:
        Row by row in the order of the first study, studies in the order given.

    Raises:
        ValueError: if there is one study and no reference, or a row is in none of them, or none is left; the message
            lists the rows.
        ResultsError: if a study's results are missing or cannot be used.
    """
    if len(folders) < 2 and against is None:
        raise ValueError("a comparison needs two studies, or one study and a row: --against ROW")
    loaded = {name: store.load(folder) for name, folder in _named(folders).items()}
    comparison = RowComparison([row for name, results in loaded.items() for row in measured_rows(results, name)])
    studies = [_Study(name, results, _tables(results)) for name, results in loaded.items()]
    known = list(dict.fromkeys(row.row.name for study in studies for row in study.tables.accuracy))
    common = [row for row in known if against or sum(study.row(row) is not None for study in studies) > 1]
    wanted = [row for row in (rows or common) if row != against]
    for row in (*rows, *([against] if against else [])):
        if row not in known:
            perhaps = "".join(f"; perhaps {it!r}?" for it in get_close_matches(row, known, n=1))
            raise ValueError(f"no study has a row {row!r}; there are {', '.join(known)}{perhaps}")
    if not wanted:
        raise ValueError(f"no row to compare: studies have none in common; there are {', '.join(known)}")
    return [
        _compared(comparison, study, found, study if against else studies[0], against)
        for row in wanted
        for study in studies
        if (found := study.row(row))
    ]


def as_data(rows: Sequence[ComparedRow]) -> list[dict[str, Any]]:
    """Return compared rows as plain data: accuracies as fractions, losses, and differences with their verdicts."""
    return [
        {
            "study": row.study,
            "row": row.row,
            "masked_l1": row.loss,
            "accuracies": {
                task: score and {"mean": score.mean, "low": score.low, "high": score.high}
                for task, score in row.scores.items()
            },
            "reference": row.reference or None,
            "paired": row.same_utterances if row.reference else None,
            "masked_l1_difference": _difference_data(row.loss_difference),
            "differences": {task: _difference_data(it) for task, it in row.differences.items()},
        }
        for row in rows
    ]


def as_table(rows: Sequence[ComparedRow], width: int | None = None) -> str:
    """Return compared rows: what was measured, then differences.

    Args:
        rows: what was compared.
        width: most characters of a line; without it, the tables are Markdown.
    """
    tasks = list(dict.fromkeys(task for row in rows for task in row.cells))
    several = len({row.study for row in rows}) > 1
    head = ["row", *(["study"] if several else []), "masked L1", *(TASK_TITLES[task].lower() for task in tasks)]

    def names(row: ComparedRow) -> list[str]:
        return [f"`{row.row}`", *([row.study] if several else [])]

    measured = [
        [*names(row), "" if row.loss is None else f"{row.loss:.3f}", *(row.cells.get(task, "") for task in tasks)]
        for row in rows
    ]
    compared = [row for row in rows if row.reference]
    differences = [
        [*names(row), loss_text(row.loss_difference), *(points_text(row.differences.get(task)) for task in tasks)]
        for row in compared
    ]
    references = " and ".join(dict.fromkeys(f"`{row.reference}`" for row in compared))
    paired = all(row.same_utterances for row in compared)
    how = "paired over test utterances" if paired else "not paired: the test sets differ"
    title = f"Difference from {references}, in points, with 95 % intervals ({how}):"
    rests_on = {row.study: row.utterances for row in rows if row.utterances}
    notes = [f"{study}: {text}" if several else text for study, text in rests_on.items()]
    if width is None:
        parts = [_markdown([head, *measured]), *notes, title, _markdown([head, *differences]), MARKS]
        return "\n\n".join(parts) + "\n"
    tables = [
        aligned([[cell.strip("`") for cell in line] for line in (head, *lines)], width)
        for lines in (measured, differences)
    ]
    texts = [within(text, width) for text in (*notes, title.replace("`", ""), MARKS)]
    return "\n\n".join([tables[0], *texts[:-1], tables[1], texts[-1]]) + "\n"


def _difference_data(difference: Difference | None) -> dict[str, Any] | None:
    if difference is None:
        return None
    numbers = ("estimate", "low", "high", "seeds", "utterances", "verdict")
    return {name: getattr(difference, name) for name in numbers}


def _named(folders: Sequence[str | Path]) -> dict[str, Path]:
    """Return folders by names: the shortest ends of their paths that differ."""
    paths = [Path(folder).absolute() for folder in folders]  # so that "." has a name
    for parts in range(1, max(len(path.parts) for path in paths) + 1):
        named = {"/".join(path.parts[-parts:]): path for path in paths}
        if len(named) == len(paths):
            return named
    raise ValueError(f"a study is named twice: {', '.join(map(str, paths))}")


def _tables(results: StudyResults) -> Tables:
    return build_tables(results, RowComparison(measured_rows(results)))


def _compared(
    comparison: RowComparison, study: _Study, row: AccuracyRow, reference: _Study, against: str | None
) -> ComparedRow:
    """Compare a row with the row `against` of its study, or with the same row of the reference."""
    tasks = study.tables.tasks
    name = row.row.name
    cells = {task: as_percent(row.scores[task]) or row.absent[task] for task in tasks}
    if row.collapsed:
        cells = {task: f"{cell} collapsed" for task, cell in cells.items()}
    loss = row.loss.mean if row.loss else None
    if study is reference and not against:
        rests_on = utterances_text(study.tables)
        return ComparedRow(study.name, name, loss, cells, row.scores, rests_on, differences=dict.fromkeys(tasks))
    one, other = address(study.name, name), address(reference.name, against or name)
    known = reference.row(against or name) is not None
    return ComparedRow(
        study=study.name,
        row=name,
        loss=loss,
        cells=cells,
        scores=row.scores,
        utterances=utterances_text(study.tables),
        reference=against or reference.name,
        same_utterances=study.results.corpus.key == reference.results.corpus.key,
        loss_difference=comparison.loss_difference(one, other) if known else None,
        differences={task: comparison.difference([one], [other], [task]) for task in tasks},
    )


def _markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *rest = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([head, f"|{'---|' * len(lines[0])}", *rest])
