import math

import pytest

from inattention.comparison import (
    Difference,
    all_above,
    loss_prior,
    most,
    opposite,
    seed_difference,
    time_ratio,
    verdict_of,
)

HOLDS, NOT, OPEN = (Difference(0, low, high, seeds=1) for low, high in ((1, 2), (-2, -1), (-1, 1)))


def test_losses_of_three_seeds_are_compared_by_welchs_t():
    found = seed_difference({0: 1.0, 1: 2.0, 2: 3.0}, {0: 5.0, 1: 6.0, 2: 7.0}, None)
    assert found
    half = 2.7764 * math.sqrt(2 / 3)  # 4 degrees of freedom
    assert (found.estimate, found.low, found.high) == pytest.approx((-4, -4 - half, -4 + half), abs=1e-3)
    assert found.verdict == "does not hold"


def test_a_loss_of_one_seed_borrows_the_variance_of_other_rows():
    assert seed_difference({0: 1.0}, {0: 2.0}, None) is None
    prior = loss_prior([{0: 0.0, 1: 0.1, 2: 0.2}, {0: 1.0, 1: 1.1, 2: 1.2}, {0: 5.0}])
    found = seed_difference({0: 1.0}, {0: 2.0}, prior)
    assert found
    assert found.widened
    assert found.high - found.estimate > 1.96 * 0.1 * math.sqrt(2)
    assert loss_prior([{0: 1.0}]) is None


def test_a_loss_that_is_not_finite_is_left_out_and_a_baseline_has_no_seeds():
    prior = loss_prior([{0: 1.0, 1: 1.1, 2: 1.2}])
    assert seed_difference({0: math.nan}, {0: 1.0}, prior) is None
    against = seed_difference({0: 1.0, 1: 1.1, 2: 1.2, 3: math.inf}, 2.0, prior)
    assert against
    assert against.verdict == "does not hold"
    assert against.high - against.estimate == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-4)


def test_times_are_paired_within_rounds():
    drift = [1.0, 1.5, 2.0, 2.5, 3.0]
    found = time_ratio([0.8 * it * off for it, off in zip(drift, (0.99, 1, 1.01, 1, 1), strict=True)], drift)
    assert found.ratio == pytest.approx(0.8)
    assert found.below(0.85) == "holds"
    assert found.below(0.75) == "does not hold"
    assert found.below(0.8) == "cannot be told"
    assert time_ratio([1.0], [2.0]).below(0.85) == "cannot be told"
    for seconds, reference in (([], []), ([1.0], [1.0, 1.0]), ([0.0], [1.0])):
        with pytest.raises(ValueError, match=r"round|time"):
            time_ratio(seconds, reference)


def test_verdicts_are_combined():
    assert all_above([HOLDS, HOLDS, None]) == "holds"
    assert all_above([HOLDS, OPEN]) == "cannot be told"
    assert all_above([HOLDS, OPEN, NOT]) == "does not hold"
    assert all_above([None]) == most([]) == verdict_of(None) == "not measured"
    assert most([opposite(it.verdict) for it in (NOT, NOT, HOLDS)]) == "holds"
    assert most(["holds", "does not hold"]) == "does not hold"
