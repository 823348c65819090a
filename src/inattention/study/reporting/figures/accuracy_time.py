"""Figure of accuracy against time, with labelled points. The same results give the same bytes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from inattention.plotting import MUTED
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.plotting.labels import in_figure, name_points, text_size
from inattention.study.reporting.figures.accuracy import AccuracyPoint
from inattention.study.reporting.figures.drawing import in_percent, margins, marker_style


def accuracy_time_svg(points: Sequence[AccuracyPoint], name: str, *, width: int, height: int) -> str:
    """Draw accuracy against forward time relative to qk; feature rows, which take no time, are horizontal lines.

    Args:
        points: the rows.
        name: of the figure.
        width: in pixels of the page.
        height: in pixels of the page.
    """
    timed = [point for point in points if point.score and point.ratio]
    across = [point for point in points if point.score and point.row.is_features]
    with figure_of(width, height) as figure:
        axes = figure.add_axes(margins(figure, left=46, right=14, bottom=40, top=12))
        axes.grid()
        for point in timed:
            assert point.score is not None
            assert point.ratio is not None
            middle, low, high = point.ratio
            y, y_low, y_high = in_percent(point.score)
            colour = point.family.light
            axes.plot([middle, middle], [y_low, y_high], color=colour, linewidth=1.1, alpha=0.45)
            axes.plot([low, high], [y, y], color=colour, linewidth=1.1, alpha=0.45)
            axes.plot([middle], [y], **marker_style(point.family, open_=point.open, size=8))
        _limits(axes, timed, across, right=0.26 if width < 500 else 0.14)
        axes.xaxis.set_major_locator(MaxNLocator(5 if width < 500 else 9, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("forward time, relative to qk (less is faster)")
        axes.set_ylabel("accuracy, %")
        _label_points(figure, axes, timed, _draw_across(axes, across), fontsize=9.5 if width < 500 else 10)
        return svg_of(figure, name)


def _limits(axes: Axes, timed: Sequence[AccuracyPoint], across: Sequence[AccuracyPoint], *, right: float) -> None:
    """Limit the axes to the points with their intervals, and room at the right for labels.

    Horizontal lines are included unless they are so far off that the points would be squeezed together.
    """
    xs = [part for point in timed if point.ratio for part in point.ratio]
    ys = [part for point in timed if point.score for part in in_percent(point.score)]
    reach = max(ys) - min(ys) + 5
    for point in across:
        assert point.score is not None
        if min(ys) - reach < 100 * point.score.mean < max(ys) + reach:
            ys += in_percent(point.score)
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    axes.set_xlim(min(xs) - 0.12 * wide - 0.02, max(xs) + right * wide + 0.02)
    axes.set_ylim(max(min(ys) - 0.05 * high - 0.5, 0), min(max(ys) + 0.08 * high + 0.5, 101.5))


def _draw_across(axes: Axes, across: Sequence[AccuracyPoint]) -> list[tuple[str, float]]:
    """Draw feature rows as lines and return their labels and heights; a line off limits is labelled at the edge."""
    lines = []
    low, high = axes.get_ylim()
    for point in across:
        assert point.score is not None
        y = 100 * point.score.mean
        if low <= y <= high:
            axes.axhline(y, color=point.family.light, linewidth=1, linestyle=(0, (4, 2.5)))
            lines.append((point.row.name, y))
        else:
            arrow = "\N{UPWARDS ARROW}" if y > high else "\N{DOWNWARDS ARROW}"
            lines.append((f"{point.row.name} {y:.1f} {arrow}", high if y > high else low))
    return lines


def _label_points(
    figure: Figure, axes: Axes, points: Sequence[AccuracyPoint], across: Sequence[tuple[str, float]], fontsize: float
) -> None:
    """Label each point; a thin line connects a label that had no room close to its point."""
    frame = axes.get_window_extent().extents
    obstacles = []
    above = np.inf
    for text, y in sorted(across, key=lambda line: -line[1]):
        line = axes.transData.transform((0, y))[1]
        wide, tall = text_size(figure, text, fontsize)
        # Above its line, or below it where another line or the edge is close.
        bottom = line + 2 if line + tall + 6 < min(above, frame[3]) else line - tall - 2
        above = line
        figure.text(*in_figure(figure, frame[2] - wide, bottom), text, fontsize=fontsize, color=MUTED, va="bottom")
        obstacles.append((frame[0], line - 1, frame[2], line + 1))
        obstacles.append((frame[2] - wide, bottom, frame[2], bottom + tall))
    if not points:
        return
    middles = []
    for point in points:
        assert point.score is not None
        assert point.ratio is not None
        middle, fastest, slowest = point.ratio
        y, low, high = in_percent(point.score)
        ends = [(middle, y), (middle, low), (middle, high), (fastest, y), (slowest, y)]
        at, below, above, left, right = axes.transData.transform(ends)
        middles.append(at)
        obstacles.append((below[0] - 1.5, below[1], above[0] + 1.5, above[1]))
        obstacles.append((left[0], left[1] - 1.5, right[0], right[1] + 1.5))
    names = [point.row.name for point in points]
    name_points(figure, axes, names, np.array(middles), np.array(obstacles), fontsize)
