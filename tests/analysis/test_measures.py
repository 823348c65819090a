"""Measures at their extremes, and categories of synthetic maps."""

import numpy as np
import pytest

from inattention.analysis.measures import (
    CATEGORIES,
    MEASURES,
    Thresholds,
    categorise,
    input_dependence,
    measure,
    usual_category,
)
from inattention.attention.mechanisms.patterned import hand_made_map
from made_maps import MADE, make, normalised

TIME = 64
IDENTITY, UNIFORM = np.eye(TIME), np.full((TIME, TIME), 1 / TIME)
LAST = np.zeros((TIME, TIME))
LAST[:, -1] = 1
RISING = normalised(np.tile(np.arange(1.0, TIME + 1) ** 3, (TIME, 1)))


def measured(maps: np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in measure(maps).items()}


def test_an_identity_is_fully_diagonal_and_sparse() -> None:
    found = measured(IDENTITY)
    assert found["diagonality"] == pytest.approx(1)
    assert found["offset"] == pytest.approx(0)
    assert found["width"] == 1
    assert found["sparsity"] == pytest.approx(1)
    assert found["verticality"] == pytest.approx(0, abs=1e-9)
    assert found["trend"] == found["lean"] == pytest.approx(0, abs=1e-9)


def test_a_faint_diagonal_is_recognised_without_other_structure() -> None:
    faint = 0.95 * UNIFORM + 0.05 * IDENTITY
    found = measured(faint)
    assert found["banding"] == pytest.approx(1)
    assert 0.02 < found["diagonality"] < 0.1
    assert CATEGORIES[int(categorise(measure(faint)))] == "diagonal"
    striped = 0.75 * UNIFORM + 0.05 * IDENTITY + 0.2 * LAST  # the column now tells more
    assert CATEGORIES[int(categorise(measure(striped)))] != "diagonal"


def test_a_uniform_map_has_no_pattern() -> None:
    found = measured(UNIFORM)
    for name in ("diagonality", "offset", "trend", "lean", "verticality", "sparsity"):
        assert found[name] == pytest.approx(0, abs=1e-9), name
    assert CATEGORIES[int(categorise(measure(UNIFORM)))] == "mixed"


def test_one_key_for_all_rows_is_fully_vertical_and_leans_towards_it() -> None:
    found = measured(LAST)
    assert found["verticality"] == pytest.approx(1)
    assert found["banding"] < 0.1
    assert found["sparsity"] == pytest.approx(1)
    assert found["lean"] == pytest.approx(1 - 1 / TIME)
    assert found["diagonality"] < 0.2
    assert measured(LAST[:, ::-1])["lean"] == pytest.approx(-1 + 1 / TIME)


def test_the_trend_of_a_rising_profile_is_1_and_changes_sign_with_the_order_of_keys() -> None:
    assert measured(RISING)["trend"] == pytest.approx(1)
    assert measured(RISING[:, ::-1])["trend"] == pytest.approx(-1)
    assert measured(RISING)["lean"] == pytest.approx(0.6, abs=0.01)  # 2 * 4/5 - 1


@pytest.mark.parametrize("offset", [-9, -1, 1, 9])
def test_a_diagonals_offset_is_its_distance_and_looks_ahead_when_positive(offset: int) -> None:
    rows = np.clip(np.arange(TIME) + offset, 0, TIME - 1)
    found = measured(np.eye(TIME)[rows])
    assert found["offset"] == pytest.approx(offset, abs=0.5)
    assert found["diagonality"] > 0.9
    assert found["width"] == 1


def test_width_is_that_of_the_band_with_half_the_weight() -> None:
    distance = np.abs(np.arange(TIME)[None] - np.arange(TIME)[:, None])
    for reach, width in ((1, 3), (3, 5)):  # of 2 * reach + 1 even steps, the inner ones up to half of the weight
        assert measured(normalised((distance <= reach).astype(float)))["width"] in (width - 2, width)
    wide, narrow = (measured(normalised(np.exp(-0.5 * (distance / s) ** 2)))["width"] for s in (6.0, 1.0))
    assert wide > 2 * narrow


