"""Figure of held-out losses during training, against steps or time. The same results give the same bytes."""

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from inattention.plotting import INK, MUTED
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.plotting.labels import in_figure, stack_up, text_size
from inattention.study.records import PretrainingRecord
from inattention.study.reporting.families import Family
from inattention.study.reporting.figures.drawing import margins, marker_style

Against = Literal["step", "time", "seconds"]
AGAINST: dict[Against, str] = {
    "step": "optimizer steps",
    "time": "training time, in steps of qk",
    "seconds": "seconds of training",
}
# Times the highest reference line.
_HIGHEST_LOSS = 1.3
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)), (0, (9, 2.5)))


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
    ratios: Mapping[str, float] | None = None,
) -> str:
    """Draw the held-out loss of each row: the mean over seeds bold, each seed thin.

    Args:
        rows: the rows.
        references: losses that are drawn as horizontal lines, by label.
        name: of the figure.
        against: ``step``; ``time``, in steps of ``qk``; or ``seconds`` of the machine that trained.
        ratios: time of a training step relative to ``qk``'s, by row, for ``time``.
    """
    with figure_of(400, 380) as figure:
        labels = [*references, *(row.name for row in rows)]
        widest = max(text_size(figure, text, fontsize=9)[0] for text in labels)
        axes = figure.add_axes(margins(figure, left=50, right=widest + 18, bottom=38, top=8))
        axes.grid(axis="y")
        ends: dict[str, tuple[float, float, str]] = {}
        used: Counter[str] = Counter()
        for row in rows:
            dashes = _DASHES[used[row.family.name] % len(_DASHES)]
            used[row.family.name] += 1
            ratio = ratios[row.name] if ratios and against == "time" else 1.0
            if end := _draw_row(axes, row, against, ratio, dashes):
                ends[row.name] = (*end, row.family.light)
        for text, value in references.items():
            axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2)))
            ends[text] = (axes.get_xlim()[1], value, MUTED)
        axes.set_xlim(left=0)
        _limit_losses(axes, references)
        axes.set_xlabel(AGAINST[against])
        axes.set_ylabel("held-out masked L1")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _label_ends(figure, axes, ends)
        return svg_of(figure, name)


def _draw_row(axes: Axes, row: LossCurves, against: Against, ratio: float, dashes: Any) -> tuple[float, float] | None:
    """Draw one row and return where its mean ends; None if it has no finite point."""
    colour = row.family.light
    if len(row.runs) > 1:
        for run in row.runs:
            axes.plot(*_curve([run], against, ratio), color=colour, linewidth=0.7, alpha=0.4)
    x, y = _curve(row.runs, against, ratio)
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


def _label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Label each line in a column at the right, in the order of their ends, with a thin line from end to label."""
    frame = axes.get_window_extent().extents
    pixels = {text: axes.transData.transform((x, y)) for text, (x, y, _) in ends.items()}
    gap = min(13.0, (frame[3] - frame[1]) / max(len(ends) - 1, 1))
    for pixel in pixels.values():
        pixel[1] = np.clip(pixel[1], frame[1], frame[3])
    levels = stack_up([pixel[1] for pixel in pixels.values()], gap, frame[1], frame[3])
    for (text, pixel), level in zip(pixels.items(), levels, strict=True):
        path = np.array([pixel, (frame[2], pixel[1]), (frame[2] + 12, level)]) / (72 * figure.get_size_inches())
        axes.plot(*path.T, transform=figure.transFigure, color=ends[text][2], linewidth=0.6, alpha=0.7, clip_on=False)
        colour = MUTED if ends[text][2] == MUTED else INK
        figure.text(*in_figure(figure, frame[2] + 15, level), text, fontsize=9, va="center", color=colour)


def _curve(runs: Sequence[PretrainingRecord], against: Against, ratio: float) -> tuple[list[float], list[float]]:
    """Return the mean over runs, as far as all of them went and none had diverged to NaN."""
    x, y = [], []
    for points in zip(*(run.curve_on_dev for run in runs), strict=False):
        loss = statistics.fmean(point.held_out_l1 for point in points)
        if math.isfinite(loss):
            x.append(
                statistics.fmean(point.seconds if against == "seconds" else ratio * point.step for point in points)
            )
            y.append(loss)
    return x, y
