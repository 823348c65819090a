"""Labels find places that keep them apart."""

import itertools

import numpy as np
import pytest

from inattention.plotting import figure
from inattention.plotting.labels import name_points, place_labels, stack_up


@pytest.mark.parametrize("seed", range(5))
def test_twenty_labels_of_a_crowd_cover_neither_each_other_nor_the_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal((250, 200), (40, 50), (14, 2)), rng.uniform((60, 40), (700, 400), (6, 2))])
    sizes = np.stack([rng.uniform(20, 130, 20), np.full(20, 12.0)], axis=1)
    corners = place_labels(points, sizes, np.empty((0, 4)), (40.0, 20.0, 860.0, 430.0), marker=5.0)
    boxes = np.concatenate([corners, corners + sizes], axis=1)
    for one in range(20):
        for other in range(one):
            wide = min(boxes[one, 2], boxes[other, 2]) - max(boxes[one, 0], boxes[other, 0])
            high = min(boxes[one, 3], boxes[other, 3]) - max(boxes[one, 1], boxes[other, 1])
            assert wide <= 0.5 or high <= 0.5
        inside = (points > boxes[one, :2]) & (points < boxes[one, 2:])
        assert not inside.all(1).any()
    assert (boxes[:, :2] >= (40, 20)).all()
    assert (boxes[:, 2:] <= (860, 430)).all()


@pytest.mark.parametrize("seed", range(5))
def test_stacked_places_keep_their_order_and_distance_and_stay_inside(seed: int) -> None:
    wanted = np.random.default_rng(seed).uniform(0, 100, 15).tolist()
    places = stack_up(wanted, gap=5, low=10, high=90)
    assert np.argsort(places).tolist() == np.argsort(wanted).tolist()
    assert np.diff(sorted(places)).min() >= 5 - 1e-9
    assert min(places) >= 10
    assert max(places) <= 90


def test_what_is_far_enough_apart_stays_where_it_is() -> None:
    assert stack_up([30.0, 10.0, 20.0], gap=5, low=0, high=100) == [30.0, 10.0, 20.0]


def test_names_are_written_clear_of_each_other_and_connected_where_they_are_far() -> None:
    with figure(500, 300) as drawn:
        axes = drawn.add_subplot()
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1)
        close = [(0.5, 0.5), (0.51, 0.5), (0.5, 0.51), (0.51, 0.51), (0.52, 0.5), (0.52, 0.51)]
        names = [f"the row of number {number}" for number in range(len(close))]
        name_points(drawn, axes, names, axes.transData.transform(close), np.empty((0, 4)), 9)
        boxes = [text.get_window_extent() for text in drawn.texts]
        lines = len(axes.lines)
    assert [text.get_text() for text in drawn.texts] == names
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert 0 < lines < len(names)
