"""All figures of a study's report, as SVG by name, and their descriptions."""

from collections.abc import Sequence

from inattention.analysis.mechanism_sheet import pictures_of, sheet_svg
from inattention.attention.rows import parse_row
from inattention.study.learning_curves import LearningCurve
from inattention.study.planning.rows import StudyRow
from inattention.study.reporting.figures.accuracy import AccuracyPoint, accuracy_svg
from inattention.study.reporting.figures.accuracy_time import accuracy_time_svg
from inattention.study.reporting.figures.learning import Learner, learning_svg
from inattention.study.reporting.figures.loss import AGAINST, Against, LossCurves, loss_svg
from inattention.study.reporting.tables import TASK_TITLES, Tables, Timed
from inattention.study.results import StudyResults

# Sizes in pixels of the page; the second is shown on narrow screens.
_TIME_FIGURE_SIZES = {"wide": (880, 440), "narrow": (360, 520)}


def draw_figures(results: StudyResults, tables: Tables, curves: Sequence[LearningCurve]) -> dict[str, str]:
    """Draw all figures but the learned maps.

    Args:
        results: the study.
        tables: its tables.
        curves: its accuracies during training.
    """
    drawn = _accuracy_figures(tables) | _loss_figures(results, tables)
    if rows := [row.row.name for row in tables.accuracy if _can_be_drawn(row.row)]:
        drawn["mechanisms"] = sheet_svg(rows)
    return drawn | _learning_figures(results, tables, curves)


def description(name: str, results: StudyResults) -> str:
    """Return what a figure shows, for screen readers; its numbers are in the tables."""
    kind, _, rest = name.partition("-")
    task = TASK_TITLES.get(rest.removesuffix("-wide").removesuffix("-narrow"), rest)
    if kind == "mechanisms":
        return "Which keys each query of a short sequence attends to, for each row, by family."
    if kind == "accuracy":
        return f"{task}: accuracy of each row with its 95 % interval, as in table 2."
    if kind == "time":
        return f"{task}: accuracy of each row against its forward time relative to qk, as in tables 1 and 2."
    if kind == "learning":
        task, against = rest.rpartition("-")[::2]
        return f"{TASK_TITLES.get(task, task)}: accuracy during training against {AGAINST[_against(against)]}."
    best = min((run for run in results.pretraining.values() if run.curve), key=lambda run: run.held_out_l1)
    against: Against = "seconds" if rest == "time" and not results.step_times() else _against(rest)
    lowest = f"the lowest ends at {best.held_out_l1:.3f} ({best.row.name})"
    return f"Held-out masked L1 of each row against {AGAINST[against]}; {lowest}."


def _accuracy_figures(tables: Tables) -> dict[str, str]:
    forward = {row.row.name: row.forward for row in tables.costs[tables.setting]}
    drawn = {}
    for task in tables.tasks:
        points = [
            AccuracyPoint(
                row.row,
                row.family,
                row.scores[task],
                row.absent[task],
                row.collapsed,
                _ratio(forward.get(row.row.trained)),
            )
            for row in tables.accuracy
        ]
        chance = next((row.chance[task] for row in tables.accuracy if task in row.chance), None)
        if any(point.score for point in points):
            drawn[f"accuracy-{task}"] = accuracy_svg(points, chance, f"accuracy-{task}")
        if any(point.score and point.ratio for point in points):
            for size, (width, height) in _TIME_FIGURE_SIZES.items():
                name = f"time-{task}-{size}"
                drawn[name] = accuracy_time_svg(points, name, width=width, height=height)
    return drawn


def _loss_figures(results: StudyResults, tables: Tables) -> dict[str, str]:
    curves = [
        LossCurves(row.row.name, row.family, runs)
        for row in tables.accuracy
        if (runs := [run for run in results.runs_of(row.row.name) if run.curve])
    ]
    if not curves:
        return {}
    references = {"mean baseline": curves[0].runs[0].mean_l1}
    if results.baseline is not None:
        references["linear baseline"] = results.baseline
    drawn = {"loss-step": loss_svg(curves, references, "loss-step", against="step")}
    ratios = results.step_times()
    if timed := [row for row in curves if row.name in ratios]:
        drawn["loss-time"] = loss_svg(timed, references, "loss-time", against="time", costs=ratios)
        counted = results.step_operations()
        drawn["loss-operations"] = loss_svg(timed, references, "loss-operations", against="operations", costs=counted)
    else:
        drawn["loss-time"] = loss_svg(curves, references, "loss-time", against="seconds")
    return drawn


def _learning_figures(results: StudyResults, tables: Tables, curves: Sequence[LearningCurve]) -> dict[str, str]:
    """Draw the accuracies during training, against all that was measured of a step's cost."""
    families = {row.row.name: row.family for row in tables.accuracy}
    drawn = {}
    axes: dict[Against, dict[str, float] | None] = {"step": None}
    if times := results.step_times():
        axes |= {"time": times, "operations": results.step_operations()}
    learners = [Learner(curve, families[curve.row.name]) for curve in curves]
    for task in tables.tasks:
        references = {
            row.row.name: score.mean for row in tables.accuracy if row.row.is_features and (score := row.scores[task])
        }
        for against, costs in axes.items():
            shown = [it for it in learners if it.curve.task == task and (costs is None or it.curve.row.name in costs)]
            if shown:
                name = f"learning-{task}-{against}"
                drawn[name] = learning_svg(shown, references, name, against=against, costs=costs)
    return drawn


def _against(name: str) -> Against:
    return next(it for it in AGAINST if it == name)


def _ratio(timed: Timed | None) -> tuple[float, float, float] | None:
    """Return a ratio with its interval, as far as there is one."""
    if timed is None:
        return None
    ratio = timed.measured.ratio
    return (ratio, *(timed.interval or (ratio, ratio)))


def _can_be_drawn(row: StudyRow) -> bool:
    """Return whether a mechanism can be drawn; untrained copies and other settings would look like their row."""
    if row.is_features or row.untrained or row.settings or row.card is None:
        return False
    try:
        pictures_of(parse_row(row.name))
    except ValueError:
        return False
    return True
