"""The style of all figures: colours, fonts, and SVG whose text stays text.

Text is laid out in a wide typeface, so that it also fits in the reader's own, and can be searched and read aloud. The
same data yield the same bytes.
"""

import io
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import matplotlib as mpl
from markupsafe import escape
from matplotlib.figure import Figure

INK, MUTED, GRID, PAPER = "#1d1f24", "#5f636b", "#dddeda", "#fdfdfb"
HALO = "paint-order: stroke; stroke: {}; stroke-width: 3px; stroke-linejoin: round"


class Colour(NamedTuple):
    """A colour of the palette.

    Attributes:
        light: on light background.
        dark: on dark background.
    """

    light: str
    dark: str


# Distinguishable under the common forms of colour blindness, on light and on dark background.
PALETTE = {
    "black": Colour("#2b2e35", "#f0f1f3"),
    "blue": Colour("#1a4d9e", "#5a9bd8"),
    "orange": Colour("#c96a0a", "#e3a63c"),
    "red": Colour("#8f1230", "#f4436c"),
    "green": Colour("#239a5c", "#42dd9a"),
    "purple": Colour("#9440d8", "#dcb2fa"),
    "brown": Colour("#8a5a2b", "#cda277"),
    "teal": Colour("#00798c", "#408098"),
    "olive": Colour("#5f6b00", "#c6cf4a"),
    "pink": Colour("#b0307f", "#f29ad0"),
    "grey": Colour("#85878e", "#8d929b"),
}

_STYLE: dict[str, Any] = {
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
def style(**settings: Any) -> Generator[None]:
    """Apply the style of all figures; a figure must be written inside, too.

    Args:
        **settings: matplotlib settings that differ, with dots in their names.
    """
    rc: Any = {**_STYLE, **settings}
    with mpl.rc_context(rc=rc):
        yield


@contextmanager
def figure(width: float, height: float, **settings: Any) -> Generator[Figure]:
    """Create a figure in the style of all figures; it must be written inside.

    Args:
        width: in pixels of a page, which are points in print.
        height: in the same unit.
        **settings: matplotlib settings that differ, with dots in their names.
    """
    with style(**settings):
        yield Figure((width / 72, height / 72), dpi=72)


def svg(of: Figure, name: str, *, halo: bool = True) -> str:
    """Return a figure as SVG.

    Args:
        of: the figure.
        name: seed of the ids inside, which are otherwise random.
        halo: draw an outline in the background colour around text, so that it is readable in front of lines.
    """
    mpl.rcParams["svg.hashsalt"] = name
    out = io.StringIO()
    of.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    outlined = f" text {{{HALO.format(PAPER)}}}" if halo else ""
    return out.getvalue().replace("</style>", f"{outlined}</style>", 1)


def png(of: Figure, dpi: int = 300) -> bytes:
    """Return a figure as PNG."""
    out = io.BytesIO()
    of.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def inline(svg: str, name: str, description: str, colours: Mapping[str, str]) -> str:
    """Return a drawn figure as part of a page: with ids of its own, the page's colours and font, and a description.

    Args:
        svg: the figure as a file.
        name: of the figure; its ids begin with it.
        description: for screen readers.
        colours: the page's colour for each colour of the figure, such as ``var(--ink)``.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<(metadata|style)\b.*?</\1>", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{name}-', body)
    body = re.sub(r'(href="|url\()#', rf"\1#{name}-", body)
    body = re.sub(r"font: (?:(\w+) )?([\d.]+)px [^;\"]*", _only_size_and_weight, body)
    for drawn, wanted in colours.items():
        body = body.replace(drawn, wanted)
    size = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert size is not None
    opening = (
        f'<svg viewBox="{size[0][9:-1]}" role="img" aria-label="{escape(description)}" '
        f'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return opening + body[body.index(">") + 1 :].strip()


def _only_size_and_weight(font: re.Match[str]) -> str:
    weight, size = font.groups()
    return f"font-size: {size}px" + (f"; font-weight: {weight}" if weight else "")
