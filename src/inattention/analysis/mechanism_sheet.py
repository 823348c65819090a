"""One sheet that shows what each mechanism looks at: the paper's Figures 1 and 3, drawn from the code itself.

Every picture is what `weights` of a small mechanism, as it is started, gives for the same short made-up sequence. Rows
of a picture are queries, columns keys. For mechanisms that shut keys out, it shows which keys are allowed; for the
others, the weights. Its card says which heads stand for all (`inattention.attention.base.Drawing`).
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from inattention import attention
from inattention.analysis.map_images import POWER
from inattention.attention.registry import by_family
from inattention.attention.rows import Row, parse_row
from inattention.files import write_bytes

STEPS = 36
HEADS = 12
HEAD_DIM = 8
# Linear maps start so small that all weights would look alike; drawn five times as large, structure shows.
ENLARGED = 5
# The made-up sequence: so many steps resemble each other, as the steps of a phone do.
SEGMENTS = (5, 8, 4, 9, 6, 4)

INK, MUTED, GRID, PAPER = "#1d1f24", "#5f636b", "#dddeda", "#fdfdfb"
# From light to dark, so that the order of weights is seen without any colour; a signed map adds the other side.
SHUT = "#f1f1ec"
WEIGHTS = LinearSegmentedColormap.from_list("weights", ["#e9f0fa", "#8db4dd", "#2f6cb3", "#0d2a5c"])
SIGNED = LinearSegmentedColormap.from_list("signed", ["#8a3f00", "#e08a2e", "#f6f4ef", "#5b93cf", "#0d2a5c"])
ALLOWED = "#1a4d9e"

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mechanisms",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "text.color": INK,
    "text.parse_math": False,
    "figure.facecolor": PAPER,
}
# In pixels.
_WIDTH, _MARGIN, _TITLES, _TILE, _GAP, _BETWEEN = 940, 20, 92, 62, 6, 24
_ABOVE, _BELOW, _FOOT = 34, 20, 62


@dataclass(frozen=True)
class Picture:
    """One head's map.

    Attributes:
        caption: a word on the head; empty where one stands for all.
        weights: (time, time); None where there is no linear map.
        mask: whether it is drawn as the keys that are allowed.
    """

    caption: str
    weights: Float[np.ndarray, "time time"] | None
    mask: bool


@dataclass(frozen=True)
class _Entry:
    """A row's place on the sheet, in pixels from the top left corner."""

    row: Row
    pictures: tuple[Picture, ...]
    wide: float
    x: float = 0.0
    y: float = 0.0


def pictures_of(row: Row) -> tuple[Picture, ...]:
    """Draw the heads that stand for a row, from its mechanism's own `weights`.

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
        mechanism = mechanism.double()  # so that a small weight is not taken for none
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
    # Options may leave no two heads different; then there is nothing to tell apart.
    return tuple(chosen) if len(chosen) > 1 else (replace(chosen[0], caption=""),)


def draw_sheet(rows: Sequence[str] = ()) -> Figure:
    """Draw rows by family, each with its name above and a word on its heads below.

    Args:
        rows: as studies name them; every mechanism if none is named.

    Raises:
        ValueError: for a row that does not exist.
    """
    named = [parse_row(row) for row in rows or sorted(attention.mechanisms(), key=by_family)]
    parsed = list({row.name: row for row in named}.values())
    parsed.sort(key=lambda row: by_family(row.mechanism)[:2])  # stable: within a family, as they were named
    with mpl.rc_context(rc=_STYLE):
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
    """Draw the sheet into a file, whole or not at all.

    Args:
        path: ends in .svg, .png or .html.
        rows: as `draw_sheet` takes them.

    Raises:
        ValueError: for another ending, or a row that does not exist.
    """
    if path.suffix not in (".svg", ".png", ".html"):
        raise ValueError(f"the sheet can be drawn as .svg, .png or .html, not as {path.name!r}")
    if path.suffix == ".png":
        out = io.BytesIO()
        with mpl.rc_context(rc=_STYLE):
            draw_sheet(rows).savefig(out, format="png", dpi=144, metadata={"Software": None})
        content = out.getvalue()
    else:
        svg = sheet_svg(rows)
        content = (svg if path.suffix == ".svg" else _page(svg)).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, content)


def sheet_svg(rows: Sequence[str] = ()) -> str:
    """Draw the sheet as SVG, whose words are text and whose pictures have a pixel a weight.

    Args:
        rows: as `draw_sheet` takes them.

    Raises:
        ValueError: for a row that does not exist.
    """
    out = io.StringIO()
    with mpl.rc_context(rc=_STYLE):
        draw_sheet(rows).savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()


def _page(svg: str) -> str:
    title = escape("What each attention mechanism looks at")
    style = f"body{{margin:0;background:{PAPER}}}svg{{display:block;margin:auto;max-width:100%;height:auto}}"
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{title}</title>\n'
        f"<style>{style}</style>\n{svg[svg.index('<svg') :]}</html>\n"
    )


def _entry(measure: Figure, row: Row) -> _Entry:
    pictures = pictures_of(row)
    tiles = len(pictures) * (_TILE + _GAP) - _GAP
    texts = [_wide(measure, row.name, 8.5, "bold"), _wide(measure, attention.card(row.mechanism).label, 8)]
    return _Entry(row, pictures, max(tiles, *texts))


def _place(entries: Sequence[_Entry]) -> tuple[list[_Entry], dict[str, float], float]:
    """Put entries beside each other, each family on lines of its own: the entries, the families' tops, the height."""
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


