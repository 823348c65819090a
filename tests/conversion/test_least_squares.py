"""Least squares on the simplex: solutions satisfy the optimality conditions."""

import torch
from torch import Tensor

from inattention.conversion.least_squares import least_squares, project


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def objective(weights: Tensor, gram: Tensor, cross: Tensor) -> Tensor:
    return (weights @ gram * weights).sum(1) - 2 * (weights * cross).sum(1)


def values_and_outputs(seed: int = 0, keys: int = 12, count: int = 400) -> tuple[Tensor, Tensor]:
    """Return values with a large common component, and outputs that no weights reproduce exactly."""
    values = random(keys, count, seed=seed) + 5 * random(1, count, seed=seed + 1)
    mixes = (2 * random(20, keys, seed=seed + 2)).softmax(1)
    return values, mixes @ values + 0.5 * random(20, count, seed=seed + 3) + 0.3 * values[:1] - 0.3 * values[1:2]


def test_projections_are_the_nearest_weights() -> None:
    points = 3 * random(200, 7)
    near = project(points)
    assert bool((near >= 0).all())
    torch.testing.assert_close(near.sum(1), torch.ones(200, dtype=torch.float64))
    # x is the nearest if no corner of the simplex lies further along points - x than x itself.
    along = points - near
    assert float((along.amax(1) - (along * near).sum(1)).max()) < 1e-9


def test_the_solution_satisfies_the_optimality_conditions_and_no_weights_are_better() -> None:
    values, outputs = values_and_outputs()
    gram, cross = values @ values.T / 400, outputs @ values.T / 400
    start = torch.full((20, 12), 1 / 12, dtype=torch.float64)
    found = least_squares(gram, cross, start, tolerance=1e-9, iterations=20_000)
    weights = found.weights
    assert bool((weights >= 0).all())
    torch.testing.assert_close(weights.sum(1), torch.ones(20, dtype=torch.float64))
    gradient = 2 * (weights @ gram - cross)
    level = (weights * gradient).sum(1, keepdim=True)
    assert bool((gradient > level - 1e-6).all()), "a key that is left out would lower the error"
    assert float(((gradient - level).abs() * (weights > 1e-6)).max()) < 1e-5, "keys in use differ in what they gain"
    assert bool((weights < 1e-9).any()), "the case should have bounds that bind"
    best = objective(weights, gram, cross)
    for seed in range(20):
        other = 0.9 * weights + 0.1 * random(20, 12, seed=seed).softmax(1)
        assert bool((objective(other, gram, cross) >= best - 1e-9).all())


def test_gaps_bound_the_distance_of_an_early_end_from_the_optimum() -> None:
    values, outputs = values_and_outputs(seed=9)
    gram, cross = values @ values.T / 400, outputs @ values.T / 400
    start = torch.full((20, 12), 1 / 12, dtype=torch.float64)
    best = objective(least_squares(gram, cross, start, tolerance=1e-10, iterations=20_000).weights, gram, cross)
    early = least_squares(gram, cross, start, tolerance=0.0, iterations=1)
    behind = objective(early.weights, gram, cross) - best
    assert float(behind.max()) > 1e-6
    assert bool((behind <= early.gaps + 1e-9).all())


def test_the_start_is_kept_where_all_weights_are_optimal() -> None:
    start = random(3, 5).softmax(1)
    assert torch.equal(least_squares(torch.ones(5, 5), torch.ones(3, 5), start).weights, start)
