"""Learned maps of input-independent mechanisms before and after pre-training, as images."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from inattention.analysis.map_images import close_up, draw_maps, load_maps, moved, shrink, tile_png
from inattention.study.planning.rows import StudyRow
from inattention.study.results import StudyResults


@dataclass(frozen=True)
class Head:
    """One head's map before and after pre-training.

    Attributes:
        tiles: the map, as data URLs of images.
        close_ups: its middle.
        largest: its largest weights.
        moved: fraction of its weight that has moved.
    """

    tiles: tuple[str, str]
    close_ups: tuple[str, str]
    largest: tuple[float, float]
    moved: float


@dataclass(frozen=True)
class LearnedMaps:
    """A row's learned maps, or why they are missing.

    Attributes:
        row: the row.
        seed: of the run they are from.
        frames: queries and keys in a map.
        layers: heads by layer, or one group of heads that all layers share.
        sheet: all maps as one PNG.
        missing: why there are none.
    """

    row: StudyRow
    seed: int | None = None
    frames: int = 0
    layers: tuple[tuple[Head, ...], ...] = ()
    sheet: bytes = b""
    missing: str = ""


def learned_maps(results: StudyResults, rows: Sequence[StudyRow]) -> list[LearnedMaps]:
    """Draw the maps of each row that learns some, from the first seed that has them.

    Args:
        results: the study.
        rows: its rows, in the report's order.
    """
    return [_maps_of(row, results) for row in rows if _learns_maps(row)]


def _learns_maps(row: StudyRow) -> bool:
    card = row.card
    return bool(card and card.input_independent and card.linear_map and not row.untrained and row.family != "control")


def _maps_of(row: StudyRow, results: StudyResults) -> LearnedMaps:
    run = next((run for run in results.runs_of(row.name) if run.maps), None)
    if run is None or run.maps is None:
        return LearnedMaps(row, missing="missing: the job that stores them was not run, or failed")
    try:
        before, after = load_maps(results.path(run.maps))
    except FileNotFoundError:
        return LearnedMaps(row, missing="missing: the file of its maps is not in the study's folder")
    except (OSError, ValueError) as error:
        return LearnedMaps(row, missing=f"missing: {error}")
    layers = list(zip(before, after, strict=True))
    strips = []
    for number, layer in enumerate(layers, start=1):
        where = f", layer {number}" if len(layers) > 1 else ""
        strips += [(f"{when}{where}", weights) for when, weights in zip(("before", "after"), layer, strict=True)]
    sheet = io.BytesIO()
    draw_maps(strips).savefig(sheet, format="png", metadata={"Software": None})
    heads = tuple(tuple(_heads(*layer)) for layer in layers)
    return LearnedMaps(row, run.seed, before.shape[-1], heads, sheet=sheet.getvalue())


def _heads(before: Float[np.ndarray, "heads time time"], after: Float[np.ndarray, "heads time time"]) -> list[Head]:
    return [
        Head(
            tiles=(_data_url(tile_png(shrink(one))), _data_url(tile_png(shrink(other)))),
            close_ups=(_data_url(tile_png(close_up(one))), _data_url(tile_png(close_up(other)))),
            largest=(float(one.max()), float(other.max())),
            moved=float(fraction),
        )
        for one, other, fraction in zip(before, after, moved(before, after), strict=True)
    ]


def _data_url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()