def _tile(axes: Axes, picture: Picture, left: float, top: float) -> None:
    """Draw one map, a pixel a weight; colour follows the root of a weight over the largest of its map."""
    assert picture.weights is not None
    size = np.abs(picture.weights)
    share = np.sign(picture.weights) * (size / max(float(size.max()), 1e-30)) ** POWER
    if (picture.weights < -1e-9).any():
        colours = SIGNED((share + 1) / 2)
    else:
        colours = WEIGHTS(np.ones_like(share) * 0.78) if picture.mask else WEIGHTS(share)
        colours[picture.weights == 0] = mpl.colors.to_rgba(SHUT)
    pixels = np.round(255 * colours).astype(np.uint8)
    axes.imshow(pixels, extent=(left, left + _TILE, top + _TILE, top), interpolation="none", zorder=1)


def _legend(axes: Axes, measure: Figure, y: float) -> None:
    """Say what colours mean."""
    axes.plot([_MARGIN, _WIDTH - _MARGIN], [y - 4, y - 4], color=GRID, linewidth=0.8)
    x = float(_MARGIN)
    middle = y + 14

    def say(text: str, after: float) -> None:
        nonlocal x
        axes.text(x, middle, text, fontsize=8, color=INK, va="center")
        x += _wide(measure, text, 8) + after

    for colour, text in ((WEIGHTS(0.78), "key allowed"), (SHUT, "key shut out")):
        axes.add_patch(Rectangle((x, middle - 5), 10, 10, facecolor=colour, edgecolor=MUTED, linewidth=0.5))
        x += 15
        say(text, _BETWEEN)
    for colours, ends in ((WEIGHTS, ("weight 0", "largest of its map")), (SIGNED, ("negative", "positive"))):
        say(ends[0], 6)
        bar = np.round(255 * colours(np.linspace(0, 1, 64))[None]).astype(np.uint8)
        axes.imshow(bar, extent=(x, x + 90, middle + 5, middle - 5), interpolation="none")
        x += 96
        say(ends[1], _BETWEEN)
    axes.text(
        _MARGIN,
        y + 34,
        f"Rows are queries, columns keys, of one made-up sequence of {STEPS} steps; {HEADS} heads as they are started, "
        f"linear maps {ENLARGED} times as large. Colour follows the root of weight.",
        fontsize=8,
        color=MUTED,
        va="center",
    )


def _wide(figure: Figure, text: str, fontsize: float, fontweight: str = "normal") -> float:
    """Width of a label in pixels."""
    label = figure.text(0, 0, text, fontsize=fontsize, fontweight=fontweight)
    width = label.get_window_extent().width
    label.remove()
    return width
