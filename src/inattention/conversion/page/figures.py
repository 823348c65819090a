"""Figures of the page, as SVG in the page's colours."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator

from inattention.analysis.figures import CATEGORY_COLOURS
from inattention.analysis.measures import CATEGORIES
from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, inline, svg
from inattention.plotting.labels import name_points
from inattention.plotting.ticks import logarithmic_ticks

# What each series is drawn in, and the variable of the page's style for it.
SERIES = {"teacher": PALETTE["orange"], "student": PALETTE["blue"], "start": PALETTE["grey"]}
_COLOURS = {colour.light: f"var(--{name})" for name, colour in CATEGORY_COLOURS.items()}
_COLOURS |= {INK: "var(--ink)", MUTED: "var(--muted)", GRID: "var(--grid)", PAPER: "var(--paper)"}
_COLOURS |= {colour.light: f"var(--{name})" for name, colour in SERIES.items()}
_WIDTH, _HEIGHT = 430, 270  # pixels
MARKERS = dict(zip(CATEGORIES, "o^vsD", strict=True))
GLYPHS = dict(zip(CATEGORIES, "●▲▼■◆", strict=True))
_NAMED = 6  # heads whose numbers are in the figure


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


def stage_errors(stages: Sequence[Mapping[str, Any]], most: float | None) -> Markup:
    """Draw the relative error of the output against the number of replaced layers, before and after each stage.

    Args:
        stages: stages of a conversion layer by layer.
        most: greatest error that was allowed; None without such a bound.
    """
    places = [it["stage"] for it in stages]
    start, after = ([it["relative_error"][name] for it in stages] for name in ("start", "after"))
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        axes.vlines(places, after, start, color=GRID, linewidth=3)
        axes.plot(places, start, "o", color=SERIES["start"].light, markersize=6)
        _stage_points(axes, stages, after)
        if most is not None:
            axes.axhline(most, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        _logarithmic(axes, [*start, *after, *([] if most is None else [most])])
        _stage_axis(axes, stages, "relative error of the output")
        drawn.subplots_adjust(0.15, 0.17, 0.98, 0.96)
        values = ", ".join(f"{it['stage']} replaced: {error:.3g}" for it, error in zip(stages, after, strict=True))
        return _inline(svg(drawn, "stage-errors"), "stage-errors", f"Relative error by replaced layers: {values}")


def stage_words(stages: Sequence[Mapping[str, Any]], most: float | None) -> Markup:
    """Draw the word error rate against the number of replaced layers, with the interval of the teacher's difference.

    Args:
        stages: stages of a conversion layer by layer, with word error rates.
        most: greatest difference from the teacher that was allowed; None without such a bound.
    """
    words = [it["words"] for it in stages]
    rates = [it["student"]["word_error_rate"] for it in words]
    teacher = words[0]["teacher"]["word_error_rate"]
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        axes.axhline(teacher, color=SERIES["teacher"].light, linewidth=1.4)
        if most is not None:
            axes.axhline(teacher + most, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        for stage, it in zip(stages, words, strict=True):
            if it["difference"]:
                _, low, high = it["difference"]
                axes.vlines(stage["stage"], teacher + low, teacher + high, color=SERIES["student"].light, linewidth=1.2)
        _stage_points(axes, stages, rates)
        axes.grid(axis="y")
        axes.set_ylim(bottom=0)
        _stage_axis(axes, stages, "word error rate")
        drawn.subplots_adjust(0.15, 0.17, 0.98, 0.96)
        values = ", ".join(f"{it['stage']} replaced: {rate:.3f}" for it, rate in zip(stages, rates, strict=True))
        return _inline(svg(drawn, "stage-words"), "stage-words", f"Teacher {teacher:.3f}; {values}")


def _stage_points(axes: Axes, stages: Sequence[Mapping[str, Any]], values: Sequence[float]) -> None:
    """Plot a value for each stage, filled up to the stage that was kept, with the layer that it replaced."""
    colour = SERIES["student"].light
    kept = max((it["stage"] for it in stages if it["kept"]), default=0)
    axes.plot([it["stage"] for it in stages], values, "-", color=colour, linewidth=1.4)
    for it, value in zip(stages, values, strict=True):
        filled = colour if it["stage"] <= kept else PAPER
        axes.plot(it["stage"], value, "o", color=colour, markerfacecolor=filled, markersize=6)
        axes.annotate(f"+{it['layer']}", (it["stage"], value), xytext=(6, 3), textcoords="offset points", fontsize=8.5)


def _stage_axis(axes: Axes, stages: Sequence[Mapping[str, Any]], label: str) -> None:
    _label(axes, "replaced layers", label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    axes.set_xlim(0.5, len(stages) + 0.7)


def head_errors(heads: Sequence[Mapping[str, Any]], measure: str, label: str) -> Markup:
    """Draw the error that results from replacing each head alone against a measure of the head.

    Args:
        heads: heads of the teacher that were replaced alone.
        measure: name of the measure.
        label: of the axis.
    """
    with figure(_WIDTH, _HEIGHT) as drawn:
        axes = drawn.add_subplot()
        for category, marker in MARKERS.items():
            found = [it for it in heads if it["category"] == category]
            values = [[it[name] for it in found] for name in (measure, "error_alone")]
            axes.plot(*values, marker, color=CATEGORY_COLOURS[category].light, markersize=6, linestyle="none")
        _label(axes, label, "relative error of the output")
        _logarithmic(axes, [it["error_alone"] for it in heads])
        axes.set_xlim(-0.03, 1.08)
        drawn.subplots_adjust(0.17, 0.17, 0.98, 0.96)
        named = most_resistant(heads)[:_NAMED]
        dots = {id(it): axes.transData.transform((it[measure], it["error_alone"])) for it in heads}
        boxes = np.array([(x - 4, y - 4, x + 4, y + 4) for x, y in dots.values()])
        points = np.array([dots[id(it)] for it in named])
        name_points(drawn, axes, [f"{it['layer']}.{it['head']}" for it in named], points, boxes, 8.5)
        name = f"heads-{measure.replace('_', '-')}"
        values = ", ".join(f"{it['layer']}.{it['head']}: {it['error_alone']:.2g}" for it in most_resistant(heads))
        return _inline(svg(drawn, name), name, f"Error by layer and head: {values}")


def most_resistant(heads: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return heads that were replaced alone, those with the greatest error first."""
    return sorted((it for it in heads if it["error_alone"] is not None), key=lambda it: -it["error_alone"])


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
    logarithmic_ticks(axes.yaxis, low, high)
    axes.set_ylim(low, high)


def _inline(drawn: str, name: str, description: str) -> Markup:
    return Markup(inline(drawn, name, description, _COLOURS))
