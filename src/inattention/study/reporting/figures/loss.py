"""Figure of held-out losses during training, against steps or time. The same results give the same bytes."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from inattention.plotting import MUTED
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.plotting.labels import text_size
from inattention.study.records import PretrainingRecord
from inattention.study.reporting.families import Family
from inattention.study.reporting.figures.drawing import DASHES, label_ends, margins, marker_style

Against = Literal["step", "time", "operations", "seconds"]
AGAINST: dict[Against, str] = {
    "step": "optimizer steps",
    "time": "training time, in steps of qk",
    "operations": "training operations, in 10\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}",
    "seconds": "seconds of training",
}
# Times the highest reference line.
_HIGHEST_LOSS = 1.3


@dataclass(frozen=True)
class LossCurves:
    """The curves of one row.

    Attributes:
        name: of the row.
        family: how its family is drawn.
        runs: its runs with a curve, by seed.
    """

    name: str
    family: Family
    runs: Sequence[PretrainingRecord]


def loss_svg(
    rows: Sequence[LossCurves],
    references: Mapping[str, float],
    name: str,
    *,
    against: Against,
    costs: Mapping[str, float] | None = None,
) -> str:
    """Draw the held-out loss of each row: the mean over seeds bold, each seed thin.

    Args:
        rows: the rows.
        references: losses that are drawn as horizontal lines, by label.
        name: of the figure.
        against: ``step``; ``time``, in steps of ``qk``; ``operations``; or ``seconds`` of the machine that trained.
        costs: time of a training step relative to ``qk``'s, by row, for ``time``; its operations in 10^12, for
            ``operations``.
    """
    with figure_of(400, 380) as figure:
        labels = [*references, *(row.name for row in rows)]
        widest = max(text_size(figure, text, fontsize=9)[0] for text in labels)
        axes = figure.add_axes(margins(figure, left=50, right=widest + 18, bottom=38, top=8))
        axes.grid(axis="y")
        ends: dict[str, tuple[float, float, str]] = {}
        used: Counter[str] = Counter()
        for row in rows:
            dashes = DASHES[used[row.family.name] % len(DASHES)]
            used[row.family.name] += 1
            cost = costs[row.name] if costs else 1.0
            if end := _draw_row(axes, row, against, cost, dashes):
                ends[row.name] = (*end, row.family.light)
        for text, value in references.items():
            axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2)))
            ends[text] = (axes.get_xlim()[1], value, MUTED)
        axes.set_xlim(left=0)
        _limit_losses(axes, references)
        axes.set_xlabel(AGAINST[against])
        axes.set_ylabel("held-out masked L1")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        label_ends(figure, axes, ends)
        return svg_of(figure, name)


def _draw_row(axes: Axes, row: LossCurves, against: Against, cost: float, dashes: Any) -> tuple[float, float] | None:
    """Draw one row and return where its mean ends; None if it has no finite point."""
    colour = row.family.light
    if len(row.runs) > 1:
        for run in row.runs:
            axes.plot(*_curve([run], against, cost), color=colour, linewidth=0.7, alpha=0.4)
    x, y = _curve(row.runs, against, cost)
    if not x:
        return None
    axes.plot(x, y, color=colour, linewidth=1.9, linestyle=dashes)
    axes.plot(x[-1:], y[-1:], **marker_style(row.family, open_=False, size=5))
    return x[-1], y[-1]


def _limit_losses(axes: Axes, references: Mapping[str, float]) -> None:
    """Limit the losses shown: a run that diverges leaves the figure, so that all others keep their scale."""
    roof = _HIGHEST_LOSS * max(references.values(), default=math.inf)
    seen = [y for line in axes.lines for y in np.ravel(line.get_ydata()) if y < roof]
    room = 0.04 * (max(seen) - min(seen))
    axes.set_ylim(min(seen) - room, max(seen) + room)


def _curve(runs: Sequence[PretrainingRecord], against: Against, cost: float) -> tuple[list[float], list[float]]:
    """Return the mean over runs, as far as all of them went and none had diverged to NaN."""
    x, y = [], []
    for points in zip(*(run.curve_on_dev for run in runs), strict=False):
        loss = statistics.fmean(point.held_out_l1 for point in points)
        if math.isfinite(loss):
            x.append(statistics.fmean(point.seconds if against == "seconds" else cost * point.step for point in points))
            y.append(loss)
    return x, y
