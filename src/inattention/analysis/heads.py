"""Properties of each head after a capture: category, measures and input dependence; as records, JSON and CSV."""

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from inattention.analysis.capture import Captured
from inattention.analysis.measures import CATEGORIES, MEASURES, MIXED, categorise, measure, usual_category


@dataclass(frozen=True)
class Head:
    """One head of one layer.

    Attributes:
        layer: from 1.
        head: from 1.
        category: that of more than half of its single maps; else that of its mean map, so that a pattern is recognised
            although each utterance adds one of its own.
        counts: number of single maps by category.
        input_dependence: share of the variation of its maps that their mean does not explain; None for one utterance.
        measures: mean of each measure over single maps.
        of_mean: measures of its mean map.
        category_of_mean: category of its mean map.
    """

    layer: int
    head: int
    category: str
    counts: dict[str, int]
    input_dependence: float | None
    measures: dict[str, float]
    of_mean: dict[str, float]
    category_of_mean: str

    @property
    def key(self) -> str:
        """Name of the head in the address of the page."""
        return f"layer-{self.layer}-head-{self.head}"

    @property
    def share(self) -> float:
        """Share of single maps that are of its category."""
        return self.counts[self.category] / max(1, sum(self.counts.values()))


def heads_of(captured: Captured) -> list[Head]:
    """Return the properties of each head, layer by layer."""
    mean = measure(captured.mean)
    of_mean, dependence = categorise(mean), captured.input_dependence
    usual = _categories(captured, of_mean)
    return [
        Head(
            layer=layer + 1,
            head=head + 1,
            category=CATEGORIES[usual[layer, head]],
            counts=dict(zip(CATEGORIES, captured.categories[layer, head].tolist(), strict=True)),
            input_dependence=_number(dependence[layer, head]),
            measures={name: float(captured.measures[name][layer, head]) for name in MEASURES},
            of_mean={name: float(mean[name][layer, head]) for name in MEASURES},
            category_of_mean=CATEGORIES[of_mean[layer, head]],
        )
        for layer, head in np.ndindex(*usual.shape)
    ]


def counts_of(captured: Captured) -> Int[np.ndarray, " categories"]:
    """Return the number of heads of each category, over all layers."""
    of_mean = categorise(measure(captured.mean))
    return np.bincount(_categories(captured, of_mean).ravel(), minlength=len(CATEGORIES))


def _categories(captured: Captured, of_mean: Int[np.ndarray, "layers heads"]) -> Int[np.ndarray, "layers heads"]:
    usual = usual_category(captured.categories)
    return np.where(usual == MIXED, of_mean, usual)


def as_data(heads: list[Head]) -> list[dict[str, Any]]:
    """Return heads as plain data for JSON."""
    return [
        {
            "layer": it.layer,
            "head": it.head,
            "category": it.category,
            "single_maps": it.counts,
            "input_dependence": it.input_dependence,
            "measures": it.measures,
            "mean_map": {"category": it.category_of_mean, **it.of_mean},
        }
        for it in heads
    ]


def as_csv(heads: list[Head]) -> str:
    """Return heads as CSV, one row per head."""
    out = io.StringIO()
    table = csv.writer(out, lineterminator="\n")
    shares, of_mean = [f"share_{name}" for name in CATEGORIES], [f"mean_map_{name}" for name in MEASURES]
    table.writerow(["layer", "head", "category", *shares, "input_dependence", *MEASURES, "mean_map_category", *of_mean])
    for it in heads:
        maps = max(1, sum(it.counts.values()))
        numbers = [it.counts[name] / maps for name in CATEGORIES] + [it.input_dependence]
        numbers += [it.measures[name] for name in MEASURES]
        table.writerow(
            [it.layer, it.head, it.category, *map(_written, numbers), it.category_of_mean]
            + [_written(it.of_mean[name]) for name in MEASURES]
        )
    return out.getvalue()


def read_categories(path: Path) -> list[str]:
    """Read the category of each head from a file that `as_csv` was written to.

    Raises:
        ValueError: if the file is no such table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        found = [line.get("category") or "" for line in csv.DictReader(file)]
    if not found or not set(found) <= set(CATEGORIES):
        raise ValueError(f"{path} is not a table of heads as `inattention analyze` writes it")
    return found


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _written(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
