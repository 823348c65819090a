"""Accuracy of rows during training: probes of their snapshots, with the last step's among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inattention.probing.results import TaskResult
from inattention.study.comparison import Estimate, MeasuredRow, RowComparison
from inattention.study.planning.rows import StudyRow
from inattention.study.results import StudyResults


@dataclass(frozen=True)
class LearningCurve:
    """Accuracy of one row in one task against optimizer steps.

    Attributes:
        row: the row.
        task: the probing task.
        points: estimates by optimizer step, in order.
    """

    row: StudyRow
    task: str
    points: Mapping[int, Estimate]


def learning_curves(results: StudyResults) -> list[LearningCurve]:
    """Return the curves of all rows that were probed during training, by row and task.

    The intervals are those of the tables: over test utterances and seeds, whose deviation is pooled over the rows and
    steps.
    """
    if not results.curves:
        return []
    scores: dict[tuple[str, int], dict[str, dict[int, TaskResult]]] = {}
    for (row, seed, step), record in sorted(results.curves.items()):
        for task, result in record.tasks.items():
            scores.setdefault((row, step), {}).setdefault(task, {})[seed] = result
    for (row, seed), record in sorted(results.probes.items()):
        run = results.pretraining.get((row, seed))
        if run and any(name == row for name, _ in scores):
            for task, result in record.tasks.items():
                scores.setdefault((row, run.steps), {}).setdefault(task, {})[seed] = result
    corpus = results.corpus.key
    comparison = RowComparison(_measured(*at, by_task, corpus) for at, by_task in scores.items())
    curves = []
    for row in results.rows:
        steps = sorted(step for name, step in scores if name == row.name)
        for task in results.tasks if steps else ():
            points = {step: comparison.accuracy(_name(row.name, step), task) for step in steps}
            curves.append(LearningCurve(row, task, {step: it for step, it in points.items() if it}))
    return [curve for curve in curves if curve.points]


def probed_steps(curves: Sequence[LearningCurve]) -> list[int]:
    """Return all steps at which any row was probed, in order."""
    return sorted({step for curve in curves for step in curve.points})


def _measured(row: str, step: int, scores: Mapping[str, Mapping[int, TaskResult]], corpus: str) -> MeasuredRow:
    return MeasuredRow(name=_name(row, step), trained=True, collapsed=None, losses={}, scores=scores, corpus=corpus)


def _name(row: str, step: int) -> str:
    return f"{row} at step {step}"
