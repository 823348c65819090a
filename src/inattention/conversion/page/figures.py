"""Figures of the page, as SVG in the page's colours."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, inline, svg

# What each series is drawn in, and the variable of the page's style for it.
SERIES = {"teacher": PALETTE["orange"], "student": PALETTE["blue"], "start": PALETTE["grey"]}
_COLOURS = {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_COLOURS |= {colour.light: f"var(--{name})" for name, colour in SERIES.items()}
_WIDTH, _HEIGHT = 430, 270  # pixels


def layer_errors(start: Sequence[float], after: Sequence[float]) -> Markup:
    """Draw the relative error of each layer before and after the distillation."""
    layers = range(len(after))
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        axes.vlines(layers, after, start, color=GRID, linewidth=3)
        for name, values in (("start", start), ("student", after)):
            axes.plot(layers, values, "o", color=SERIES[name].light, markersize=6)
        _label(axes, "layer", "relative error")
        _logarithmic(axes, [*start, *after])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        axes.set_xlim(-0.5, len(after) - 0.5)
        drawn.subplots_adjust(0.15, 0.17, 0.98, 0.96)
        values = ", ".join(f"{i}: {a:.3g} to {b:.3g}" for i, (a, b) in enumerate(zip(start, after, strict=True)))
        return _inline(svg(drawn, "layer-errors"), "layer-errors", f"Relative error by layer: {values}")


def held_out_curve(start: float, curve: Sequence[Mapping[str, float]]) -> Markup:
    """Draw the held-out error of the encoder's output over the steps of the distillation."""
    steps, errors = [0, *(it["step"] for it in curve)], [start, *(it["held_out"] for it in curve)]
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        axes.plot(steps, errors, "-", color=SERIES["student"].light, linewidth=1.8)
        axes.plot(steps[1:], errors[1:], "o", color=SERIES["student"].light, markersize=4)
        axes.plot(0, start, "o", color=SERIES["start"].light, markersize=6)
        _label(axes, "optimizer step", "relative error of the output")
        _logarithmic(axes, errors)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set_xlim(left=0)
        drawn.subplots_adjust(0.15, 0.17, 0.96, 0.96)
        text = f"Held-out error from {start:.3g} to {errors[-1]:.3g} after {steps[-1]} steps"
        return _inline(svg(drawn, "curve"), "curve", text)


def probe_curves(task: str, rows: Sequence[Mapping[str, Any]]) -> Markup:
    """Draw the accuracy of one probe at each layer of both encoders, with 95 % intervals."""
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        for name, shift in (("teacher", -0.06), ("student", 0.06)):
            places = [row["layer"] + shift for row in rows]
            found = [row[name] for row in rows]
            colour = SERIES[name].light
            axes.plot(places, [100 * it["accuracy"] for it in found], "o-", color=colour, markersize=5, linewidth=1.6)
            axes.vlines(places, [100 * it["low"] for it in found], [100 * it["high"] for it in found], color=colour)
        axes.axhline(100 * rows[0]["chance"], color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        _label(axes, "layer", "accuracy, %")
        axes.grid(axis="y")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
        axes.set_ylim(bottom=0)
        drawn.subplots_adjust(0.13, 0.17, 0.98, 0.96)
        values = ", ".join(
            f"layer {it['layer']}: teacher {100 * it['teacher']['accuracy']:.1f}, "
            f"converted {100 * it['student']['accuracy']:.1f}"
            for it in rows
        )
        return _inline(svg(drawn, f"probe-{task}"), f"probe-{task}", f"Accuracy in percent by layer: {values}")


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Set a logarithmic axis with ticks in plain numbers, unless a value is 0."""
    axes.grid(axis="y")
    if min(values) <= 0:
        axes.set_ylim(bottom=0)
        return
    low, high = min(values) / 1.25, max(values) * 1.25
    axes.set_yscale("log")
    ticks: list[float] = []
    for digits in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9), [it / 10 for it in range(10, 100)]):
        ticks = [digit * 10.0**power for power in range(-8, 9) for digit in digits]
        ticks = [it for it in ticks if low <= it <= high]
        if len(ticks) > 3:
            break
    axes.set_yticks(ticks[:: 1 + len(ticks) // 10])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(low, high)


def _inline(drawn: str, name: str, description: str) -> Markup:
    return Markup(inline(drawn, name, description, _COLOURS))
