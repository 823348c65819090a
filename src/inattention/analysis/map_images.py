"""Images of attention maps: rows are queries, columns keys, one tile per head.

Weights differ by orders of magnitude between heads and within one, so each tile has its own scale: colour follows the
square root of the weight over the largest weight in the tile. A caption must state this.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure

COLOURS = "viridis"
POWER = 0.5
PIXELS = 128
CLOSE_UP = 24
LEVELS = 64  # colours of a tile: more cannot be distinguished, and fewer compress better


def load_maps(path: str | Path) -> tuple[Float[np.ndarray, "layers heads time time"], Float[np.ndarray, "..."]]:
    """Read maps from before and after training.

    Returns:
        Both, with an axis for layers (of size 1, if all layers share their maps).

    Raises:
        ValueError: if the file does not contain both.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} does not contain attention maps: {error}") from None
    if not {"before", "after"} <= set(tensors) or tensors["before"].ndim not in (3, 4):
        raise ValueError(f"{path} does not contain attention maps named 'before' and 'after'")
    before, after = (tensors[name].astype(np.float32) for name in ("before", "after"))
    return (before, after) if before.ndim == 4 else (before[None], after[None])


def moved(before: Float[np.ndarray, "*maps time time"], after: Float[np.ndarray, "*maps time time"]) -> np.ndarray:
    """Return the share of each map's weight that training moved: half the summed difference, mean over rows.

    >>> moved(np.eye(2), np.array([[1.0, 0.0], [1.0, 0.0]])).item()
    0.5
    """
    return np.asarray(0.5 * np.abs(after - before).sum(-1).mean(-1))


def close_up(weights: Float[np.ndarray, "time time"], steps: int = CLOSE_UP) -> Float[np.ndarray, "steps steps"]:
    """Return a section around the middle of the diagonal, in which offsets of one or two frames are visible."""
    start = max(0, (len(weights) - steps) // 2)
    return weights[start : start + steps, start : start + steps]


def shrink(weights: Float[np.ndarray, "time time"], pixels: int = PIXELS) -> Float[np.ndarray, "pixels pixels"]:
    """Average blocks of frames, so that a long map has at most this many pixels per side."""
    if len(weights) <= pixels:
        return weights
    edges = np.linspace(0, len(weights), pixels, endpoint=False).astype(int)
    counts = np.diff([*edges, len(weights)])
    summed = np.add.reduceat(np.add.reduceat(weights, edges, axis=0), edges, axis=1)
    return summed / np.outer(counts, counts)


def shades(weights: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns"]:
    """Return the position of each weight on the colour scale, from 0 to 1."""
    return (np.clip(weights, 0, None) / max(float(weights.max()), 1e-30)) ** POWER


def tile_png(weights: Float[np.ndarray, "rows columns"]) -> bytes:
    """Return a map as a small PNG, one pixel per weight."""
    from PIL import Image

    image = Image.fromarray(np.round((LEVELS - 1) * shades(weights)).astype(np.uint8), mode="P")
    image.putpalette(
        (mpl.colormaps[COLOURS](np.linspace(0, 1, LEVELS))[:, :3] * 255).round().astype(np.uint8).tobytes()
    )
    out = io.BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()


def colour_stops(count: int = 9) -> list[str]:
    """Return colours of the scale at equal distances, for a colour bar."""
    return [mpl.colors.to_hex(mpl.colormaps[COLOURS](place)) for place in np.linspace(0, 1, count)]


def draw_maps(strips: Sequence[tuple[str, Shaped[np.ndarray, "heads time time"]]]) -> Figure:
    """Draw rows of maps, such as before and after training, with one column per head.

    Args:
        strips: title and maps of each row.
    """
    tiles = [[shades(shrink(weights)) for weights in maps] for _, maps in strips]
    heads, side = len(tiles[0]), len(tiles[0][0])
    pitch = side + max(2, side // 16)
    sheet = np.full((pitch * len(strips), pitch * heads), np.nan)  # NaN is drawn as background
    for line, row in enumerate(tiles):
        for head, tile in enumerate(row):
            sheet[line * pitch : line * pitch + side, head * pitch : head * pitch + side] = tile
    figure = Figure((0.9 + 1.02 * heads, 0.3 + 1.02 * len(strips)), dpi=150, layout="constrained")
    axes = figure.add_subplot(frameon=False)
    axes.imshow(sheet, cmap=COLOURS, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([pitch * head + side / 2 for head in range(heads)], [f"head {head + 1}" for head in range(heads)])
    axes.set_yticks([pitch * line + side / 2 for line in range(len(strips))], [title for title, _ in strips])
    axes.tick_params(length=0, labelsize=9, top=True, labeltop=True, bottom=False, labelbottom=False)
    return figure
