"""Bands leave out no more of any row than their bound says."""

import numpy as np
import pytest
import torch

from inattention.attention import build
from inattention.attention.ops.toeplitz_band import band_of, least_mass
from inattention.export.taps import as_numpy, taps_of

LONGEST = 60


def taps(**options: object) -> np.ndarray:
    mechanism = build("toeplitz", width=24, heads=12, max_length=LONGEST, **options)
    found = taps_of(mechanism, LONGEST)
    assert found is not None
    return as_numpy(found)


def rows(weights: np.ndarray, time: int) -> np.ndarray:
    """Return the matrix of an input."""
    frames = np.arange(time)
    return weights[frames - frames[:, None] + len(weights) // 2]


@pytest.mark.parametrize("options", [{}, {"floor": 1e-3}, {"form": "table"}])
@pytest.mark.parametrize("bound", [1e-2, 1e-4])
def test_a_band_leaves_out_at_most_its_bound_of_any_row_of_any_length(options: dict, bound: float) -> None:
    for weights in taps(**options):
        band = band_of(weights, bound)
        assert band.outside <= bound
        middle = len(weights) // 2
        kept = np.full_like(weights, band.level)
        kept[band.low + middle : band.high + middle + 1] = weights[band.low + middle : band.high + middle + 1]
        for time in (1, 2, 7, 33, LONGEST):
            dense = rows(weights, time)
            share = (dense - rows(kept, time)).sum(1) / dense.sum(1)
            assert share.max() <= band.outside + 1e-12
            assert share.min() >= -1e-12


def test_narrow_heads_have_narrow_bands_and_a_tighter_bound_widens_them() -> None:
    narrow, wide = taps()[0], taps()[11]
    assert band_of(narrow, 1e-4).reach < 10 < band_of(wide, 1e-4).reach
    assert band_of(narrow, 1e-2).reach <= band_of(narrow, 1e-4).reach <= band_of(narrow, 1e-8).reach


def test_a_uniform_head_is_a_level_without_a_band() -> None:
    band = band_of(np.ones(2 * LONGEST - 1), 1e-4)
    assert (band.level, band.outside, band.reach) == (1.0, 0.0, 1)


def test_the_least_mass_is_that_of_the_smallest_row() -> None:
    for weights in taps():
        smallest = min(rows(weights, time).sum(1).min() for time in range(1, LONGEST + 1))
        assert least_mass(weights) == pytest.approx(smallest)


def test_taps_are_the_mechanism_s_weights() -> None:
    mechanism = build("toeplitz-free", width=24, heads=12, max_length=LONGEST, free=2).eval()
    found = taps_of(mechanism, LONGEST)
    assert found is not None
    assert len(found) == 10
    expected = mechanism.weights(torch.zeros(1, 20, 24))[0, :10].detach().double().numpy()
    for weights, matrix in zip(as_numpy(found), expected, strict=True):
        dense = rows(weights, 20)
        np.testing.assert_allclose(dense / dense.sum(1, keepdims=True), matrix, atol=1e-6)


@pytest.mark.parametrize("name", ["qk", "none", "patterned", "synthesizer-random"])
def test_other_mechanisms_have_no_taps(name: str) -> None:
    assert taps_of(build(name, width=24, heads=12, max_length=LONGEST), LONGEST) is None
