"""Label placement: no label of a figure covers another, a point or a line.

adjustText was tried in place of this module. In the figures of a study with 26 rows its labels overlap each other (up
to 3 pairs, none here), touch the markers of 16 to 20 points (at most one here), and are further from their points.

All boxes are (left, bottom, right, top) in pixels, `y` upwards.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from inattention.plotting import INK, MUTED

Boxes = Float[np.ndarray, "_ 4"]

_DIRECTIONS = np.deg2rad([0, 180, 90, 270, 35, 145, 325, 215, 60, 120, 240, 300])
_DISTANCES = (0, 6, 14, 24, 38, 54, 74)  # pixels beyond the marker
_PASSES = 4


def text_size(figure: Figure, text: str, fontsize: float) -> tuple[float, float]:
    """Return the width and height of a label in pixels."""
    label = figure.text(0, 0, text, fontsize=fontsize)
    box = label.get_window_extent()
    label.remove()
    return box.width, fontsize * 1.15


def in_figure(figure: Figure, x: float, y: float) -> tuple[float, float]:
    """Return a place in pixels as fractions of the figure."""
    width, height = figure.get_size_inches() * 72
    return x / width, y / height


def stack_up(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Return places along a line, moved as little as possible so that neighbours are at least a gap apart.

    Their order is kept, and they stay between low and high as far as there is room.

    >>> stack_up([0.0, 1.0, 9.0], gap=4, low=0, high=20)
    [0.0, 4.0, 9.0]
    """
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    # Isotonic regression on the places minus a gap for each place before them.
    pools: list[tuple[float, int]] = []
    for rank, item in enumerate(order):
        mean, count = float(wanted[item]) - rank * gap, 1
        while pools and pools[-1][0] > mean:
            above, many = pools.pop()
            mean, count = (above * many + mean * count) / (many + count), many + count
        pools.append((mean, count))
    shifted = np.concatenate([np.full(count, mean) for mean, count in pools])
    shifted = np.clip(shifted, low, max(low, high - (len(order) - 1) * gap))
    places = np.empty(len(order))
    places[order] = shifted + gap * np.arange(len(order))
    return places.tolist()


def name_points(
    figure: Figure,
    axes: Axes,
    names: Sequence[str],
    points: Float[np.ndarray, "labels 2"],
    obstacles: Boxes,
    fontsize: float,
) -> None:
    """Write a name beside each point; a thin line connects a name that had no room close to its point.

    Args:
        figure: the figure.
        axes: where names must stay.
        names: of the points.
        points: their places in pixels.
        obstacles: what names should not cover, besides the points.
        fontsize: of the names.
    """
    frame = axes.get_window_extent().extents
    sizes = np.array([text_size(figure, name, fontsize) for name in names])
    corners = place_labels(points, sizes, obstacles, tuple(frame), marker=5.0)
    for name, corner, size, point in zip(names, corners, sizes, points, strict=True):
        nearest = np.clip(point, corner, corner + size)
        if np.hypot(*(nearest - point)) > 14:
            ends_at = np.stack([point, nearest]) / (72 * figure.get_size_inches())
            axes.plot(*ends_at.T, transform=figure.transFigure, color=MUTED, linewidth=0.6, zorder=1.5, clip_on=False)
        figure.text(*in_figure(figure, *corner), name, fontsize=fontsize, color=INK, va="bottom")


def place_labels(
    points: Float[np.ndarray, "labels 2"],
    sizes: Float[np.ndarray, "labels 2"],
    obstacles: Boxes,
    frame: tuple[float, float, float, float],
    marker: float,
) -> Float[np.ndarray, "labels 2"]:
    """Return a place for each point's label, near the point and clear of everything else.

    Labels are placed one after the other, then each again given all others.

    Args:
        points: positions of the points.
        sizes: width and height of each label.
        obstacles: what labels should not cover, besides the points themselves.
        frame: box that labels must stay in.
        marker: half the width of a point's marker.

    Returns:
        The lower left corner of each label.
    """
    dots = np.concatenate([points - marker, points + marker], axis=1)
    candidates = [_candidates(point, size, marker) for point, size in zip(points, sizes, strict=True)]
    placed: dict[int, np.ndarray] = {}
    # Points with the most neighbours are labelled first: they have the fewest places left.
    neighbours = [(np.hypot(*(points - point).T) < 80).sum() for point in points]
    order = sorted(range(len(points)), key=lambda label: -neighbours[label])
    for _ in range(_PASSES):
        for label in order:
            boxes, reach = candidates[label]
            others = [box for other, box in placed.items() if other != label]
            cost = (
                reach**1.3
                + 3.0 * _overlap(boxes, obstacles)
                + 8.0 * _overlap(boxes, dots)
                + (12.0 * _overlap(boxes, np.stack(others)) if others else 0.0)
                + 60.0 * _outside(boxes, frame)
            )
            placed[label] = boxes[int(np.argmin(cost))]
    return np.stack([placed[label][:2] for label in range(len(points))]) if len(points) else np.empty((0, 2))


def _candidates(point: np.ndarray, size: np.ndarray, marker: float) -> tuple[Boxes, Float[np.ndarray, " _"]]:
    """Return boxes around a point, nearest first, and the distance of each."""
    boxes, reach = [], []
    half = size / 2
    for distance in _DISTANCES:
        for place, angle in enumerate(_DIRECTIONS):
            way = np.array([np.cos(angle), np.sin(angle)])
            centre = (
                point
                + way * (marker + 3 + distance)
                + np.sign(np.round(way, 3))
                * half
                * np.array([1.0 if abs(way[0]) > 0.1 else 0.0, 1.0 if abs(way[1]) > 0.1 else 0.0])
            )
            boxes.append(np.concatenate([centre - half, centre + half]))
            reach.append(distance + 0.4 * place)
    return np.stack(boxes), np.array(reach)


def _overlap(boxes: Boxes, others: Boxes) -> Float[np.ndarray, " _"]:
    """Return the summed overlap of each box with others, as the square root of each overlap's area."""
    if not len(others):
        return np.zeros(len(boxes))
    wide = np.minimum(boxes[:, None, 2], others[None, :, 2]) - np.maximum(boxes[:, None, 0], others[None, :, 0])
    high = np.minimum(boxes[:, None, 3], others[None, :, 3]) - np.maximum(boxes[:, None, 1], others[None, :, 1])
    return np.sqrt(np.clip(wide, 0, None) * np.clip(high, 0, None)).sum(1)


def _outside(boxes: Boxes, frame: tuple[float, float, float, float]) -> Float[np.ndarray, " _"]:
    """Return how far each box is outside the frame."""
    left, bottom, right, top = frame
    beyond = [left - boxes[:, 0], bottom - boxes[:, 1], boxes[:, 2] - right, boxes[:, 3] - top]
    return np.clip(np.stack(beyond), 0, None).sum(0)
