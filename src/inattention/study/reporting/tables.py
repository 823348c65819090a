"""The study's two tables, after the paper's: what each row costs (1), and what its frozen features tell (2).

Both are made once, as records; CSV, plain text and the report's page are three ways to print them. A number that is
not there says why: its step failed, it was never run ("missing"), or the row can have none ("-").
"""

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from inattention.study.estimates import Estimate, accuracy_over_seeds, collapsed, loss_over_seeds
from inattention.study.planning.plan import Kind
from inattention.study.reporting.families import RowInfo, infos_of
from inattention.study.reporting.paper_results import PaperRow, paper_row
from inattention.study.results import StudyResults
from inattention.study.store import load
from inattention.text import aligned
from inattention.timing.exponents import MixingExponent
from inattention.timing.report import TimedRow

Absence = Literal["failed", "missing", "-"]
TASK_TITLES = {
    "speaker-utterance": "Speaker, utterance",
    "speaker-frame": "Speaker, frame",
    "phone-1-hidden": "Phone, 1 hidden",
    "phone-2-hidden": "Phone, 2 hidden",
}
# The setting of the paper's Table 1, shown first where it was measured.
PAPER_LENGTH = 500


@dataclass(frozen=True)
class AccuracyRow:
    """One row of Table 2.

    Attributes:
        info: which row.
        loss: held-out masked L1.
        scores: accuracy by task.
        chance: accuracy by task of always saying the most frequent class.
        absent: why the loss ("loss") or a task's score is not there.
        seeds: how many of the study's seeds were probed.
        learning_rate: of its pre-training.
        paper: what the paper reports.
        marks: what a reader of its numbers must know, such as that it collapsed.
    """

    info: RowInfo
    loss: Estimate | None
    scores: dict[str, Estimate | None]
    chance: dict[str, float]
    absent: dict[str, Absence]
    seeds: int
    learning_rate: float | None
    paper: PaperRow | None
    marks: tuple[str, ...]

    @property
    def collapsed(self) -> bool:
        """Whether any of its runs collapsed."""
        return any(mark.startswith("collapsed") for mark in self.marks)


@dataclass(frozen=True)
class CostRow:
    """One row of Table 1 in one setting: a length and a batch size; both are None where nothing was timed."""

    info: RowInfo
    length: int | None
    batch: int | None
    forward: TimedRow | None
    train: TimedRow | None
    exponent: MixingExponent | None
    absent: Absence
    paper: PaperRow | None


def accuracy_rows(results: StudyResults) -> list[AccuracyRow]:
    """Make Table 2, a row for every row of the study."""
    return [_accuracy_row(results, info) for info in infos_of(results)]


def settings_of(results: StudyResults) -> list[tuple[int, int]]:
    """List the lengths and batch sizes that were timed, the paper's length first."""
    settings = {(timed.length, timed.batch) for timing in results.timing.values() for timed in timing.timed}
    return sorted(settings, key=lambda setting: (setting[0] != PAPER_LENGTH, *setting))


def cost_rows(results: StudyResults, setting: tuple[int, int] | None) -> list[CostRow]:
    """Make Table 1 for one setting: a row for every encoder, untrained copies left out, as they cost the same."""
    rows = []
    for info in infos_of(results):
        if info.untrained and info.trained_name in results.by_name:
            continue
        timing = results.timing.get(info.trained_name) if info.is_timed else None
        found = (
            {timed.mode: timed for timed in timing.timed if (timed.length, timed.batch) == setting} if timing else {}
        )
        rows.append(
            CostRow(
                info,
                *(setting or (None, None)),
                forward=found.get("forward"),
                train=found.get("train"),
                exponent=timing.exponent if timing else None,
                absent=_why_untimed(results, info),
                paper=paper_row(info.name),
            )
        )
    return rows


def table1_csv(results: StudyResults) -> str:
    """Give Table 1 as CSV: for each row a line a setting, or one line if it was never timed. Times are in seconds."""
    lines = []
    for place, setting in enumerate(settings_of(results) or [None]):
        for row in cost_rows(results, setting):
            measured = bool(row.forward or row.train)
            if place and not measured:
                continue
            card, fit = row.info.card, row.exponent
            line: dict[str, object] = {
                "row": row.info.name,
                "label": row.info.label,
                "family": row.info.family.name,
                "fields": "; ".join(card.fields) if card else None,
                "training_cost": card.training_cost if card else None,
                "inference_cost": card.inference_cost if card else None,
                "length": row.length if measured else None,
                "batch": row.batch if measured else None,
            }
            for mode, timed in (("forward", row.forward), ("train", row.train)):
                for name in (*_TIMES, "flops", "peak_bytes"):
                    line[f"{mode}_{name}"] = getattr(timed, name) if timed else None
            line |= {
                "weight_bytes": row.forward.weight_bytes if row.forward else None,
                "exponent": fit.exponent if fit else None,
                "exponent_low": fit.exponent_low if fit else None,
                "exponent_high": fit.exponent_high if fit else None,
                "exponent_by_operations": fit.theory if fit else None,
                "paper_time": row.paper.time if row.paper else None,
                "paper_ratio": row.paper.ratio if row.paper else None,
                "status": "measured" if measured else _ABSENT_IN_CSV.get(row.absent, row.absent),
            }
            lines.append(line)
    return _csv(lines)


