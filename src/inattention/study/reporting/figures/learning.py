"""Figure of accuracies during training, against steps, time or operations. The same results give the same bytes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from inattention.plotting import MUTED
from inattention.plotting import figure as figure_of
from inattention.plotting import svg as svg_of
from inattention.plotting.labels import text_size
from inattention.plotting.ticks import logarithmic_ticks
from inattention.study.learning_curves import LearningCurve, probed_steps
from inattention.study.reporting.families import Family
from inattention.study.reporting.figures.drawing import DASHES, in_percent, label_ends, margins, marker_style
from inattention.study.reporting.figures.loss import AGAINST, Against


@dataclass(frozen=True)
class Learner:
    """The curve of one row in one task.

    Attributes:
        curve: the curve.
        family: how its family is drawn.
    """

    curve: LearningCurve
    family: Family


def learning_svg(
    learners: Sequence[Learner],
    references: Mapping[str, float],
    name: str,
    *,
    against: Against,
    costs: Mapping[str, float] | None = None,
) -> str:
    """Draw the accuracy of each row during training, with its intervals; the scale of the steps is logarithmic.

    Args:
        learners: the rows.
        references: accuracies that are drawn as horizontal lines, by label.
        name: of the figure.
        against: ``step``; ``time``, in steps of ``qk``; or ``operations``.
        costs: of a training step in units of that axis, by row; 1 by default.
    """
    with figure_of(400, 380) as figure:
        labels = [*references, *(it.curve.row.name for it in learners)]
        widest = max(text_size(figure, text, fontsize=9)[0] for text in labels)
        axes = figure.add_axes(margins(figure, left=50, right=widest + 18, bottom=38, top=8))
        axes.grid(axis="y")
        axes.set_xscale("log")
        ends: dict[str, tuple[float, float, str]] = {}
        used: Counter[str] = Counter()
        for it in learners:
            dashes = DASHES[used[it.family.name] % len(DASHES)]
            used[it.family.name] += 1
            row = it.curve.row.name
            ends[row] = (*_draw(axes, it, costs[row] if costs else 1.0, dashes), it.family.light)
        for text, value in references.items():
            axes.axhline(100 * value, color=MUTED, linewidth=1, linestyle=(0, (1.5, 2)))
            ends[text] = (axes.get_xlim()[1], 100 * value, MUTED)
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.set_xlabel(AGAINST[against])
        axes.set_ylabel("accuracy, %")
        if costs is None:
            steps = probed_steps([it.curve for it in learners])
            axes.set_xticks(steps, [f"{step:,}" for step in steps])
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            logarithmic_ticks(axes.xaxis, *axes.get_xlim(), most=6)
        label_ends(figure, axes, ends)
        return svg_of(figure, name)


def _draw(axes: Axes, learner: Learner, cost: float, dashes: Any) -> tuple[float, float]:
    """Draw one row, and return where it ends."""
    colour = learner.family.light
    x = [cost * step for step in learner.curve.points]
    scores = [in_percent(score) for score in learner.curve.points.values()]
    for place, (_, low, high) in zip(x, scores, strict=True):
        axes.plot([place, place], [low, high], color=colour, linewidth=1.1, alpha=0.45)
    y = [middle for middle, _, _ in scores]
    axes.plot(x, y, color=colour, linewidth=1.9, linestyle=dashes)
    axes.plot(x, y, **marker_style(learner.family, open_=False, size=5))
    return x[-1], y[-1]
