"""Figures over many conversions: word errors against time, and against the number of replaced layers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from inattention.conversion.table.records import ConversionRecord
from inattention.conversion.table.rows import KEPT, LARGEST, Table, TableRow, WordCells
from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, inline, svg
from inattention.plotting.labels import name_points
from inattention.plotting.ticks import logarithmic_ticks

FIXED, LOOKING = PALETTE["blue"], PALETTE["orange"]
_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_COLOURS |= {FIXED.light: "var(--fixed)", LOOKING.light: "var(--looking)"}
_WIDTH, _HEIGHT = 460, 320  # pixels

Bar = tuple[float, float, float]  # place, low, high


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
        bars: list[Bar] = []
        ends: list[tuple[float, float]] = []
        for number, record in enumerate(found):
            colour = (FIXED if record.input_independent else LOOKING).light
            stages = record.conversion["stages"]
            places = [it["stage"] + 0.08 * (number - (len(found) - 1) / 2) for it in stages]
            middle, low, high = zip(*(it["words"]["difference"] for it in stages), strict=True)
            axes.vlines(places, low, high, color=colour, linewidth=1.2)
            axes.plot(places, middle, "o-", color=colour, markersize=5, linewidth=1.4)
            bars += list(zip(places, low, high, strict=True))
            ends.append((places[-1], middle[-1]))
        _place_axis(
            axes, [float(it["stage"]) for record in found for it in record.conversion["stages"]], logarithmic=False
        )
        axes.set_xlabel(f"replaced layers of {found[0].layers}")
        axes.set_ylabel("word error rate minus teacher's")
        drawn.subplots_adjust(0.15, 0.15, 0.97, 0.97)
        _name_points(drawn, axes, [it.row for it in found], ends, bars, [0.0])
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
        levels = _references(axes, table, length)
        for row, place in zip(rows, places, strict=True):
            _point(axes, row, place, length)
        _place_axis(axes, places, logarithmic=logarithmic)
        axes.set_xlabel(label)
        axes.set_ylabel("word error rate")
        axes.set_ylim(bottom=0)
        drawn.subplots_adjust(0.13, 0.15, 0.97, 0.97)
        words = [it.words[length] for it in rows]
        bars = [(place, *_interval(it)) for place, it in zip(places, words, strict=True)]
        points = [(place, it.rate) for place, it in zip(places, words, strict=True)]
        _name_points(drawn, axes, [it.row for it in rows], points, bars, levels)
        rates = ", ".join(f"{it.row} {it.words[length].rate:.3f}" for it in rows)
        return Markup(inline(svg(drawn, name), name, f"Word error rates: {rates}", _COLOURS))


def _references(axes: Axes, table: Table, length: str) -> list[float]:
    """Draw the rates of the teacher and of kept query-key attention, distilled in the same way; return the rates."""
    found = []
    if table.teacher:
        found.append((table.teacher[0], "teacher", MUTED))
    if kept := table.kept(length):
        found.append((kept.words[length].rate, "qk kept", LOOKING.light))
    for it in found:
        _reference(axes, *it)
    return [rate for rate, _, _ in found]


def _reference(axes: Axes, rate: float, name: str, colour: str) -> None:
    axes.axhline(rate, linestyle=(0, (4, 3)), linewidth=1, color=colour)
    at = (1, rate)
    axes.annotate(name, at, xycoords=("axes fraction", "data"), ha="right", va="bottom", fontsize=8.5, color=colour)


def _point(axes: Axes, row: TableRow, place: float, length: str) -> None:
    """Plot a rate with the interval of its difference from the teacher."""
    words, colour = row.words[length], (FIXED if row.input_independent else LOOKING).light
    axes.vlines(place, *_interval(words), color=colour, linewidth=1.2)
    axes.plot(place, words.rate, "o", color=colour, markersize=5)


def _interval(words: WordCells) -> tuple[float, float]:
    """Return the interval of the difference from the teacher, around the rate."""
    gap = words.above_teacher
    below, above = (gap.low - gap.estimate, gap.high - gap.estimate) if gap else (0.0, 0.0)
    return words.rate + below, words.rate + above


def _name_points(
    drawn: Figure,
    axes: Axes,
    names: Sequence[str],
    points: Sequence[tuple[float, float]],
    bars: Sequence[Bar],
    levels: Sequence[float],
) -> None:
    """Write names beside points, clear of bars and of horizontal lines, all in the units of the axes."""

    def pixels(x: float, y: float) -> tuple[float, float]:
        across, up = axes.transData.transform((x, y)).tolist()
        return across, up

    left, _, right, _ = axes.get_window_extent().extents
    lines = [pixels(points[0][0], level)[1] for level in levels]
    obstacles = [(left, y - 1, right, y + 1) for y in lines]
    for place, low, high in bars:
        (x, bottom), (_, top) = pixels(place, low), pixels(place, high)
        obstacles.append((x - 1.5, bottom, x + 1.5, top))
    name_points(drawn, axes, names, np.array([pixels(*it) for it in points]), np.array(obstacles), 8.5)


def _place_axis(axes: Axes, places: Sequence[float], *, logarithmic: bool) -> None:
    """Set ticks in plain numbers and room for the labels at the right."""
    if not logarithmic:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(min(places) - 0.3, max(places) + 0.8)
        return
    axes.set_xscale("log")
    low, high = min(places) / 1.3, max(places) * 1.8
    axes.set_xlim(low, high)
    logarithmic_ticks(axes.xaxis, low, high)