def _why_untimed(results: StudyResults, info: RowInfo) -> Absence:
    if not info.is_timed or not results.config.timed:
        return "-"
    return "failed" if results.failed("time", info.trained_name) else "missing"


def table2_csv(results: StudyResults) -> str:
    """Give Table 2 as CSV: a line a row; accuracies are shares of 1."""
    lines = []
    for row in accuracy_rows(results):
        line: dict[str, object] = {
            "row": row.info.name,
            "label": row.info.label,
            "family": row.info.family.name,
            "seeds": row.seeds,
            "learning_rate": row.learning_rate,
            "notes": "; ".join(row.marks),
            **_estimate_columns("held_out_l1", row.loss),
        }
        for task in results.tasks:
            name = task.replace("-", "_")
            line |= _estimate_columns(name, row.scores[task])
            line[f"{name}_chance"] = row.chance.get(task)
            line[f"{name}_paper"] = row.paper.accuracy[task] if row.paper else None
            line[f"{name}_status"] = "measured" if row.scores[task] else row.absent[task]
        lines.append(line)
    return _csv(lines)


def terminal_table(folder: str | Path) -> str:
    """Lay Table 2 out as text, for a study's folder.

    Raises:
        ResultsError: if its results are missing or broken.
    """
    results = load(folder)
    head = ["row", "masked L1", *(TASK_TITLES[task].lower() for task in results.tasks), ""]
    cells = [
        [
            row.info.name,
            f"{row.loss.mean:.3f}" if row.loss else row.absent["loss"],
            *(as_percent(row.scores[task]) or row.absent[task] for task in results.tasks),
            "; ".join(mark.partition(":")[0] for mark in row.marks),
        ]
        for row in accuracy_rows(results)
    ]
    # Notes are words, and stand to the left.
    cells = [head, *cells]
    width = max(len(row[-1]) for row in cells)
    table = aligned([[*row[:-1], row[-1].ljust(width)] for row in cells])
    seeds = len(results.seeds)
    of = "one seed: intervals over test utterances" if seeds == 1 else f"mean of {seeds} seeds"
    return f"{table}\n\naccuracy in %, with 95 % intervals ({of})"


def _accuracy_row(results: StudyResults, info: RowInfo) -> AccuracyRow:
    runs = results.runs_of(info.name)
    by_task = {task: results.scores_of(info.name, task) for task in results.tasks}
    absent: dict[str, Absence] = {"loss": "-" if info.is_mel else _why(results, ("pretrain",), info.name)}
    absent |= dict.fromkeys(results.tasks, _why(results, ("probe", "pretrain"), info.name))
    seeds = sum(row == info.name for row, _ in results.probes)
    marks = []
    reasons = []
    for run in runs:
        probes = results.probes.get((run.row.name, run.seed))
        reason = collapsed(run, list(probes.tasks.values()) if probes else [])
        reasons += [reason] if reason else []
    if reasons:
        some = "" if len(reasons) == len(runs) == 1 else f" ({len(reasons)} of {len(runs)} seeds)"
        marks.append(f"collapsed{some}: {reasons[0]}")
    asked = len(results.seeds_of(info.name))
    if 0 < seeds < asked:
        marks.append(f"{seeds} of {asked} seeds")
    elif asked < len(results.seeds):
        marks.append("one seed")
    return AccuracyRow(
        info=info,
        loss=loss_over_seeds(runs),
        scores={task: accuracy_over_seeds(scores) for task, scores in by_task.items()},
        chance={task: scores[0].chance for task, scores in by_task.items() if scores},
        absent=absent,
        seeds=seeds,
        learning_rate=runs[0].learning_rate if runs and runs[0].steps else None,
        paper=paper_row(info.name),
        marks=tuple(marks),
    )


def _why(results: StudyResults, kinds: Iterable[Kind], row: str) -> Absence:
    return "failed" if any(results.failed(kind, row) for kind in kinds) else "missing"


_ABSENT_IN_CSV = {"-": "not applicable"}
_TIMES = ("seconds", "seconds_low", "seconds_high", "ratio", "ratio_low", "ratio_high")


def _estimate_columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _csv(lines: Sequence[dict[str, object]]) -> str:
    """Lines as CSV; what is not known is an empty cell, and floats keep six significant digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(lines[0]) if lines else [], lineterminator="\n")
    writer.writeheader()
    for line in lines:
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def as_percent(estimate: Estimate | None) -> str:
    """An accuracy and its interval in percent, such as ``43.3 [42.3, 44.3]``; empty if there is none."""
    if estimate is None:
        return ""
    if estimate.low is None or estimate.high is None:
        return f"{100 * estimate.mean:.1f}"
    return f"{100 * estimate.mean:.1f} [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"
