"""How all figures look, and how they are written: SVG whose words stay words, set in the reader's own sans-serif.

Words are measured here in a wide face, so that they fit in another, and can be searched and read aloud. The same
data give the same bytes.
"""

import io
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1d1f24", "#5f636b", "#dddeda", "#fdfdfb"
HALO = "paint-order: stroke; stroke: {}; stroke-width: 3px; stroke-linejoin: round"
_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "figure.facecolor": PAPER,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.solid_capstyle": "round",
}


@contextmanager
def figure(width: float, height: float, **settings: Any) -> Generator[Figure]:
    """Make a figure of a size in pixels of the page (points of a print), in the style of all; write it inside."""
    rc: Any = {**_STYLE, **settings}
    with mpl.rc_context(rc=rc):
        yield Figure((width / 72, height / 72), dpi=72)


def svg(of: Figure, name: str, *, halo: bool = True) -> str:
    """Write a figure as SVG; with a halo, words stand clear of lines behind them."""
    mpl.rcParams["svg.hashsalt"] = name
    out = io.StringIO()
    of.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    clear = f" text {{{HALO.format(PAPER)}}}" if halo else ""
    return out.getvalue().replace("</style>", f"{clear}</style>", 1)


def png(of: Figure, dpi: int = 300) -> bytes:
    """Write a figure as PNG."""
    out = io.BytesIO()
    of.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()
