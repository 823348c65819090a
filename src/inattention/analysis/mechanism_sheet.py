"""One sheet with masks and maps of all mechanisms: the paper's Figures 1 and 3, drawn from the code itself.

Every picture shows `weights` of a small mechanism, as initialised, for the same short synthetic sequence. Rows of a
picture are queries, columns keys. For mechanisms that exclude keys it shows the mask, for the others the weights. The
card of a mechanism selects the heads that are shown (`inattention.attention.base.Drawing`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float, UInt8
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inattention import attention
from inattention.analysis.map_images import POWER
from inattention.attention.registry import by_family
from inattention.attention.rows import Row, parse_row
from inattention.files import write_bytes
from inattention.plotting import GRID, INK, MUTED, PAPER, png, style, svg

STEPS = 36
HEADS = 12
HEAD_DIM = 8
# Factor of all linear maps: as initialised, they are so small that all weights would look the same.
ENLARGED = 5
# Lengths of the segments of the synthetic sequence, whose frames are similar, as those of a phone.
SEGMENTS = (5, 8, 4, 9, 6, 4)

# From light to dark, so that the order of weights does not depend on hue; signed maps add a second branch.
SHUT = "#f1f1ec"
WEIGHTS = LinearSegmentedColormap.from_list("weights", ["#e9f0fa", "#8db4dd", "#2f6cb3", "#0d2a5c"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#8a3f00", "#e08a2e", "#f6f4ef", "#5b93cf", "#0d2a5c"])

_STYLE = {"font.size": 10.0, "lines.solid_capstyle": "projecting"}
# In pixels.
_WIDTH, _MARGIN, _TITLES, _TILE, _GAP, _BETWEEN = 940, 20, 92, 62, 6, 24
_ABOVE, _BELOW, _FOOT = 34, 20, 62


@dataclass(frozen=True)
class Picture:
    """Map of one head.

    Attributes:
        caption: kind of the head; empty if all heads are of one kind.
        weights: its weights; None if the mechanism is no linear map over time.
        mask: whether to draw the allowed keys instead of the weights.
    """

    caption: str
    weights: Float[np.ndarray, "time time"] | None
    mask: bool


@dataclass(frozen=True)
class _Entry:
    """Position of a row on the sheet, in pixels from the top left corner."""

    row: Row
    pictures: tuple[Picture, ...]
    wide: float
    x: float = 0.0
    y: float = 0.0


def pictures_of(row: Row) -> tuple[Picture, ...]:
    """Return the maps of the heads that represent a row, from `weights` of its mechanism.

    >>> [picture.caption for picture in pictures_of(parse_row("sparse-strided"))]
    ['near', 'at strides']
    """
    card = attention.card(row.mechanism)
    if not card.linear_map:
        return (Picture("", None, mask=False),)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        options = {**card.drawing.options, **row.options}
        mechanism = attention.build(
            row.mechanism, width=HEADS * HEAD_DIM, heads=HEADS, max_length=STEPS, **options
        ).eval()
        mechanism = mechanism.double()  # so that no small weight is rounded to 0
        for module in mechanism.modules():
            if isinstance(module, torch.nn.Linear):
                module.weight.mul_(ENLARGED)
        kinds = torch.randn(len(SEGMENTS), HEADS * HEAD_DIM).repeat_interleave(torch.tensor(SEGMENTS), 0)
        hidden = (kinds + 0.5 * torch.randn(STEPS, HEADS * HEAD_DIM))[None]
        weights = mechanism.weights(hidden.double(), torch.ones(1, STEPS, dtype=torch.bool))[0].numpy()
    mask = card.drawing.mask
    chosen: list[Picture] = []
    seen: list[bytes] = []
    for head, caption in card.drawing.heads.items():
        shown = (weights[head] > 0 if mask else weights[head]).tobytes()
        if shown not in seen:
            seen.append(shown)
            chosen.append(Picture(caption, weights[head], mask))
    # With some options all heads are equal; then a caption has no meaning.
    return tuple(chosen) if len(chosen) > 1 else (replace(chosen[0], caption=""),)


def draw_sheet(rows: Sequence[str] = ()) -> Figure:
    """Draw rows by family, each with its name above and captions of its heads below.

    Args:
        rows: names of rows; defaults to every mechanism.

    Raises:
        ValueError: for a row that does not exist.
    """
    named = [parse_row(row) for row in rows or sorted(attention.mechanisms(), key=by_family)]
    parsed = list({row.name: row for row in named}.values())
    parsed.sort(key=lambda row: by_family(row.mechanism)[:2])  # stable: keeps the given order within a family
    with style(**_STYLE):
        measure = Figure((1, 1), dpi=72)
        entries = [_entry(measure, row) for row in parsed]
        placed, bands, height = _place(entries)
        figure = Figure((_WIDTH / 72, height / 72), dpi=72)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_xlim(0, _WIDTH)
        axes.set_ylim(height, 0)
        axes.set_axis_off()
        for family, top in bands.items():
            axes.plot([_MARGIN, _WIDTH - _MARGIN], [top, top], color=GRID, linewidth=0.8)
            title = (family[:1].upper() + family[1:]).replace("-", "-\n" if len(family) > 12 else "-")
            axes.text(_MARGIN, top + 17, title, fontsize=10, fontweight="bold", va="baseline")
        for entry in placed:
            _draw(axes, entry)
        _legend(axes, measure, height - _FOOT + 8)
        axes.set_aspect("auto")
    return figure


def save_sheet(path: Path, rows: Sequence[str] = ()) -> None:
    """Write the sheet to a file, atomically.

    Args:
        path: file name that ends in .svg, .png or .html.
        rows: names of rows; defaults to every mechanism.

    Raises:
        ValueError: for another suffix, or a row that does not exist.
    """
    if path.suffix not in (".svg", ".png", ".html"):
        raise ValueError(f"the sheet can be drawn as .svg, .png or .html, not as {path.name!r}")
    if path.suffix == ".png":
        with style(**_STYLE):
            content = png(draw_sheet(rows), dpi=144)
    else:
        text = sheet_svg(rows)
        content = (text if path.suffix == ".svg" else _page(text)).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def sheet_svg(rows: Sequence[str] = ()) -> str:
    """Return the sheet as SVG, with text as text and one pixel per weight.

    Args:
        rows: names of rows; defaults to every mechanism.

    Raises:
        ValueError: for a row that does not exist.
    """
    with style(**_STYLE):
        return svg(draw_sheet(rows), "mechanisms", halo=False)


def _page(sheet: str) -> str:
    title = escape("Masks and maps of each attention mechanism")
    css = f"body{{margin:0;background:{PAPER}}}svg{{display:block;margin:auto;max-width:100%;height:auto}}"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{css}</style>\n{sheet[sheet.index('<svg') :]}</html>\n"
    )


def _entry(measure: Figure, row: Row) -> _Entry:
    pictures = pictures_of(row)
    tiles = len(pictures) * (_TILE + _GAP) - _GAP
    texts = [_wide(measure, row.name, 8.5, "bold"), _wide(measure, attention.card(row.mechanism).label, 8)]
    return _Entry(row, pictures, max(tiles, *texts))


def _place(entries: Sequence[_Entry]) -> tuple[list[_Entry], dict[str, float], float]:
    """Return the positioned entries with each family on lines of its own, the tops of families, and the height."""
    placed: list[_Entry] = []
    bands: dict[str, float] = {}
    line = _ABOVE + _TILE + _BELOW
    y = float(_MARGIN) - line
    x = 0.0
    for entry in entries:
        family = attention.card(entry.row.mechanism).family
        if family not in bands:
            y += line
            bands[family] = y
            x = _MARGIN + _TITLES
        elif x + entry.wide > _WIDTH - _MARGIN:
            y += line
            x = _MARGIN + _TITLES
        placed.append(replace(entry, x=x, y=y))
        x += entry.wide + _BETWEEN
    return placed, bands, y + line + _FOOT


def _draw(axes: Axes, entry: _Entry) -> None:
    axes.text(entry.x, entry.y + 15, entry.row.name, fontsize=8.5, fontweight="bold")
    axes.text(entry.x, entry.y + 27, attention.card(entry.row.mechanism).label, fontsize=8, color=MUTED)
    top = entry.y + _ABOVE
    for place, picture in enumerate(entry.pictures):
        left = entry.x + place * (_TILE + _GAP)
        if picture.weights is None:
            axes.text(
                left + _TILE / 2,
                top + _TILE / 2,
                "no map\nover time",
                fontsize=8,
                color=MUTED,
                ha="center",
                va="center",
            )
        else:
            _tile(axes, picture, left, top)
        axes.add_patch(Rectangle((left, top), _TILE, _TILE, fill=False, edgecolor=MUTED, linewidth=0.5))
        axes.text(left + _TILE / 2, top + _TILE + 10, picture.caption, fontsize=7.5, color=MUTED, ha="center")


def pixels_of(picture: Picture) -> UInt8[np.ndarray, "time time channels"]:
    """Return a map as colours, one pixel per weight; colour follows the root of the weight over the largest of the map.

    Args:
        picture: the map of a mechanism that has weights.

    >>> pixels_of(pictures_of(parse_row("none"))[0]).shape
    (36, 36, 4)
    """
    assert picture.weights is not None
    size = np.abs(picture.weights)
    share = np.sign(picture.weights) * (size / max(float(size.max()), 1e-30)) ** POWER
    if (picture.weights < -1e-9).any():
        colours = SIGNED((share + 1) / 2)
    else:
        colours = WEIGHTS(np.ones_like(share) * 0.78) if picture.mask else WEIGHTS(share)
        colours[picture.weights == 0] = mpl.colors.to_rgba(SHUT)
    return np.round(255 * colours).astype(np.uint8)


def _tile(axes: Axes, picture: Picture, left: float, top: float) -> None:
    axes.imshow(pixels_of(picture), extent=(left, left + _TILE, top + _TILE, top), interpolation="none", zorder=1)


def _legend(axes: Axes, measure: Figure, y: float) -> None:
    """Draw the legend of the colours."""
    axes.plot([_MARGIN, _WIDTH - _MARGIN], [y - 4, y - 4], color=GRID, linewidth=0.8)
    x = float(_MARGIN)
    middle = y + 14

    def write(text: str, after: float) -> None:
        nonlocal x
        axes.text(x, middle, text, fontsize=8, color=INK, va="center")
        x += _wide(measure, text, 8) + after

    for colour, text in ((WEIGHTS(0.78), "key allowed"), (SHUT, "key excluded")):
        axes.add_patch(Rectangle((x, middle - 5), 10, 10, facecolor=colour, edgecolor=MUTED, linewidth=0.5))
        x += 15
        write(text, _BETWEEN)
    for colours, ends in ((WEIGHTS, ("weight 0", "largest of its map")), (SIGNED, ("negative", "positive"))):
        write(ends[0], 6)
        bar = np.round(255 * colours(np.linspace(0, 1, 64))[None]).astype(np.uint8)
        axes.imshow(bar, extent=(x, x + 90, middle + 5, middle - 5), interpolation="none")
        x += 96
        write(ends[1], _BETWEEN)
    axes.text(
        _MARGIN,
        y + 34,
        f"Rows are queries, columns keys, of one synthetic sequence of {STEPS} frames; {HEADS} heads as initialised, "
        f"linear maps enlarged {ENLARGED} times. Colour follows the root of the weight.",
        fontsize=8,
        color=MUTED,
        va="center",
    )


def _wide(figure: Figure, text: str, fontsize: float, fontweight: str = "normal") -> float:
    """Return the width of a label in pixels."""
    label = figure.text(0, 0, text, fontsize=fontsize, fontweight=fontweight)
    width = label.get_window_extent().width
    label.remove()
    return width
