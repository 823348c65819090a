"""The report's figures: accuracy with intervals, accuracy against time, and loss against steps and seconds.

Each is drawn by matplotlib in the style of all figures. The same results give the same bytes.
"""

import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from markupsafe import escape
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.markers import MarkerStyle
from matplotlib.ticker import FuncFormatter, MaxNLocator

from inattention.plotting import INK, MUTED, PAPER
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.study.estimates import Estimate
from inattention.study.records import PretrainingRecord
from inattention.study.reporting.families import Family, RowInfo
from inattention.study.reporting.figures.labels import place_labels, stack_up

AGAINST = {
    "step": "optimiser steps",
    "time": "training time, in steps of qk",
    "seconds": "seconds of training",
}
# Times the highest reference line.
_HIGHEST_LOSS = 1.3
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.6, 1.4, 1.6)), (0, (9, 2.5)))


@dataclass(frozen=True)
class AccuracyPoint:
    """One row of an accuracy figure.

    Attributes:
        info: which row.
        score: its accuracy; None if it is not there.
        absent: what to say then.
        collapsed: whether its run collapsed: its marker is left open.
        ratio: forward time relative to qk, with quartiles, where it was timed.
    """

    info: RowInfo
    score: Estimate | None
    absent: str = ""
    collapsed: bool = False
    ratio: tuple[float, float, float] | None = None

    @property
    def open(self) -> bool:
        """Whether the marker is left open: the run collapsed, or never took place."""
        return self.collapsed or self.info.untrained


def accuracy_svg(points: Sequence[AccuracyPoint], chance: float | None, name: str) -> str:
    """Draw one task: a line a row, with its interval, in the table's order.

    Args:
        points: the rows, from the top.
        chance: accuracy of always saying the most frequent class.
        name: of the figure.
    """
    with figure_of(380, 46 + 18 * len(points)) as figure:
        names = max(_extent(figure, point.info.name, fontsize=9)[0] for point in points)
        axes = figure.add_axes(_inside(figure, left=names + 8, right=12, bottom=36, top=8))
        for place, point in enumerate(points):
            _draw_score(axes, point, place, 100 * (chance or 0))
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_yticks(range(len(points)), [point.info.name for point in points], fontsize=9)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.grid()
        known = [point.score for point in points if point.score]
        highest = max([100 * (score.high or score.mean) for score in known], default=100.0)
        axes.set_xlim(0, min(102.0, highest * 1.06))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel("accuracy, %")
        if chance is not None:
            axes.axvline(100 * chance, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2)))
        return svg_of(figure, name)


