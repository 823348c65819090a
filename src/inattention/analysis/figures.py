"""Figures of attention maps, of the width of a column or a page: the study's Figs. 2, 4 and 6, and three more.

Categories and heads differ by colour and also by number, shape or label.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from inattention.analysis.capture import Captured
from inattention.analysis.map_images import COLOURS, shades, shrink
from inattention.analysis.measures import CATEGORIES, categorise, measure
from inattention.analysis.projection import Projection
from inattention.plotting import GRID, INK, MUTED, PALETTE, PAPER, figure, png, svg

COLUMN, PAGE = 252.0, 510.0  # widths in points: one of two columns, and both
CATEGORY_COLOURS = {
    name: PALETTE[colour] for name, colour in zip(CATEGORIES, ("blue", "orange", "red", "green", "grey"), strict=True)
}
_HATCHES = dict(zip(CATEGORIES, ("", "////", "\\\\\\\\", "....", ""), strict=True))
_HEAD_COLOURS = tuple(PALETTE[name].light for name in ("blue", "orange", "green", "red", "purple", "black"))
_HEAD_MARKERS = ("o", "^", "s", "D", "v", "P")
_SMALL = {"font.size": 8.0, "axes.titlesize": 8.5, "hatch.linewidth": 0.5}


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        name: name of its files.
        title: description, for a caption and for screen readers.
        svg: with text as text.
        png: at 300 dots per inch.
    """

    name: str
    title: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Moment:
    """Heads by category at one moment of training.

    Attributes:
        step: number of training steps.
        counts: number of heads of each of `CATEGORIES`.
    """

    step: int
    counts: Int[np.ndarray, " categories"]