def test_measures_of_many_maps_are_those_of_each() -> None:
    maps = np.stack([IDENTITY, UNIFORM, LAST, RISING]).reshape(2, 2, TIME, TIME)
    together = measure(maps)
    assert tuple(together) == MEASURES
    for place in np.ndindex(2, 2):
        for name, value in measured(maps[place]).items():
            assert together[name][place] == pytest.approx(value, abs=1e-12)


def test_measures_stay_in_their_ranges() -> None:
    draw = np.random.default_rng(0)
    for time in (2, 3, 17, 64):
        maps = normalised(np.exp(4 * draw.standard_normal((50, time, time))))
        found = measure(maps)
        for name in ("diagonality", "banding", "verticality", "sparsity"):
            assert found[name].min() >= 0, name
            assert found[name].max() <= 1, name
        for name in ("trend", "lean"):
            assert np.abs(found[name]).max() <= 1 + 1e-12, name
        assert found["width"].min() >= 1
        assert found["width"].max() <= 2 * time - 1


def test_arrays_that_are_no_maps_are_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        measure(np.ones((3, 4)))
    with pytest.raises(ValueError, match="at least 2 frames"):
        measure(np.ones((1, 1)))


def test_input_dependence_at_its_extremes() -> None:
    draw = np.random.default_rng(0)
    assert input_dependence(IDENTITY, np.zeros_like(IDENTITY), 5) == 0
    assert input_dependence(UNIFORM, np.zeros_like(UNIFORM), 5) == 0
    assert np.isnan(input_dependence(IDENTITY, np.zeros_like(IDENTITY), 1))
    one_hot = np.eye(TIME)[draw.integers(0, TIME, (400, TIME))]  # a key drawn anew for every row of every utterance
    assert input_dependence(one_hot.mean(0), one_hot.var(0, ddof=1), 400) > 0.99
    half = (one_hot + IDENTITY) / 2  # as much fixed as drawn
    assert input_dependence(half.mean(0), half.var(0, ddof=1), 400) == pytest.approx(0.5, abs=0.02)


def test_input_dependence_does_not_depend_on_the_number_of_utterances() -> None:
    draw = np.random.default_rng(1)
    maps = np.eye(16)[draw.integers(0, 16, (4000, 16))] * 0.5 + np.eye(16) * 0.5
    few = [input_dependence(part.mean(0), part.var(0, ddof=1), 10) for part in np.split(maps, 400)]
    assert np.mean(few) == pytest.approx(input_dependence(maps.mean(0), maps.var(0, ddof=1), 4000), abs=0.02)


# Rates of correct categories by noise: weights times exp(noise * N(0, 1)), and noise / 4 of each row over all keys.
RATES = {0.0: 0.99, 0.5: 0.99, 1.0: 0.97}


@pytest.mark.parametrize("noise", RATES)
@pytest.mark.parametrize("category", MADE)
@pytest.mark.parametrize("time", [48, 128])
def test_synthetic_maps_are_categorised_at_the_stated_rates(category: str, noise: float, time: int) -> None:
    found = categorise(measure(make(category, 60, time, noise)))
    right = (found == CATEGORIES.index(category)).mean()
    counts = {name: int((found == place).sum()) for place, name in enumerate(CATEGORIES)}
    assert right >= RATES[noise], counts


def test_the_studys_hand_made_maps() -> None:
    expected = {
        "self": "diagonal",
        "next": "diagonal",
        "previous": "diagonal",
        "increasing": "increasing",
        "decreasing": "decreasing",
    }
    for pattern, category in expected.items():
        assert CATEGORIES[int(categorise(measure(hand_made_map(pattern, 128).numpy())))] == category


def test_thresholds_decide() -> None:
    found = measure(IDENTITY)
    assert CATEGORIES[int(categorise(found, Thresholds(diagonality=1.1, faint=1.1)))] == "sparse"
    assert CATEGORIES[int(categorise(found, Thresholds(diagonality=1.1, faint=1.1, sparsity=1.1)))] == "mixed"


def test_a_heads_category_is_that_of_most_of_its_maps_or_mixed() -> None:
    counts = np.array([[3, 2, 0, 0, 0], [2, 2, 1, 0, 0], [0, 0, 0, 9, 0]])
    assert [CATEGORIES[place] for place in usual_category(counts)] == ["diagonal", "mixed", "sparse"]
