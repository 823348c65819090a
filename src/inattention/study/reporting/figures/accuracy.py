"""Figure of accuracies: one line per row, with its interval. The same results give the same bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from inattention.plotting import MUTED
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.plotting.labels import text_size
from inattention.study.comparison import Estimate
from inattention.study.planning.rows import StudyRow
from inattention.study.reporting.families import Family
from inattention.study.reporting.figures.drawing import in_percent, margins, marker_style


@dataclass(frozen=True)
class AccuracyPoint:
    """One row of an accuracy figure.

    Attributes:
        row: the row.
        family: how its family is drawn.
        score: its accuracy; None if it was not measured.
        absent: why it was not measured.
        collapsed: whether its run collapsed; the marker is then open.
        ratio: forward time relative to qk with its interval, where it was timed.
    """

    row: StudyRow
    family: Family
    score: Estimate | None
    absent: str = ""
    collapsed: bool = False
    ratio: tuple[float, float, float] | None = None

    @property
    def open(self) -> bool:
        """Whether the marker is open: the run collapsed, or the encoder is untrained."""
        return self.collapsed or self.row.untrained


def accuracy_svg(points: Sequence[AccuracyPoint], chance: float | None, name: str) -> str:
    """Draw the accuracies of one task, with their intervals, in the table's order.

    Args:
        points: the rows, from the top.
        chance: accuracy of always predicting the most frequent class.
        name: of the figure.
    """
    with figure_of(380, 46 + 18 * len(points)) as figure:
        names = max(text_size(figure, point.row.name, fontsize=9)[0] for point in points)
        axes = figure.add_axes(margins(figure, left=names + 8, right=12, bottom=36, top=8))
        for place, point in enumerate(points):
            _draw_score(axes, point, place, 100 * (chance or 0))
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.set_yticks(range(len(points)), [point.row.name for point in points], fontsize=9)
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


def _draw_score(axes: Axes, point: AccuracyPoint, place: int, chance: float) -> None:
    if point.score is None:
        axes.text(chance + 1.5, place, point.absent, va="center", fontsize=9, color=MUTED, style="italic")
        return
    middle, low, high = in_percent(point.score)
    axes.plot([low, high], [place, place], color=point.family.light, linewidth=1.6, alpha=0.6)
    axes.plot([middle], [place], **marker_style(point.family, open_=point.open, size=7.5))