def accuracy_time_svg(points: Sequence[AccuracyPoint], name: str, *, width: int, height: int) -> str:
    """Draw accuracy against forward time relative to qk; rows without a time are lines across, Mel above all.

    Args:
        points: the rows.
        name: of the figure.
        width: in pixels of the page.
        height: in pixels of the page.
    """
    timed = [point for point in points if point.score and point.ratio]
    across = [point for point in points if point.score and point.info.is_mel]
    with figure_of(width, height) as figure:
        axes = figure.add_axes(_inside(figure, left=46, right=14, bottom=40, top=12))
        axes.grid()
        for point in timed:
            assert point.score is not None
            assert point.ratio is not None
            middle, low, high = point.ratio
            y, y_low, y_high = _percent(point.score)
            colour = point.info.family.light
            axes.plot([middle, middle], [y_low, y_high], color=colour, linewidth=1.1, alpha=0.45)
            axes.plot([low, high], [y, y], color=colour, linewidth=1.1, alpha=0.45)
            axes.plot([middle], [y], **_marker(point.info.family, open_=point.open, size=8))
        _limits(axes, timed, across, right=0.26 if width < 500 else 0.14)
        axes.xaxis.set_major_locator(MaxNLocator(5 if width < 500 else 9, steps=[1, 2, 2.5, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("forward time, relative to qk (less is faster)")
        axes.set_ylabel("accuracy, %")
        _label_points(figure, axes, timed, _draw_across(axes, across), fontsize=9.5 if width < 500 else 10)
        return svg_of(figure, name)


def loss_svg(
    runs: Sequence[tuple[RowInfo, Sequence[PretrainingRecord]]],
    references: Mapping[str, float],
    name: str,
    *,
    against: Literal["step", "time", "seconds"],
    ratios: Mapping[str, float] | None = None,
) -> str:
    """Draw the held-out loss of each row, the mean over seeds in bold and each seed thin.

    Args:
        runs: each row's runs, those without a curve left out.
        references: losses that are drawn as lines across, by what they are called.
        name: of the figure.
        against: ``step``; ``time``, in steps of ``qk``; or ``seconds`` of the machine that trained.
        ratios: time of a training step relative to ``qk``'s, by row, for ``time``.
    """
    with figure_of(400, 380) as figure:
        names = max(_extent(figure, text, fontsize=9)[0] for text in [*references, *(info.name for info, _ in runs)])
        axes = figure.add_axes(_inside(figure, left=50, right=names + 18, bottom=38, top=8))
        axes.grid(axis="y")
        ends: dict[str, tuple[float, float, str]] = {}
        used: dict[str, int] = {}
        for info, of_row in runs:
            colour, family = info.family.light, info.family.name
            dashes = _DASHES[used.setdefault(family, 0) % len(_DASHES)]
            used[family] += 1
            ratio = ratios[info.name] if ratios and against == "time" else 1.0
            if len(of_row) > 1:
                for run in of_row:
                    axes.plot(*_curve([run], against, ratio), color=colour, linewidth=0.7, alpha=0.4)
            x, y = _curve(of_row, against, ratio)
            if not x:
                continue
            axes.plot(x, y, color=colour, linewidth=1.9, linestyle=dashes)
            axes.plot(x[-1:], y[-1:], **_marker(info.family, open_=False, size=5))
            ends[info.name] = (x[-1], y[-1], colour)
        for text, value in references.items():
            axes.axhline(value, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2)))
            ends[text] = (axes.get_xlim()[1], value, MUTED)
        axes.set_xlim(left=0)
        # A run that diverges leaves the figure, rather than pressing all others together.
        roof = _HIGHEST_LOSS * max(references.values(), default=math.inf)
        seen = [y for line in axes.lines for y in np.ravel(line.get_ydata()) if y < roof]
        room = 0.04 * (max(seen) - min(seen))
        axes.set_ylim(min(seen) - room, max(seen) + room)
        axes.set_xlabel(AGAINST[against])
        axes.set_ylabel("held-out masked L1")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _label_ends(figure, axes, ends)
        return svg_of(figure, name)


def marker_path(marker: str) -> str:
    """Give a marker as an SVG path in a box of 12 by 12, for legends in HTML."""
    style = MarkerStyle(marker)
    path = style.get_path().transformed(style.get_transform())
    polygons = [np.asarray(polygon) for polygon in path.to_polygons(closed_only=False)]
    scale = 5 / max(np.abs(polygon).max() for polygon in polygons)
    corners = [[f"{6 + scale * x:.2f} {6 - scale * y:.2f}" for x, y in polygon] for polygon in polygons]
    return " ".join(f"M{' L'.join(corner)} Z" for corner in corners)


def inline(svg: str, name: str, description: str, colours: Mapping[str, str]) -> str:
    """Make a drawn figure part of a page: its own ids, the page's colours and font, and words for those who listen.

    Args:
        svg: as drawn.
        name: of the figure, which its ids begin with.
        description: what it shows.
        colours: what stands in the page for each colour drawn, such as ``var(--ink)``.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*", _only_size_and_weight, body)
    for drawn, wanted in colours.items():
        body = body.replace(drawn, wanted)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert size is not None
    opening = (
        f'<svg viewBox="{size[0][9:-1]}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return opening + body[body.index(">") + 1 :].strip()


def _only_size_and_weight(font: re.Match[str]) -> str:
    weight, size = font.groups()
    return f"font-size: {size}px" + (f"; font-weight: {weight}" if weight else "")


def _inside(
    figure: Figure, *, left: float, right: float, bottom: float, top: float
) -> tuple[float, float, float, float]:
    """Axes with margins in pixels."""
    width, height = figure.get_size_inches() * 72
    return (left / width, bottom / height, 1 - (left + right) / width, 1 - (bottom + top) / height)


def _marker(family: Family, *, open_: bool, size: float) -> dict[str, Any]:
    return {
        "marker": family.marker,
        "markersize": size,
        "color": family.light,
        "markerfacecolor": PAPER if open_ else family.light,
        "markeredgecolor": family.light if open_ else PAPER,
        "markeredgewidth": 1.4 if open_ else 0.7,
        "linestyle": "none",
        "clip_on": False,  # at the very edge too, a marker is seen whole
        "zorder": 3,
    }


def _percent(score: Estimate) -> tuple[float, float, float]:
    low, high = (score.mean if it is None else it for it in (score.low, score.high))
    return 100 * score.mean, 100 * low, 100 * high


def _draw_score(axes: Axes, point: AccuracyPoint, place: int, chance: float) -> None:
    if point.score is None:
        axes.text(chance + 1.5, place, point.absent, va="center", fontsize=9, color=MUTED, style="italic")
        return
    middle, low, high = _percent(point.score)
    axes.plot([low, high], [place, place], color=point.info.family.light, linewidth=1.6, alpha=0.6)
    axes.plot([middle], [place], **_marker(point.info.family, open_=point.open, size=7.5))


def _limits(axes: Axes, timed: Sequence[AccuracyPoint], across: Sequence[AccuracyPoint], *, right: float) -> None:
    """Room around the points, and all of their intervals; at the right for labels.

    Lines across count too, but for those so far off that they would press all points together.
    """
    xs = [part for point in timed if point.ratio for part in point.ratio]
    ys = [part for point in timed if point.score for part in _percent(point.score)]
    reach = max(ys) - min(ys) + 5
    for point in across:
        assert point.score is not None
        if min(ys) - reach < 100 * point.score.mean < max(ys) + reach:
            ys += _percent(point.score)
    wide, high = max(xs) - min(xs), max(ys) - min(ys)
    axes.set_xlim(min(xs) - 0.12 * wide - 0.02, max(xs) + right * wide + 0.02)
    axes.set_ylim(max(min(ys) - 0.05 * high - 0.5, 0), min(max(ys) + 0.08 * high + 0.5, 101.5))


def _draw_across(axes: Axes, across: Sequence[AccuracyPoint]) -> list[tuple[str, float]]:
    """Draw rows without a time as lines; give what to call each and where. What is out of sight is told at the edge."""
    lines = []
    low, high = axes.get_ylim()
    for point in across:
        assert point.score is not None
        y = 100 * point.score.mean
        if low <= y <= high:
            axes.axhline(y, color=point.info.family.light, linewidth=1, linestyle=(0, (4, 2.5)))
            lines.append((point.info.name, y))
        else:
            arrow = "\N{UPWARDS ARROW}" if y > high else "\N{DOWNWARDS ARROW}"
            lines.append((f"{point.info.name} {y:.1f} {arrow}", high if y > high else low))
    return lines


def _label_points(
    figure: Figure, axes: Axes, points: Sequence[AccuracyPoint], across: Sequence[tuple[str, float]], fontsize: float
) -> None:
    """Name each point beside it; a thin line leads to it where there was no room near by."""
    frame = axes.get_window_extent().extents
    obstacles = []
    above = np.inf
    for text, y in sorted(across, key=lambda line: -line[1]):
        line = axes.transData.transform((0, y))[1]
        wide, tall = _extent(figure, text, fontsize)
        # Upon its line, but under it where another line or the edge is near above.
        bottom = line + 2 if line + tall + 6 < min(above, frame[3]) else line - tall - 2
        above = line
        figure.text(*_of(figure, frame[2] - wide, bottom), text, fontsize=fontsize, color=MUTED, va="bottom")
        obstacles.append((frame[0], line - 1, frame[2], line + 1))
        obstacles.append((frame[2] - wide, bottom, frame[2], bottom + tall))
    if not points:
        return
    middles = []
    for point in points:
        assert point.score is not None
        assert point.ratio is not None
        middle, fastest, slowest = point.ratio
        y, low, high = _percent(point.score)
        ends = [(middle, y), (middle, low), (middle, high), (fastest, y), (slowest, y)]
        at, below, above, left, right = axes.transData.transform(ends)
        middles.append(at)
        obstacles.append((below[0] - 1.5, below[1], above[0] + 1.5, above[1]))
        obstacles.append((left[0], left[1] - 1.5, right[0], right[1] + 1.5))
    sizes = np.array([_extent(figure, point.info.name, fontsize) for point in points])
    corners = place_labels(np.array(middles), sizes, np.array(obstacles), tuple(frame), marker=5.0)
    for point, corner, size, middle in zip(points, corners, sizes, middles, strict=True):
        nearest = np.clip(middle, corner, corner + size)
        if np.hypot(*(nearest - middle)) > 14:
            ends_at = np.stack([middle, nearest]) / (72 * figure.get_size_inches())
            axes.plot(*ends_at.T, transform=figure.transFigure, color=MUTED, linewidth=0.6, zorder=1.5, clip_on=False)
        figure.text(*_of(figure, *corner), point.info.name, fontsize=fontsize, color=INK, va="bottom")


def _label_ends(figure: Figure, axes: Axes, ends: Mapping[str, tuple[float, float, str]]) -> None:
    """Name each line in a column at the right, in the order of their ends, with a thin line from end to name."""
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
        figure.text(*_of(figure, frame[2] + 15, level), text, fontsize=9, va="center", color=colour)


def _curve(runs: Sequence[PretrainingRecord], against: str, ratio: float) -> tuple[list[float], list[float]]:
    """The mean over runs, as far as all of them went and none had diverged to NaN."""
    x, y = [], []
    for points in zip(*(run.curve for run in runs), strict=False):
        loss = statistics.fmean(point.held_out_l1 for point in points)
        if math.isfinite(loss):
            x.append(
                statistics.fmean(point.seconds if against == "seconds" else ratio * point.step for point in points)
            )
            y.append(loss)
    return x, y


def _extent(figure: Figure, text: str, fontsize: float) -> tuple[float, float]:
    """Width and height of a label in pixels."""
    label = figure.text(0, 0, text, fontsize=fontsize)
    box = label.get_window_extent()
    label.remove()
    return box.width, fontsize * 1.15


def _of(figure: Figure, x: float, y: float) -> tuple[float, float]:
    """Pixels as shares of the figure."""
    width, height = figure.get_size_inches() * 72
    return x / width, y / height
