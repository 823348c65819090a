"""The variance between seeds of a row, with what the other rows' seeds say about it.

Three seeds or more give a row's own sample variance, which is left as it is. The variances of rows differ a lot: one
unstable mechanism may have many times the deviation of another. Intervals that shrink the variances of all rows towards
each other, as limma does (Smyth 2004, "Linear models and empirical Bayes methods for assessing differential expression
in microarray experiments"), then cover 90 to 92 % in simulation, those from own variances 94 to 95 %.

Two seeds pay for their single degree of freedom with 12.7 standard errors. Their variance is moderated as by Smyth,

    (d0 v + s²) / (d0 + 1)    on    d0 + 1    degrees of freedom,

with v the mean variance of all rows with several seeds and d0 at most `BORROWED`. It covers as often as the row's own
variance, with two thirds of the mean width.

One seed has the mean variance v. Its degrees of freedom account for two things: v is itself an estimate, and the
variances of rows scatter around it. Nothing protects from a row that is far less stable than all rows of the pool.

A pool with few degrees of freedom says little, and two seeds that happen to agree say nothing: a deviation of
`LEAST_DEVIATION` is assumed there at least, and `Components` adds what follows from it without pooling degrees of
freedom. In simulation, intervals of two rows with one seed then cover 97 % and more with a pool of one row, 94 % and
more with two rows or five whose deviations differ by a factor of 1.6 or so (without: 84 to 95 %).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import polygamma

# Most degrees of freedom that a row with two seeds takes from other rows, and fewest by which rows scatter around the
# mean variance. Both limit what an estimate of d0 from a handful of rows can do.
BORROWED, FEWEST = 2.0, 4.0
# Sample variances below this share of their mean count as this share: the logarithm of 0 would decide everything.
SMALLEST = 1e-4
# A point of accuracy, assumed of one seed where the pool has fewer than `FEWEST` degrees of freedom. Deviations of
# 0.5 to 4 points were found on the corpora and tasks of the studies in results/.
LEAST_DEVIATION = 0.01


@dataclass(frozen=True)
class SeedVariance:
    """The variance of one row's result between seeds.

    Attributes:
        variance: of a single seed.
        freedom: its degrees of freedom.
    """

    variance: float
    freedom: float


@dataclass(frozen=True)
class VariancePrior:
    """Prior of the variance between seeds of any row, from the rows with several seeds.

    Attributes:
        variance: their mean variance, weighted by degrees of freedom.
        freedom: degrees of freedom of this mean, fewer than the rows' where the rows differ.
        similarity: d0, with how many degrees of freedom the rows' true variances scatter around their mean; infinite
            where sample variances differ no more than samples of one variance would.
        pooled_freedom: degrees of freedom of all rows together: no variance that borrows has more.
        floor: least variance of a row with one seed, where fewer than `FEWEST` degrees of freedom are known.
    """

    variance: float
    freedom: float
    similarity: float
    pooled_freedom: float
    floor: float = field(default=0.0, repr=False)

    @classmethod
    def fit(cls, variances: Sequence[float], freedoms: Sequence[int]) -> "VariancePrior":
        """Return the prior of rows with several seeds each.

        d0 is estimated by the variance of the logarithms (Smyth 2004, section 6.2), the freedom of the mean by
        Satterthwaite's formula with unbiased estimates 2 s⁴ / (d + 2) of the variance of each s².

        Args:
            variances: sample variance over seeds of each row with several.
            freedoms: number of seeds less one, of each.

        >>> VariancePrior.fit([1.0, 1.0, 1.0, 1.0], [2, 2, 2, 2])
        VariancePrior(variance=1.0, freedom=8.0, similarity=inf, pooled_freedom=8.0)
        """
        s2, d = np.array(variances, float), np.array(freedoms, float)
        total = float(d.sum())
        mean = float(d @ s2) / total
        if mean == 0:
            return cls(0.0, total, math.inf, total)
        scatter = float((d**2 * s2**2 / (d + 2)).sum()) / total**2
        freedom, similarity = min(mean**2 / scatter, total), math.inf
        if len(s2) > 1:
            logs = np.log(np.maximum(s2, SMALLEST * mean))
            excess = float(logs.var(ddof=1) - polygamma(1, d / 2).mean())
            similarity = 2 * _inverse_trigamma(excess) if excess > 0 else math.inf
        return cls(mean, freedom, similarity, total)

    def scaled(self, factor: float) -> "VariancePrior":
        """Return the prior for results multiplied by the root of the factor."""
        return replace(self, variance=factor * self.variance, floor=factor * self.floor)

    def posterior(self, own: SeedVariance) -> SeedVariance:
        """Return a row's variance with what it takes from the other rows.

        Args:
            own: the row's sample variance; a row with one seed has 0 degrees of freedom.
        """
        if own.freedom > 1:
            return own
        if own.freedom == 0:
            scattered = max(self.similarity, FEWEST)
            least = self.floor if self.pooled_freedom < FEWEST else 0.0
            return SeedVariance(max(self.variance, least), 1 / (1 / self.freedom + 1 / scattered))
        borrowed = min(self.similarity, BORROWED)
        moderated = (borrowed * self.variance + own.variance) / (borrowed + 1)
        return SeedVariance(moderated, min(borrowed + 1, self.pooled_freedom))


@dataclass(frozen=True)
class SeedPool:
    """Seed variance of all rows, from the rows with several seeds.

    Attributes:
        prior: of the variance between seeds.
        noise: the part of that variance that comes from test utterances, mean over rows.
    """

    prior: VariancePrior
    noise: float

    @classmethod
    def fit(cls, values: Sequence[Float[np.ndarray, "_ _"]]) -> "SeedPool | None":
        """Return the pool of rows with several seeds each; None if there are no rows.

        Args:
            values: accuracies of each row by seed, the estimate first and its bootstrap draws behind it.
        """
        if not values:
            return None
        variances, noises = zip(*map(between_seeds, values), strict=True)
        prior = VariancePrior.fit(variances, [len(it) - 1 for it in values])
        return cls(replace(prior, floor=LEAST_DEVIATION**2), sum(noises) / len(noises))


def between_seeds(values: Float[np.ndarray, "seeds values"]) -> tuple[float, float]:
    """Return the variance between seeds and the part of it that comes from test utterances.

    The second is what the variance between seeds of a bootstrap draw is on average, once each seed's estimate is
    subtracted.

    Args:
        values: results of a row by seed, the estimate first and its bootstrap draws behind it.
    """
    deviations = values[:, 1:] - values[:, :1]
    return float(values[:, 0].var(ddof=1)), float(deviations.var(axis=0, ddof=1).mean())


def _inverse_trigamma(value: float) -> float:
    """Return x with trigamma(x) = value."""
    return float(brentq(lambda x: float(polygamma(1, x)) - value, 1e-6, 1e8))