def before_and_after(before: Captured, after: Captured, layer: int) -> Drawn:
    """Draw the mean map of each head before and after pre-training (Fig. 2), six heads per line.

    Args:
        before: capture of the encoder before training.
        after: capture of the trained encoder.
        layer: layer, from 0.
    """
    maps = [(words, captured.mean[layer]) for words, captured in (("before", before), ("after", after))]
    heads = len(maps[0][1])
    a_line = min(heads, 6)
    lines = -(-heads // a_line)
    with figure(PAGE, 16 + lines * 190 * 6 / a_line, **_SMALL) as drawn:
        axes = drawn.subplots(2 * lines, a_line, squeeze=False)
        for one in axes.flat:
            one.axis("off")
        for row, (words, of_heads) in enumerate(maps):
            for head, weights in enumerate(of_heads):
                one = axes[2 * (head // a_line) + row, head % a_line]
                _tile(one, weights)
                if not row:
                    one.set_title(f"head {head + 1}", pad=3)
                if not head % a_line:
                    one.text(-0.08, 0.5, words, transform=one.transAxes, rotation=90, ha="center", va="center")
        drawn.subplots_adjust(left=0.04, right=0.995, top=1 - 18 / (16 + lines * 190), bottom=0.01, wspace=0.06)
        title = f"Mean maps of each head in layer {layer + 1}, before and after pre-training."
        return _finish(drawn, "maps-before-after", title)


def typical_maps(captured: Captured) -> Drawn:
    """Draw a typical single map of each category that occurs (Fig. 4)."""
    found = [(name, place) for name in CATEGORIES if (place := typical(captured, name)) is not None]
    with figure(COLUMN if len(found) < 4 else PAGE, 118 if len(found) < 4 else 136, **_SMALL) as drawn:
        axes = drawn.subplots(1, max(1, len(found)), squeeze=False)[0]
        for one, (name, (utterance, layer, head)) in zip(axes, found, strict=False):
            _tile(one, captured.singles[utterance].maps[layer, head].astype(np.float32))
            one.set_title(name, pad=14, color=CATEGORY_COLOURS[name].light if name != "mixed" else INK, weight="bold")
            one.text(
                0.5, 1.03, f"layer {layer + 1}, head {head + 1}", transform=one.transAxes, ha="center", color=MUTED
            )
        if not found:
            axes[0].axis("off")
        drawn.subplots_adjust(left=0.02, right=0.98, top=0.78, bottom=0.02, wspace=0.08)
        names = ", ".join(name for name, _ in found)
        return _finish(drawn, "maps-typical", f"A typical map of each category found: {names or 'none'}.")


def typical(captured: Captured, category: str) -> tuple[int, int, int] | None:
    """Return the most typical single map of a category.

    It is the one nearest to the mean of its category, in the head with most maps of that category.

    Returns:
        Its indices among single maps, layers and heads; None if no single map is of the category.
    """
    if not captured.singles:
        return None
    wanted = CATEGORIES.index(category)
    for layer, head in _most_first(captured.categories[..., wanted]):
        maps = np.stack([single.maps[layer, head] for single in captured.singles]).astype(np.float32)
        of_kind = np.flatnonzero(categorise(measure(maps)) == wanted)
        if len(of_kind):
            distances = np.square(maps[of_kind] - maps[of_kind].mean(0)).sum((-1, -2))
            return int(of_kind[distances.argmin()]), layer, head
    return None


def plane(projection: Projection) -> Drawn:
    """Draw the points of t-SNE, coloured by head (Fig. 6)."""
    heads = int(projection.heads.max()) + 1
    lines = -(-heads // 6)
    with figure(COLUMN, 216 + 11 * lines, **_SMALL) as drawn:
        low = (14 + 11 * lines) / (216 + 11 * lines)
        axes = drawn.add_axes((0.02, low, 0.96, 0.99 - low))
        for head in range(heads):
            points = projection.points[projection.heads == head]
            label = f"head {head + 1}"
            axes.plot(points[:, 0], points[:, 1], **_head_style(head), linestyle="none", alpha=0.8, label=label)
        for head in range(heads):
            points = projection.points[projection.heads == head]
            middle = np.median(points, axis=0)
            nearest = points[np.square(points - middle).sum(1).argmin()]  # inside a cluster, also where a head has two
            axes.text(
                nearest[0], nearest[1], str(head + 1), ha="center", va="center", weight="bold", zorder=5, color=INK
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.06)
        for side in axes.spines.values():
            side.set(visible=True, color=GRID)
        utterances = int((projection.heads == 0).sum())
        settings = f"layer {projection.layer + 1}, {utterances} utterances, PCA to {len(projection.explained)}, "
        settings += f"t-SNE perplexity {projection.perplexity:.3g}, seed {projection.seed}"
        drawn.text(0.02, 0.012, settings, color=MUTED, fontsize=6)
        drawn.legend(
            loc="lower left", bbox_to_anchor=(0.0, 9 / (216 + 11 * lines)), ncols=6, fontsize=6, frameon=False,
            borderpad=0.1, columnspacing=0.9, handletextpad=0.0, labelspacing=0.35,
        )  # fmt: skip
        title = f"Single maps laid out by PCA and t-SNE, coloured and numbered by head ({settings})."
        return _finish(drawn, "tsne", title)


def explained_variance(projection: Projection) -> Drawn:
    """Draw the share of variance that the components of PCA explain, each and cumulated."""
    places = np.arange(1, len(projection.explained) + 1)
    together = projection.explained.cumsum()
    with figure(COLUMN, 150, **_SMALL) as drawn:
        axes = drawn.add_axes((0.15, 0.21, 0.82, 0.74))
        axes.bar(places, projection.explained, color=PALETTE["blue"].light, width=0.8)
        axes.plot(places, together, color=PALETTE["orange"].light, linewidth=1.5)
        axes.text(places[-1], together[-1] - 0.05, "together", ha="right", va="top", color="#96500a")
        axes.text(len(places) / 2, float(projection.explained[len(places) // 2]) + 0.02, "each", va="bottom", color=INK)
        axes.set_ylim(0, 1.02)
        axes.set_xlim(0.3, len(places) + 0.7)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.grid(axis="y")
        axes.set_xlabel("principal component")
        title = (
            f"Variance of layer {projection.layer + 1}'s single maps that {len(places)} principal components explain:"
        )
        return _finish(drawn, "explained-variance", f"{title} {100 * together[-1]:.0f} % together.")


def over_training(moments: Sequence[Moment]) -> Drawn:
    """Draw the number of heads of each category at several training steps."""
    with figure(COLUMN, 170, **_SMALL) as drawn:
        axes = drawn.add_axes((0.13, 0.2, 0.6, 0.75))
        bottom = np.zeros(len(moments))
        for place, name in enumerate(CATEGORIES):
            counts = np.array([moment.counts[place] for moment in moments], dtype=float)
            axes.bar(
                range(len(moments)), counts, bottom=bottom, width=0.7, label=name, color=CATEGORY_COLOURS[name].light,
                hatch=_HATCHES[name], edgecolor=PAPER, linewidth=0.6,
            )  # fmt: skip
            bottom += counts
        axes.set_xticks(range(len(moments)), [f"{moment.step:,}" for moment in moments])
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("steps of training")
        axes.set_ylabel("heads")
        handles, labels = axes.get_legend_handles_labels()
        axes.legend(
            handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False,
            handlelength=1.2, handleheight=1.2,
        )  # fmt: skip
        last = ", ".join(f"{n} {name}" for name, n in zip(CATEGORIES, moments[-1].counts, strict=True) if n)
        return _finish(drawn, "over-training", f"Heads by category over training; at the end {last}.")


def dependence(captured: Captured) -> Drawn:
    """Draw the input dependence of each head, with one line per layer and one column per head."""
    values = captured.input_dependence
    layers, heads = values.shape
    width = COLUMN if heads <= 12 else PAGE
    cell = (width - 34) / heads
    tall = layers * max(min(cell, 22), 13)
    with figure(width, tall + 46, **_SMALL) as drawn:
        axes = drawn.add_axes((30 / width, 12 / (tall + 46), (width - 34) / width, tall / (tall + 46)))
        axes.imshow(np.nan_to_num(values), cmap="cividis", vmin=0, vmax=1, aspect="auto")
        size = min(6.5, cell * 0.36)
        for layer, head in np.ndindex(layers, heads):
            value = values[layer, head]
            text = "\N{EN DASH}" if np.isnan(value) else f"{value:.2f}".removeprefix("0") if value < 0.995 else "1"
            axes.text(head, layer, text, ha="center", va="center", fontsize=size, color=INK if value > 0.5 else "white")
        axes.set_xticks(range(heads), [str(head + 1) for head in range(heads)])
        axes.set_yticks(range(layers), [str(layer + 1) for layer in range(layers)])
        axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
        axes.set_xlabel("head")
        axes.xaxis.set_label_position("top")
        axes.set_ylabel("layer")
        for side in axes.spines.values():
            side.set_visible(False)
        title = (
            "Input dependence of each head: the share of its maps' variation that their mean does not explain, from 0 "
        )
        title += f"(a fixed map) to 1; mean {np.nanmean(values):.2f}." if np.isfinite(values).any() else "to 1."
        return _finish(drawn, "input-dependence", title, halo=False)


def _finish(drawn: Figure, name: str, title: str, *, halo: bool = True) -> Drawn:
    return Drawn(name, title, svg(drawn, name, halo=halo), png(drawn))


def _tile(axes: Axes, weights: Float[np.ndarray, "time time"]) -> None:
    axes.imshow(shades(shrink(weights)), cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest")
    axes.axis("off")


def _head_style(head: int) -> dict[str, Any]:
    return {
        "marker": _HEAD_MARKERS[(head // len(_HEAD_COLOURS)) % len(_HEAD_MARKERS)],
        "color": _HEAD_COLOURS[head % len(_HEAD_COLOURS)],
        "markersize": 3.6,
        "markeredgecolor": PAPER,
        "markeredgewidth": 0.3,
    }


def _most_first(counts: Int[np.ndarray, "layers heads"]) -> list[tuple[int, int]]:
    """Return layer and head of each head with any, in descending order."""
    order = np.argsort(-counts, axis=None, kind="stable")
    places = [divmod(int(place), counts.shape[1]) for place in order]
    return [(layer, head) for layer, head in places if counts[layer, head]]
