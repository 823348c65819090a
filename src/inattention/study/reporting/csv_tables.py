"""Both tables as CSV: floats keep six significant digits, unknown values are empty cells."""

import csv
import io
import math
from collections.abc import Sequence

from inattention.study.comparison import Estimate
from inattention.study.learning_curves import LearningCurve
from inattention.study.reporting.tables import Tables, Timed

_TIMES = ("seconds", "seconds_low", "seconds_high", "ratio", "ratio_low", "ratio_high")
_ABSENT = {"-": "not applicable"}


def table1_csv(tables: Tables) -> str:
    """Return Table 1 as CSV: for each row one line per setting, or one line if it was never timed.

    Times are in seconds. ``*_low`` and ``*_high`` are quartiles over rounds; ``*_ratio_95_low`` and ``_high`` are the
    95 % interval of the ratio to ``qk`` in the same rounds.
    """
    lines = []
    for place, (setting, rows) in enumerate(tables.costs.items()):
        for row in rows:
            measured = bool(row.forward or row.train)
            if place and not measured:
                continue
            card, fit = row.row.card, row.exponent
            line: dict[str, object] = {
                "row": row.row.name,
                "label": row.row.label,
                "family": row.row.family,
                "fields": "; ".join(card.fields) if card else None,
                "training_cost": card.training_cost if card else None,
                "inference_cost": card.inference_cost if card else None,
                "length": setting[0] if measured and setting else None,
                "batch": setting[1] if measured and setting else None,
                **_time_columns("forward", row.forward),
                **_time_columns("train", row.train),
                "weight_bytes": row.forward.measured.weight_bytes if row.forward else None,
                "exponent": fit.exponent if fit else None,
                "exponent_low": fit.exponent_low if fit else None,
                "exponent_high": fit.exponent_high if fit else None,
                "exponent_by_operations": fit.theory if fit else None,
                "paper_time": row.paper.time if row.paper else None,
                "paper_ratio": row.paper.ratio if row.paper else None,
                "status": "measured" if measured else _ABSENT.get(row.absent, row.absent),
            }
            lines.append(line)
    return _csv(lines)


def table2_csv(tables: Tables) -> str:
    """Return Table 2 as CSV: one line per row; accuracies are fractions."""
    lines = []
    for row in tables.accuracy:
        line: dict[str, object] = {
            "row": row.row.name,
            "label": row.row.label,
            "family": row.row.family,
            "seeds": row.seeds,
            "learning_rate": row.learning_rate,
            "notes": "; ".join(map(str, row.notes)),
            **_estimate_columns("held_out_l1", row.loss),
        }
        for task in tables.tasks:
            name = task.replace("-", "_")
            line |= _estimate_columns(name, row.scores[task])
            line[f"{name}_chance"] = row.chance.get(task)
            line[f"{name}_paper"] = row.paper.accuracy[task] if row.paper else None
            line[f"{name}_status"] = "measured" if row.scores[task] else row.absent[task]
        lines.append(line)
    return _csv(lines)


def curves_csv(curves: Sequence[LearningCurve]) -> str:
    """Return the accuracies during training as CSV: one line per row, task and step; accuracies are fractions."""
    return _csv(
        [
            {"row": it.row.name, "task": it.task, "step": step, "seeds": score.seeds}
            | _estimate_columns("accuracy", score)
            for it in curves
            for step, score in it.points.items()
        ]
    )


def _time_columns(mode: str, timed: Timed | None) -> dict[str, object]:
    columns: dict[str, object] = {f"{mode}_{name}": getattr(timed.measured, name) if timed else None for name in _TIMES}
    low, high = (timed.interval if timed else None) or (None, None)
    columns |= {f"{mode}_ratio_95_low": low, f"{mode}_ratio_95_high": high}
    counts = ("flops", "peak_bytes")
    return columns | {f"{mode}_{name}": getattr(timed.measured, name) if timed else None for name in counts}


def _estimate_columns(name: str, estimate: Estimate | None) -> dict[str, float | None]:
    if estimate is None:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    return {name: estimate.mean, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def _csv(lines: Sequence[dict[str, object]]) -> str:
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
