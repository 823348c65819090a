"""A study's measurements as claims ask for them: rows and groups of rows compared, with 95 % intervals."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from inattention.comparison import Difference, Ratio
from inattention.study.comparison import RowComparison
from inattention.study.reporting.tables import AccuracyRow, Tables
from inattention.study.results import StudyResults

SPEAKERS = ("speaker-utterance", "speaker-frame")
PHONES = ("phone-1-hidden", "phone-2-hidden")


@dataclass(frozen=True)
class Measurements:
    """A study's results, tables and comparisons. Rows that collapsed support no claim and are skipped.

    Attributes:
        results: the study.
        tables: its tables.
        comparison: of its rows.
    """

    results: StudyResults
    tables: Tables
    comparison: RowComparison

    @property
    def rows(self) -> dict[str, AccuracyRow]:
        """The rows of Table 2 by name."""
        return {row.row.name: row for row in self.tables.accuracy}

    @property
    def collapsed(self) -> list[str]:
        """The rows that collapsed."""
        return [row.row.name for row in self.tables.accuracy if row.collapsed]

    def difference(self, ones: Sequence[str], others: Sequence[str], tasks: Sequence[str] = ()) -> Difference | None:
        """Return the difference between rows, mean over tasks: all tasks of the study by default."""
        return self.comparison.difference(ones, others, tasks or self.tables.tasks)

    def by_task(self, ones: Sequence[str], others: Sequence[str]) -> dict[str, Difference]:
        """Return the difference between rows on every task that both sides were measured on."""
        found = {task: self.comparison.difference(ones, others, [task]) for task in self.tables.tasks}
        return {task: it for task, it in found.items() if it}

    def sound(self, names: Sequence[str]) -> list[str]:
        """Return those of the rows that the study has and that did not collapse."""
        rows = self.rows
        return [name for name in names if name in rows and not rows[name].collapsed]

    def compared(self, names: Sequence[str]) -> list[str]:
        """Return those of the rows that differences of groups are made from: sound, with counts per test utterance."""
        return [name for name in self.sound(names) if self.comparison.is_compared(name, self.tables.tasks)]

    @property
    def baseline(self) -> str | None:
        """Query-key attention from the initialisation with the lower held-out loss on dev."""
        return self.better_start("qk")

    def better_start(self, mechanism: str) -> str | None:
        """Return a mechanism's row, from its usual initialisation or the identity, with the lower held-out loss."""
        rows = self.rows
        found = [rows[name] for name in (mechanism, f"{mechanism}@identity") if name in rows]
        losses = {row.row.name: row.loss.mean for row in found if row.loss and not row.collapsed}
        return min(losses, key=lambda name: losses[name], default=None)

    def baselines(self) -> list[str]:
        """Return ``qk`` and, where it is another row, query-key attention from its better initialisation."""
        return list(dict.fromkeys(["qk", self.baseline or "qk"]))

    def ratios(self, length: int, mode: str) -> dict[str, Ratio]:
        """Return times relative to ``qk`` at a length with one utterance at once, by row."""
        rows = next((rows for setting, rows in self.tables.costs.items() if setting and setting[0] == length), ())
        timed = {row.row.name: row.forward if mode == "forward" else row.train for row in rows}
        return {name: it.ratio for name, it in timed.items() if it and it.ratio}

    def steps_to(self, name: str, loss: float) -> float | None:
        """Return the steps after which a row's held-out loss is first as low, mean over seeds; None if it never is."""
        reached = []
        for run in self.results.runs_of(name):
            step = next((point.step for point in run.curve_on_dev if point.held_out_l1 <= loss), None)
            if step is None:
                return None
            reached.append(step)
        return statistics.fmean(reached) if reached else None
