"""Figures over many conversions: word errors against time, and against the number of replaced layers."""

from collections.abc import Sequence

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from inattention.conversion.table.rows import LARGEST, Table, TableRow
from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, inline, svg

FIXED, LOOKING = PALETTE["blue"], PALETTE["orange"]
_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_COLOURS |= {FIXED.light: "var(--fixed)", LOOKING.light: "var(--looking)"}
_WIDTH, _HEIGHT = 460, 320  # pixels


def frontier(table: Table, length: str) -> Markup | None:
    """Draw word error rates against the encoder's time on 5 s of speech; None if neither was measured."""
    rows = [it for it in table.rows if length in it.words and 5 in it.times]
    places = [it.times[5][0] for it in rows]
    label = "encoder time on 5 s of speech, share of the teacher's"
    return _draw(table, rows, places, length, label, f"frontier-{length}", logarithmic=True) if rows else None


def by_layers(table: Table, length: str) -> Markup | None:
    """Draw word error rates against the number of replaced layers; None unless some rows replace a part."""
    rows = [it for it in table.rows if length in it.words and it.row.split(",")[0] == LARGEST]
    if len({it.replaced for it in rows}) < 2:
        return None
    places = [float(it.replaced) for it in rows]
    return _draw(table, rows, places, length, f"replaced layers of {table.layers}", f"layers-{length}")


def _draw(
    table: Table,
    rows: Sequence[TableRow],
    places: Sequence[float],
    length: str,
    label: str,
    name: str,
    *,
    logarithmic: bool = False,
) -> Markup:
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        for row, place in zip(rows, places, strict=True):
            _point(axes, row, place, length)
        if table.teacher:
            axes.axhline(table.teacher[0], linestyle=(0, (4, 3)), linewidth=1, color=MUTED)
            at = (1, table.teacher[0])
            axes.annotate("teacher", at, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8.5)
        _place_axis(axes, places, logarithmic=logarithmic)
        axes.set_xlabel(label)
        axes.set_ylabel("word error rate")
        axes.set_ylim(bottom=0)
        drawn.subplots_adjust(0.13, 0.15, 0.97, 0.97)
        rates = ", ".join(f"{it.row} {it.words[length].rate:.3f}" for it in rows)
        return Markup(inline(svg(drawn, name), name, f"Word error rates: {rates}", _COLOURS))


def _point(axes: Axes, row: TableRow, place: float, length: str) -> None:
    """Plot a rate with the interval of its difference from the teacher, and label it."""
    words, colour = row.words[length], (FIXED if row.input_independent else LOOKING).light
    gap = words.above_teacher
    below, above = (gap.estimate - gap.low, gap.high - gap.estimate) if gap else (0.0, 0.0)
    axes.vlines(place, words.rate - below, words.rate + above, color=colour, linewidth=1.2)
    axes.plot(place, words.rate, "o", color=colour, markersize=5)
    axes.annotate(row.row, (place, words.rate), xytext=(6, 3), textcoords="offset points", fontsize=8.5)


def _place_axis(axes: Axes, places: Sequence[float], *, logarithmic: bool) -> None:
    """Set ticks in plain numbers and room for the labels at the right."""
    if not logarithmic:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(min(places) - 0.3, max(places) + 0.8)
        return
    axes.set_xscale("log")
    axes.set_xlim(min(places) / 1.3, max(places) * 1.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
