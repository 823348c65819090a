"""Which rows are compared in the report: the pairs that a study is run for, on every task."""

from collections.abc import Sequence
from dataclasses import dataclass

from inattention.comparison import Difference
from inattention.study.comparison import REFERENCE, RowComparison
from inattention.study.planning.rows import StudyRow
from inattention.study.reporting.tables import Tables


@dataclass(frozen=True)
class RowPair:
    """Differences between two rows.

    Attributes:
        one: the row.
        other: the row that it is compared with.
        why: purpose of the comparison.
        differences: by task; None where a row was not measured, or not per test utterance.
    """

    one: StudyRow
    other: StudyRow
    why: str
    differences: dict[str, Difference | None]

    @property
    def measured(self) -> dict[str, Difference]:
        """The differences that were measured, by task."""
        return {task: it for task, it in self.differences.items() if it}


def subjects(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """Return the rows that a study is about: trained encoders with learned input-independent attention."""
    chosen = [
        row for row in rows if row.card and row.card.input_independent and row.family != "control" and not row.untrained
    ]
    # The paper's own first.
    return sorted(chosen, key=lambda row: not row.name.startswith("patterned"))


def baselines(rows: Sequence[StudyRow]) -> list[StudyRow]:
    """Return the rows that others are compared with: trained query-key attention, from any initialisation."""
    return [row for row in rows if row.mechanism == REFERENCE and not row.untrained]


def row_pairs(tables: Tables, comparison: RowComparison) -> list[RowPair]:
    """Compare rows with their untrained copies, query-key attention and Mel, where both were measured."""
    rows = [it.row for it in tables.accuracy]
    by_name = {row.name: row for row in rows}
    pairs = [
        (by_name[row.trained], row, "effect of pre-training")
        for row in rows
        if row.untrained and row.trained in by_name
    ]
    for row in subjects(rows):
        pairs += [(row, other, "input-independent against query-key") for other in baselines(rows)]
    pairs += [
        (row, features, "encoder against its own input")
        for row in [*subjects(rows), *baselines(rows)]
        for features in rows
        if features.is_features
    ]
    found = [
        RowPair(
            one, other, why, {task: comparison.difference([one.name], [other.name], [task]) for task in tables.tasks}
        )
        for one, other, why in pairs
    ]
    return [pair for pair in found if pair.measured]
