"""Which form a head gets."""

import dataclasses

import numpy as np
import pytest

from inattention.export.choice import choose_forms
from inattention.export.costs import Costs

COSTS = Costs(dense=5.0, matrix=4.0, fft=7.0, two_level=2.0, reaches=(1, 599), bands=(1.5, 60.0), call=1.0)


def taps(width: float, noise: float = 0.0) -> np.ndarray:
    offsets = np.arange(-299, 300)
    random = np.random.default_rng(0).random(offsets.size)
    return (np.exp(-np.square(offsets / width) / 2) + 1e-9) * np.exp(noise * random)


def forms(weights: np.ndarray, costs: Costs = COSTS, **settings: object) -> str:
    (found,) = choose_forms(weights[None], costs, "auto", 1e-4, **settings)  # ty: ignore[invalid-argument-type]
    return found.form


def test_the_fastest_of_the_exact_forms_is_chosen() -> None:
    assert forms(taps(1.0)) == "band"
    assert forms(taps(100.0)) == "fft"
    assert forms(taps(100.0), dataclasses.replace(COSTS, matrix=1.0)) == "dense"


def test_a_matrix_that_layers_share_is_made_once() -> None:
    assert forms(taps(100.0), uses=3) == "dense"


def test_two_levels_are_chosen_where_exactness_is_not_asked_for() -> None:
    assert forms(taps(100.0), exact=False) == "two-level"
    assert forms(taps(100.0), dataclasses.replace(COSTS, two_level=8.0), exact=False) == "fft"
    assert forms(taps(1.0), dataclasses.replace(COSTS, two_level=0.1), exact=False) == "two-level"


def test_two_levels_are_not_chosen_for_weights_that_differ_from_frame_to_frame() -> None:
    assert forms(taps(100.0, noise=6.0), exact=False) == "fft"


@pytest.mark.parametrize("form", ["dense", "fft", "two-level", "band", "limited"])
def test_one_form_can_be_asked_for(form: str) -> None:
    found = choose_forms(taps(100.0)[None], None, form, 1e-4)  # ty: ignore[invalid-argument-type]
    assert [it.form for it in found] == ["band" if form == "limited" else form]
    assert (found[0].moved > 0) == (form == "two-level")
