"""Figures over many conversions: word errors against time, and against the number of replaced layers."""

from matplotlib.axes import Axes

from inattention.conversion.table.rows import Table, TableRow
from inattention.plotting import figure, svg

_WIDTH, _HEIGHT = 460, 320


def frontier(table: Table, length: str) -> str | None:
    """Draw word error rates against the encoder's time on 5 s of speech; None if neither was measured."""
    rows = [it for it in table.rows if length in it.words and 5 in it.times]
    if not rows:
        return None
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        _points(axes, rows, [it.times[5][0] for it in rows], length)
        _teacher(axes, table)
        axes.set_xscale("log")
        axes.set_xlabel("encoder time on 5 s of speech, share of the teacher's on 30 s")
        drawn.tight_layout()
        return svg(drawn, f"frontier-{length}")


def by_layers(table: Table, length: str) -> str | None:
    """Draw word error rates against the number of replaced layers; None unless some rows replace a part."""
    rows = [it for it in table.rows if length in it.words and it.row.split(",")[0] == "toeplitz@table"]
    if len({it.replaced for it in rows}) < 2:
        return None
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        _points(axes, rows, [float(it.replaced) for it in rows], length)
        _teacher(axes, table)
        axes.set_xlabel(f"replaced layers of {table.layers}")
        drawn.tight_layout()
        return svg(drawn, f"layers-{length}")


def _points(axes: Axes, rows: list[TableRow], places: list[float], length: str) -> None:
    """Plot rates with the interval of their difference from the teacher, and label each row."""
    for row, place in zip(rows, places, strict=True):
        words = row.words[length]
        looks = row.row.startswith(("qk", "shared", "sparse", "sign", "simple", "xbox", "synthesizer-dense"))
        gap = words.above_teacher
        half = (gap.high - gap.low) / 2 if gap else 0.0
        colour = "#a34a28" if looks else "#33658a"
        axes.errorbar([place], [words.rate], yerr=[half], fmt="o", color=colour, markersize=5, linewidth=1)
        axes.annotate(row.row, (place, words.rate), xytext=(6, 3), textcoords="offset points", fontsize=7.5)
    axes.set_ylabel("word error rate")


def _teacher(axes: Axes, table: Table) -> None:
    if table.teacher:
        axes.axhline(table.teacher[0], linestyle="--", linewidth=1, color="#6b7280")
        place = (1, table.teacher[0])
        axes.annotate("teacher at 30 s", place, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8)
