"""Least squares on the simplex (weights are non-negative and sum to 1): the problem of each row of a fixed map."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Solution(NamedTuple):
    """Weights, and an upper bound of their distance from the optimum.

    Attributes:
        weights: rows on the simplex.
        gaps: upper bound of the difference between each row's objective and its minimum.
    """

    weights: Float[Tensor, "rows keys"]
    gaps: Float[Tensor, " rows"]


def least_squares(
    gram: Float[Tensor, "keys keys"],
    cross: Float[Tensor, "rows keys"],
    start: Float[Tensor, "rows keys"],
    *,
    ridge: float = 0.0,
    tolerance: float = 1e-4,
    iterations: int = 2000,
) -> Solution:
    """Minimise w G w' - 2 c w' + ridge |w - start|² for each row c of ``cross``, over w >= 0 with a sum of 1.

    With G = E[V V'] and c = E[o V'] this is E|w V - o|² up to a constant: the expected error of an average of V that
    replaces o. Because rows sum to 1, subtracting one vector from all of V and o changes nothing. Both are centred
    first, which improves the condition of the problem: the component that all values share would dominate it.

    The method is accelerated projected gradient descent with restarts (Beck and Teboulle 2009; O'Donoghue and Candès
    2015). It ends when the Frank-Wolfe gap of every row is small: w g - min(g) for the gradient g, an upper bound of
    the difference between the objective and its minimum.

    Args:
        gram: E[V V'] of the keys.
        cross: E[o V'], one problem per row.
        start: rows on the simplex; where the objective is flat, weights stay near them.
        ridge: penalty, as a share of the mean of the centred diagonal of ``gram``.
        tolerance: of the gaps, as a share of the same.
        iterations: largest number of iterations.

    >>> gram, cross = torch.eye(2), torch.tensor([[0.9, 0.1], [2.0, -1.0]])
    >>> least_squares(gram, cross, torch.full((2, 2), 0.5)).weights.round(decimals=3).tolist()
    [[0.9, 0.1], [1.0, 0.0]]
    """
    shared = gram.mean(1)
    gram = (gram - shared - shared[:, None] + shared.mean()).double()
    cross = (cross - shared).double()
    start = start.double()
    scale = float(gram.diagonal().mean())
    if scale <= 0:  # all values are equal: any weights are optimal
        return Solution(start, start.new_zeros(len(start)))
    gram, cross = gram / scale + ridge * torch.eye(len(gram)), cross / scale + ridge * start
    rate = 1 / float(torch.linalg.eigvalsh(gram)[-1].clamp(min=1e-12))
    best, ahead = start, start
    momentum = start.new_ones(len(start), 1)
    gaps = _gaps(best, gram, cross)
    for count in range(1, iterations + 1):
        new = project(ahead - rate * (ahead @ gram - cross))
        overshot = ((ahead - new) * (new - best)).sum(1, keepdim=True) > 0
        momentum = torch.where(overshot, 1.0, momentum)
        following = (1 + (1 + 4 * momentum.square()).sqrt()) / 2
        ahead = new + torch.where(overshot, 0.0, (momentum - 1) / following) * (new - best)
        best, momentum = new, following
        if count % 10 == 0:
            gaps = _gaps(best, gram, cross)
            if float(gaps.max()) <= tolerance:
                break
    return Solution(best, _gaps(best, gram, cross) * scale)


def project(points: Float[Tensor, "rows keys"]) -> Float[Tensor, "rows keys"]:
    """Project points onto the simplex.

    The threshold that is subtracted from every coordinate is found by Newton's method on a convex piecewise-linear
    function, from below, which is exact after a finite number of iterations (Michelot 1986).

    >>> project(torch.tensor([[0.4, 0.4], [3.0, 0.0]])).tolist()
    [[0.5, 0.5], [1.0, 0.0]]
    """
    threshold = torch.maximum(points.amax(1, keepdim=True) - 1, (points.sum(1, keepdim=True) - 1) / points.shape[1])
    kept = points > threshold
    while True:
        count = kept.sum(1, keepdim=True).clamp(min=1)
        threshold = ((points * kept).sum(1, keepdim=True) - 1) / count
        fewer = points > threshold
        if bool((fewer.sum(1, keepdim=True) >= count).all()):
            return (points - threshold).clamp(min=0)
        kept = fewer


def _gaps(weights: Tensor, gram: Tensor, cross: Tensor) -> Float[Tensor, " rows"]:
    """Return the Frank-Wolfe gaps: the slope of the objective towards the best vertex of the simplex."""
    gradient = 2 * (weights @ gram - cross)
    return (weights * gradient).sum(1) - gradient.amin(1)
