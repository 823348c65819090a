"""Least squares with weights that are not negative and sum to 1: every row of an attention map is such a problem."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor


class Solution(NamedTuple):
    """Weights, and how far they may be from the best.

    Attributes:
        weights: rows on the simplex.
        gaps: at most so much lies between each row's objective and its least.
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

    With G = E[V V'] and c = E[o V'] this is E|w V - o|², but for a constant: the expected error of an average of V
    that is to stand for o. As rows sum to 1, taking one vector from all of V and o changes nothing, so both are
    centred first: what all values share would else drown what tells them apart.

    The method is accelerated projected gradient, restarted where it overshoots (Beck and Teboulle 2009; O'Donoghue
    and Candès 2015). It ends when every row's Frank-Wolfe gap, w g - min(g) for the gradient g, which bounds how far
    its objective is from the least, is small.

    Args:
        gram: E[V V'], of keys with each other.
        cross: E[o V'], a row a problem.
        start: rows on the simplex; where the objective does not care, weights stay near them.
        ridge: as a share of the mean of the centred diagonal of ``gram``.
        tolerance: of the gaps, as a share of the same.
        iterations: at most.

    >>> gram, cross = torch.eye(2), torch.tensor([[0.9, 0.1], [2.0, -1.0]])
    >>> least_squares(gram, cross, torch.full((2, 2), 0.5)).weights.round(decimals=3).tolist()
    [[0.9, 0.1], [1.0, 0.0]]
    """
    shared = gram.mean(1)
    gram = (gram - shared - shared[:, None] + shared.mean()).double()
    cross = (cross - shared).double()
    start = start.double()
    scale = float(gram.diagonal().mean())
    if scale <= 0:  # all values are alike: any weights do
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
    """Give the nearest points that are not negative and sum to 1.

    The threshold that is taken from every coordinate is found by Newton's method on a convex piecewise-linear
    function, from below, which ends at it exactly (Michelot 1986).

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
    """Frank-Wolfe gaps: the objective's gradient along the way to the best corner."""
    gradient = 2 * (weights @ gram - cross)
    return (weights * gradient).sum(1) - gradient.amin(1)
