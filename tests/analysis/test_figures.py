"""Figures of maps: they show what was captured, and the same data yield the same bytes."""

import io

import numpy as np
import pytest
from PIL import Image

from inattention.analysis.capture import Captured
from inattention.analysis.figures import (
    COLUMN,
    PAGE,
    Moment,
    before_and_after,
    dependence,
    explained_variance,
    over_training,
    plane,
    typical,
    typical_maps,
)
from inattention.analysis.heads import counts_of
from inattention.analysis.measures import CATEGORIES, categorise, measure
from inattention.analysis.projection import project
from made_captures import captured_of
from made_maps import make

HEADS = ("diagonal", "sparse", "increasing")


@pytest.fixture(scope="module")
def captured() -> Captured:
    maps = np.stack([make(kind, 8, 24, 0.4, seed=place) for place, kind in enumerate(HEADS)], axis=1)
    return captured_of(maps[:, None])


@pytest.mark.parametrize("kind", HEADS)
def test_a_typical_map_is_of_its_category_and_nearest_to_its_mean(kind: str, captured: Captured) -> None:
    place = typical(captured, kind)
    assert place is not None
    utterance, layer, head = place
    assert HEADS[head] == kind
    maps = np.stack([single.maps[layer, head] for single in captured.singles]).astype(float)
    assert CATEGORIES[categorise(measure(maps))[utterance]] == kind
    apart = np.square(maps - maps.mean(0)).sum((1, 2))
    assert apart[utterance] == apart.min()


def test_categories_that_were_not_found_are_not_drawn(captured: Captured) -> None:
    assert typical(captured, "decreasing") is None
    drawn = typical_maps(captured)
    assert drawn.title.endswith("diagonal, increasing, sparse.")
    assert ">decreasing<" not in drawn.svg


def test_every_figure_fits_a_column_or_a_page(captured: Captured) -> None:
    projection = project(captured, perplexity=5)
    moments = [Moment(0, np.array([0, 0, 0, 0, 3])), Moment(50, counts_of(captured))]
    for drawn in (
        typical_maps(captured),
        dependence(captured),
        plane(projection),
        explained_variance(projection),
        before_and_after(captured, captured, 0),
        over_training(moments),
    ):
        image = Image.open(io.BytesIO(drawn.png))
        assert image.width in {round(width / 72 * 300) for width in (COLUMN, PAGE)}
        assert "<text" in drawn.svg


def test_the_same_data_yield_the_same_bytes(captured: Captured) -> None:
    assert dependence(captured) == dependence(captured)
    assert plane(project(captured, perplexity=5)) == plane(project(captured, perplexity=5))


def test_numbers_in_the_figure_are_the_heads_input_dependence(captured: Captured) -> None:
    drawn = dependence(captured)
    for value in captured.input_dependence.ravel():
        assert (f">{value:.2f}<".replace("0.", ".") if value < 0.995 else ">1<") in drawn.svg
