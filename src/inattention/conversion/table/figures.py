"""Figures over many conversions: word errors against time, and against the number of replaced layers."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from inattention.conversion.table.records import ConversionRecord
from inattention.conversion.table.rows import KEPT, LARGEST, Table, TableRow
from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, inline, svg

FIXED, LOOKING = PALETTE["blue"], PALETTE["orange"]
_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_COLOURS |= {FIXED.light: "var(--fixed)", LOOKING.light: "var(--looking)"}
_WIDTH, _HEIGHT = 460, 320  # pixels
_LETTER, _LINE = 5.0, 10.5  # points, of labels


def frontier(table: Table, length: str, seconds: int) -> Markup | None:
    """Draw word error rates against the encoder's time on some seconds of speech; None if neither was measured.

    Args:
        table: the table.
        length: what the encoder is fed, ``own`` or ``30``.
        seconds: of speech.
    """
    rows = [it for it in table.rows if length in it.words and seconds in it.times]
    places = [it.times[seconds][0] for it in rows]
    label = f"encoder time on {seconds} s of speech, share of the teacher's"
    return _draw(table, rows, places, length, label, f"frontier-{length}-{seconds}", logarithmic=True) if rows else None


def by_layers(table: Table, length: str) -> Markup | None:
    """Draw word error rates against the number of replaced layers; None unless some rows replace a part."""
    rows = [it for it in table.rows if length in it.words and it.row.split(",")[0] in (LARGEST, KEPT)]
    if len({it.replaced for it in rows if it.row.split(",")[0] == LARGEST}) < 2:
        return None
    places = [float(it.replaced) for it in rows]
    return _draw(table, rows, places, length, f"replaced layers of {table.layers}", f"layers-{length}")


def by_stages(records: Sequence[ConversionRecord]) -> Markup | None:
    """Draw what each conversion layer by layer adds to the teacher's word error rate, stage by stage; None without any.

    These are the rates on the held-out lines that the conversions were bounded by, with their paired intervals.
    """
    found = [it for it in records if it.conversion.get("stages") and all(map(_has_words, it.conversion["stages"]))]
    if not found:
        return None
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        axes.axhline(0, linestyle=(0, (4, 3)), linewidth=1, color=MUTED)
        for number, record in enumerate(found):
            colour = (FIXED if record.input_independent else LOOKING).light
            stages = record.conversion["stages"]
            places = [it["stage"] + 0.08 * (number - (len(found) - 1) / 2) for it in stages]
            middle, low, high = zip(*(it["words"]["difference"] for it in stages), strict=True)
            axes.vlines(places, low, high, color=colour, linewidth=1.2)
            axes.plot(places, middle, "o-", color=colour, markersize=5, linewidth=1.4)
            at = (places[-1], middle[-1])
            axes.annotate(record.row, at, xytext=(6, 3), textcoords="offset points", fontsize=8.5)
        _place_axis(
            axes, [float(it["stage"]) for record in found for it in record.conversion["stages"]], logarithmic=False
        )
        axes.set_xlabel(f"replaced layers of {found[0].layers}")
        axes.set_ylabel("word error rate minus teacher's")
        drawn.subplots_adjust(0.15, 0.15, 0.97, 0.97)
        last = ", ".join(f"{it.row} {it.conversion['stages'][-1]['words']['difference'][0]:+.3f}" for it in found)
        return Markup(
            inline(svg(drawn, "stages"), "stages", f"Word error rates after the last stage: {last}", _COLOURS)
        )


def _has_words(stage: Mapping[str, Any]) -> bool:
    return bool(stage["words"] and stage["words"]["difference"])


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
        _references(axes, table, length)
        for row, place in zip(rows, places, strict=True):
            _point(axes, row, place, length)
        _place_axis(axes, places, logarithmic=logarithmic)
        axes.set_xlabel(label)
        axes.set_ylabel("word error rate")
        axes.set_ylim(bottom=0)
        drawn.subplots_adjust(0.13, 0.15, 0.97, 0.97)
        _name_points(axes, [(it.row, place, it.words[length].rate) for it, place in zip(rows, places, strict=True)])
        rates = ", ".join(f"{it.row} {it.words[length].rate:.3f}" for it in rows)
        return Markup(inline(svg(drawn, name), name, f"Word error rates: {rates}", _COLOURS))


def _references(axes: Axes, table: Table, length: str) -> None:
    """Draw the rates of the teacher and of kept query-key attention, distilled in the same way, as lines."""
    if table.teacher:
        _reference(axes, table.teacher[0], "teacher", MUTED)
    kept = table.kept(length)
    if kept:
        _reference(axes, kept.words[length].rate, "qk kept", LOOKING.light)


def _reference(axes: Axes, rate: float, name: str, colour: str) -> None:
    axes.axhline(rate, linestyle=(0, (4, 3)), linewidth=1, color=colour)
    at = (1, rate)
    axes.annotate(name, at, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8.5, color=colour)


def _point(axes: Axes, row: TableRow, place: float, length: str) -> None:
    """Plot a rate with the interval of its difference from the teacher."""
    words, colour = row.words[length], (FIXED if row.input_independent else LOOKING).light
    gap = words.above_teacher
    below, above = (gap.estimate - gap.low, gap.high - gap.estimate) if gap else (0.0, 0.0)
    axes.vlines(place, words.rate - below, words.rate + above, color=colour, linewidth=1.2)
    axes.plot(place, words.rate, "o", color=colour, markersize=5)


def _name_points(axes: Axes, points: Sequence[tuple[str, float, float]]) -> None:
    """Write names beside points, (name, x, y), each so much higher that none covers another."""
    drawn = axes.get_figure(root=True)
    assert drawn is not None
    scale = drawn.dpi / 72
    pixels = axes.transData.transform([(x, y) for _, x, y in points]) / scale
    taken: list[tuple[float, float, float]] = []
    for place in sorted(range(len(points)), key=lambda it: (pixels[it][1], pixels[it][0])):
        name, x, y = points[place]
        left, height = pixels[place][0], pixels[place][1] + 3
        right = left + _LETTER * len(name)
        while hit := [at for low, high, at in taken if low < right and left < high and abs(at - height) < _LINE]:
            height = max(hit) + _LINE
        taken.append((left, right, height))
        offset = (6, height - pixels[place][1])
        axes.annotate(name, (x, y), xytext=offset, textcoords="offset points", fontsize=8.5)


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
