"""The atlas: maps of every head on one self-contained page, which can be opened as a file or served.

The page contains maps as bytes: 255 times the square root of the weight over the largest weight of the map, so that the
resolution of a weight is 1/255 of that root. The size limit of the page determines the number of single maps and, for
large models, the number of frames that are averaged to a cell.
"""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float

from inattention import templates
from inattention.analysis.capture import Captured, Single
from inattention.analysis.figures import CATEGORY_COLOURS, Drawn
from inattention.analysis.heads import Head, heads_of
from inattention.analysis.map_images import COLOURS, colour_stops, shrink
from inattention.analysis.measures import CATEGORIES, MEASURES

MINUS, DASH = "\N{MINUS SIGN}", "\N{EN DASH}"

LARGEST_BYTES = 12_000_000  # of maps in the page
MOST_SINGLES, FEWEST_SINGLES = 12, 2
SIDES = (128, 96, 64, 48, 32, 24, 16)  # cells along a side of a map; the largest number that fits is used
BANDS = 40  # of log-mel

# Title, format, range and explanation of each number.
NUMBERS: dict[str, tuple[str, str, str, str]] = {
    "input_dependence": (
        "Input dependence",
        "{:.2f}",
        "0 to 1",
        "the share of the variation of maps over utterances that their mean does not explain: what a fixed map would "
        "lose. Nearly uniform maps (sparsity near 0) have little to lose, so that it is not informative",
    ),
    "diagonality": ("Diagonality", "{:.2f}", "0 to 1", "weight along one diagonal, beyond chance"),
    "offset": ("Offset", "{:+.1f}", "frames", "position of that diagonal; positive looks ahead in time"),
    "width": ("Width", "{:.0f}", "frames", "the narrowest band around the offset that holds half of all weight"),
    "trend": ("Trend", "{:+.2f}", "-1 to 1", "rank correlation of the weight of keys with their position"),
    "lean": ("Lean", "{:+.2f}", "-1 to 1", "centre of the weight: -1 is the first key, 1 the last"),
    "banding": (
        "Banding",
        "{:.2f}",
        "0 to 1",
        "similarity within each diagonal: the share of variation between diagonals",
    ),
    "verticality": (
        "Verticality",
        "{:.2f}",
        "0 to 1",
        "similarity of the rows: the share of variation between columns",
    ),
    "sparsity": ("Sparsity", "{:.2f}", "0 to 1", "1 minus the entropy of the rows relative to uniform weights"),
}


@dataclass(frozen=True)
class Made:
    """Origin of an atlas.

    Attributes:
        model: folder or hub name of the encoder.
        label: title of the page.
        corpus: name of the corpus.
        record: all settings, shown at the end of the page.
        provenance: versions and commit.
        caveat: restriction of the corpus that readers must know.
    """

    model: str
    label: str
    corpus: str
    record: dict[str, Any]
    provenance: dict[str, Any]
    caveat: str = ""


def atlas_html(captured: Captured, made: Made, drawn: Sequence[Drawn] = ()) -> str:
    """Return the page.

    Args:
        captured: the maps.
        made: their origin.
        drawn: figures to include.
    """
    heads = heads_of(captured)
    side, count = _room(len(heads), captured.steps, len(captured.singles))
    singles = captured.singles[:count]
    environment = templates.environment("inattention.analysis")
    environment.filters["number"] = _written
    return environment.get_template("atlas.html.jinja").render(
        captured=captured,
        made=made,
        heads=heads,
        layers=captured.mean.shape[0],
        singles=singles,
        side=side,
        numbers=NUMBERS,
        measures=MEASURES,
        categories=CATEGORIES,
        counts={name: sum(it.category == name for it in heads) for name in CATEGORIES},
        colours=CATEGORY_COLOURS,
        scale=colour_stops(),
        figures=[(it, base64.b64encode(it.svg.encode()).decode()) for it in drawn],
        data=_data(captured, heads, singles, side),
        record=json.dumps(made.record, indent=2, ensure_ascii=False),
    )


