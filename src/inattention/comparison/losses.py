"""Differences of held-out losses, which have seeds and no utterances."""

import math
import statistics
from collections.abc import Iterable, Mapping

from inattention.comparison.components import Components, RowVariance
from inattention.comparison.estimates import Difference
from inattention.comparison.seed_variance import SeedVariance, VariancePrior


def loss_prior(losses: Iterable[Mapping[int, float]]) -> VariancePrior | None:
    """Return what rows with several seeds say about the variance of a loss between seeds; None if there are none.

    Args:
        losses: of each row by seed. Losses that are not finite are left out.
    """
    finite = [values for row in losses if len(values := _finite(row)) > 1]
    if not finite:
        return None
    return VariancePrior.fit([statistics.variance(it) for it in finite], [len(it) - 1 for it in finite])


def seed_difference(
    ones: Mapping[int, float], others: Mapping[int, float] | float, prior: VariancePrior | None
) -> Difference | None:
    """Return how much higher one mean over seeds is than another, by the rule that accuracies follow.

    Args:
        ones: loss by seed.
        others: loss by seed, or a number that no seed moves, such as the loss of a linear baseline.
        prior: of the variance between seeds, from `loss_prior`; None if no row has several seeds.

    Returns:
        The difference; None if a side has no finite loss, or has one seed and there is no prior.

    >>> one, other = {0: 0.31, 1: 0.32}, {0: 0.41, 1: 0.43}
    >>> found = seed_difference(one, other, loss_prior([one, other]))
    >>> round(found.estimate, 3), found.verdict
    (-0.105, 'does not hold')
    """
    sides = [_finite(ones)] + ([] if isinstance(others, float | int) else [_finite(others)])
    if not all(sides) or (prior is None and any(len(values) == 1 for values in sides)):
        return None
    reference = float(others) if isinstance(others, float | int) else statistics.fmean(sides[1])
    if not math.isfinite(reference):
        return None
    borrowed = any(len(values) < 3 for values in sides)
    pooled = prior.pooled_freedom if prior and borrowed else math.inf
    rows = []
    for values in sides:
        own = SeedVariance(statistics.variance(values) if len(values) > 1 else 0.0, len(values) - 1)
        moderated = prior.posterior(own) if prior else own
        rows.append(RowVariance(moderated.variance, 0.0, len(values), moderated.freedom, pooled))
    components = Components(0.0, 0, tuple(rows))
    estimate, half = statistics.fmean(sides[0]) - reference, components.half_width
    seeds = min(map(len, sides))
    widened = seeds == 1
    return Difference(estimate, estimate - half, estimate + half, seeds, widened=widened, components=components)


def _finite(losses: Mapping[int, float]) -> list[float]:
    return [it for it in losses.values() if math.isfinite(it)]
