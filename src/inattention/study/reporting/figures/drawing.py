"""Drawing helpers that the report's figures share: margins, markers, and sizes of text in pixels."""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle

from inattention.plotting import PAPER
from inattention.study.comparison import Estimate
from inattention.study.reporting.families import Family


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


def in_percent(score: Estimate) -> tuple[float, float, float]:
    """Return an accuracy and its interval in percent; without an interval, low and high are the accuracy."""
    low, high = (score.mean if it is None else it for it in (score.low, score.high))
    return 100 * score.mean, 100 * low, 100 * high