def _room(heads: int, steps: int, singles: int) -> tuple[int, int]:
    """Return the side of a map in cells and the number of single maps for which the page keeps its size limit.

    >>> _room(72, 96, 32), _room(144, 500, 32), _room(12, 50, 4)
    ((96, 11), (96, 4), (50, 4))
    """
    most = min(MOST_SINGLES, singles)
    for side in (min(steps, SIDES[0]), *(side for side in SIDES if side < steps)):
        maps = int(LARGEST_BYTES * 3 / 4 / (heads * side**2)) - 2  # base64 is a third longer; mean and deviation
        if maps >= min(FEWEST_SINGLES, singles) + (2 if side > SIDES[2] else 0) or side == SIDES[-1]:
            return side, max(0, min(most, maps))
    return SIDES[-1], 0


def _data(captured: Captured, heads: Sequence[Head], singles: Sequence[Single], side: int) -> dict[str, Any]:
    """Return the data of the page's script."""
    deviation = np.sqrt(np.nan_to_num(captured.variance))
    edges = np.linspace(0, captured.steps, side, endpoint=False).astype(int)
    return {
        "steps": captured.steps,
        "side": side,
        "edges": [*edges.tolist(), captured.steps],
        "stepSeconds": captured.step_seconds,
        "count": captured.count,
        "palette": base64.b64encode(
            (mpl.colormaps[COLOURS](np.linspace(0, 1, 256))[:, :3] * 255).round().astype(np.uint8).tobytes()
        ).decode(),
        "utterances": [
            {"id": one.cut_id, "start": one.start_seconds, "mel": _mel(one.log_mel, side)} for one in singles
        ],
        "heads": [
            {
                "key": it.key,
                "mean": _map(captured.mean[it.layer - 1, it.head - 1], side),
                "spread": _map(deviation[it.layer - 1, it.head - 1], side),
                "singles": [_map(one.maps[it.layer - 1, it.head - 1].astype(np.float32), side) for one in singles],
            }
            for it in heads
        ],
    }


def _map(weights: Float[np.ndarray, "time time"], side: int) -> dict[str, Any]:
    cells = shrink(weights, side)
    largest = float(cells.max())
    root = np.sqrt(np.clip(cells, 0, None) / max(largest, 1e-30))
    return {"max": largest, "bytes": base64.b64encode(np.round(255 * root).astype(np.uint8).tobytes()).decode()}


def _mel(log_mel: Float[np.ndarray, "time mels"], side: int) -> dict[str, Any]:
    """Return a log-mel spectrogram as bytes from its lowest to its highest value, one row per cell."""
    time, mels = log_mel.shape
    for axis, size in ((0, min(side, time)), (1, min(BANDS, mels))):
        length = log_mel.shape[axis]
        edges = np.linspace(0, length, size, endpoint=False).astype(int)
        counts = np.diff([*edges, length])
        summed = np.add.reduceat(log_mel, edges, axis=axis)
        log_mel = summed / (counts[:, None] if axis == 0 else counts)
    low, high = float(log_mel.min()), float(log_mel.max())
    levels = np.round(255 * (log_mel - low) / max(high - low, 1e-9)).astype(np.uint8)
    return {"bands": levels.shape[1], "bytes": base64.b64encode(levels.tobytes()).decode()}


def _written(value: float | None, name: str) -> str:
    """Format a number with a typographic minus, and without a sign if it rounds to 0.

    >>> _written(-0.001, "lean"), _written(0.25, "lean"), _written(0.25, "sparsity")
    ('0.00', '+0.25', '0.25')
    """
    if value is None:
        return DASH
    text = NUMBERS[name][1].format(value)
    return text.lstrip("+-") if not float(text) else text.replace("-", MINUS)
