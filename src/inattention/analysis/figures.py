"""Figures of attention maps, at a column's or a page's width: after the study's Figs. 2, 4 and 6, and three of our own.

Categories and heads are told apart by colour and, again, by number, shape or word: colours keep apart under the
common forms of colour blindness.
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
from inattention.plotting import GRID, INK, MUTED, PAPER, figure, png, svg

COLUMN, PAGE = 252.0, 510.0  # widths in points: a column of two, and both
CATEGORY_COLOURS = dict(zip(CATEGORIES, ("#1a4d9e", "#c96a0a", "#8f1230", "#239a5c", "#85878e"), strict=True))
_HATCHES = dict(zip(CATEGORIES, ("", "////", "\\\\\\\\", "....", ""), strict=True))
_HEAD_COLOURS = ("#1a4d9e", "#c96a0a", "#239a5c", "#8f1230", "#9440d8", "#2b2e35")
_HEAD_MARKERS = ("o", "^", "s", "D", "v", "P")
_SMALL = {"font.size": 8.0, "axes.titlesize": 8.5, "hatch.linewidth": 0.5}


@dataclass(frozen=True)
class Drawn:
    """A figure.

    Attributes:
        name: of its files.
        title: what it shows, in words, for a caption and for those who do not see it.
        svg: with words that are words.
        png: at 300 dots an inch.
    """

    name: str
    title: str
    svg: str
    png: bytes


@dataclass(frozen=True)
class Moment:
    """Heads by category at one moment of training.

    Attributes:
        step: of training.
        counts: heads of each of `CATEGORIES`.
    """

    step: int
    counts: Int[np.ndarray, " categories"]


def before_and_after(before: Captured, after: Captured, layer: int) -> Drawn:
    """Draw each head's mean map before and after pre-training (Fig. 2), as many heads a line as can be seen."""
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
    """Draw a typical single map of each category that was found (Fig. 4)."""
    found = [(name, place) for name in CATEGORIES if (place := typical(captured, name)) is not None]
    with figure(COLUMN if len(found) < 4 else PAGE, 118 if len(found) < 4 else 136, **_SMALL) as drawn:
        axes = drawn.subplots(1, max(1, len(found)), squeeze=False)[0]
        for one, (name, (utterance, layer, head)) in zip(axes, found, strict=False):
            _tile(one, captured.singles[utterance].maps[layer, head].astype(np.float32))
            one.set_title(name, pad=14, color=CATEGORY_COLOURS[name] if name != "mixed" else INK, weight="bold")
            one.text(
                0.5, 1.03, f"layer {layer + 1}, head {head + 1}", transform=one.transAxes, ha="center", color=MUTED
            )
        if not found:
            axes[0].axis("off")
        drawn.subplots_adjust(left=0.02, right=0.98, top=0.78, bottom=0.02, wspace=0.08)
        names = ", ".join(name for name, _ in found)
        return _finish(drawn, "maps-typical", f"A typical map of each category found: {names or 'none'}.")


def typical(captured: Captured, category: str) -> tuple[int, int, int] | None:
    """Find the map nearest to its fellows: of the head with most maps of a category, the one nearest to their mean.

    Returns:
        Places among the single maps, the layers and the heads; None if no single map is of the category.
    """
    if not captured.singles:
        return None
    wanted = CATEGORIES.index(category)
    for layer, head in _most_first(captured.categories[..., wanted]):
        maps = np.stack([single.maps[layer, head] for single in captured.singles]).astype(np.float32)
        of_kind = np.flatnonzero(categorise(measure(maps)) == wanted)
        if len(of_kind):
            apart = np.square(maps[of_kind] - maps[of_kind].mean(0)).sum((-1, -2))
            return int(of_kind[apart.argmin()]), layer, head
    return None


def plane(projection: Projection, *, components: int | None = None) -> Drawn:
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
            nearest = points[np.square(points - middle).sum(1).argmin()]  # amid points, where a head has two clusters
            axes.text(
                nearest[0], nearest[1], str(head + 1), ha="center", va="center", weight="bold", zorder=5, color=INK
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.06)
        for side in axes.spines.values():
            side.set(visible=True, color=GRID)
        utterances = int((projection.heads == 0).sum())
        used = len(projection.explained) if components is None else components
        settings = f"layer {projection.layer + 1}, {utterances} utterances, PCA to {used}, t-SNE perplexity "
        settings += f"{projection.perplexity:.3g}, seed {projection.seed}"
        drawn.text(0.02, 0.012, settings, color=MUTED, fontsize=6)
        drawn.legend(
            loc="lower left", bbox_to_anchor=(0.0, 9 / (216 + 11 * lines)), ncols=6, fontsize=6, frameon=False,
            borderpad=0.1, columnspacing=0.9, handletextpad=0.0, labelspacing=0.35,
        )  # fmt: skip
        title = f"Single maps laid out by PCA and t-SNE, coloured and numbered by head ({settings})."
        return _finish(drawn, "tsne", title)


def explained_variance(projection: Projection) -> Drawn:
    """Draw the share of variance that PCA's components explain, each and together."""
    places = np.arange(1, len(projection.explained) + 1)
    together = projection.explained.cumsum()
    with figure(COLUMN, 150, **_SMALL) as drawn:
        axes = drawn.add_axes((0.15, 0.21, 0.82, 0.74))
        axes.bar(places, projection.explained, color=CATEGORY_COLOURS["diagonal"], width=0.8)
        axes.plot(places, together, color=CATEGORY_COLOURS["increasing"], linewidth=1.5)
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
    """Draw heads by category at each step of training that was kept."""
    with figure(COLUMN, 170, **_SMALL) as drawn:
        axes = drawn.add_axes((0.13, 0.2, 0.6, 0.75))
        bottom = np.zeros(len(moments))
        for place, name in enumerate(CATEGORIES):
            counts = np.array([moment.counts[place] for moment in moments], dtype=float)
            axes.bar(
                range(len(moments)), counts, bottom=bottom, width=0.7, label=name, color=CATEGORY_COLOURS[name],
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
    """Draw how much each head's maps depend on the input, layers down and heads across."""
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
        title = "Input dependence of each head: the share of its maps' spread that their mean does not explain, from 0 "
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
    """Heads with any, those with most first."""
    order = np.argsort(-counts, axis=None, kind="stable")
    places = [divmod(int(place), counts.shape[1]) for place in order]
    return [(layer, head) for layer, head in places if counts[layer, head]]
