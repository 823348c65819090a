"""Drawing helpers that the report's figures share: margins, markers, and sizes of text in pixels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from inattention.plotting import INK, MUTED, PAPER
from inattention.plotting.labels import in_figure, stack_up
from inattention.study.comparison import Estimate
from inattention.study.reporting.families import Family

DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)), (0, (9, 2.5)))


def margins(
    figure: Figure, *, left: float, right: float, bottom: float, top: float
) -> tuple[float, float, float, float]:
    """Return the rectangle of axes with margins in pixels."""
    width, height = figure.get_size_inches() * 72
    return (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)


def marker_style(family: Family, *, open_: bool, size: float) -> dict[str, Any]:
    """Return the arguments of `plot` for a family's marker.

    Args:
        family: of the row.
        open_: leave the inside empty.
        size: of the marker in points.
    """
    return {
        "marker": family.marker,
        "markersize": size,
        "color": family.light,
        "markerfacecolor": PAPER if open_ else family.light,
        "markeredgecolor": family.light if open_ else PAPER,
        "markeredgewidth": 1.4 if open_ else 0.7,
        "linestyle": "none",
        "clip_on": False,  # a marker at the edge of the axes is drawn whole
        "zorder": 3,
    }


def marker_path(marker: str) -> str:
    """Return a marker as an SVG path in a box of 12 by 12, for legends in HTML."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    polygons = [np.asarray(polygon) for polygon in path.to_polygons(closed_only=False)]
    scale = 5 / max(np.abs(polygon).max() for polygon in polygons)
    corners = [[f"{6 + scale * x:.2f} {6 - scale * y:.2f}" for x, y in polygon] for polygon in polygons]
    return " ".join(f"M{' L'.join(corner)} Z" for corner in corners)


def label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Label each line in a column at the right, in the order of their ends, with a thin line from end to label.

    Args:
        figure: the figure.
        axes: its axes, with room for the labels at their right.
        ends: by label, where its line ends, in the coordinates of the data, and its colour.
    """
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


def in_percent(score: Estimate) -> tuple[float, float, float]:
    """Return an accuracy and its interval in percent; without an interval, low and high are the accuracy."""
    low, high = (score.mean if it is None else it for it in (score.low, score.high))
    return 100 * score.mean, 100 * low, 100 * high
