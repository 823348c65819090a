"""The variance between seeds, moderated over rows.

Two or three seeds determine a variance badly, and Student's t pays for it: 12.7 standard errors with two seeds. The
seeds of all other rows say what a variance between seeds is usually like. Smyth (2004, "Linear models and empirical
Bayes methods for assessing differential expression in microarray experiments", as in limma) takes the rows' variances
σ² as drawn from a scaled inverse χ² distribution with d0 degrees of freedom around s0². A row with the sample variance
s² on d degrees of freedom then has the posterior variance

    (d0 s0² + d s²) / (d0 + d)    on    d0 + d    degrees of freedom,

and a row with one seed, d = 0, has s0² on d0. Where rows differ much in their variance, d0 is small and little is
borrowed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import digamma, polygamma

# Sample variances below this share of their mean count as this share: the logarithm of 0 would decide everything.
SMALLEST = 1e-4


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
    """What the rows with several seeds say about the variance between seeds of any row.

    Attributes:
        variance: s0².
        freedom: d0; infinite where the rows' variances differ no more than samples of one variance would.
        pooled_freedom: degrees of freedom of all rows together: no variance has more.
    """

    variance: float
    freedom: float
    pooled_freedom: float

    @classmethod
    def fit(cls, variances: Sequence[float], freedoms: Sequence[int]) -> "VariancePrior":
        """Return the prior, estimated by the moments of the variances' logarithms (Smyth 2004, section 6.2).

        Args:
            variances: sample variance over seeds of each row with several.
            freedoms: number of seeds less one, of each.

        >>> VariancePrior.fit([1.0, 1.1, 0.9], [2, 2, 2])
        VariancePrior(variance=1.0, freedom=inf, pooled_freedom=6)
        """
        s2, d = np.array(variances, float), np.array(freedoms, float)
        pooled = float((d * s2).sum() / d.sum())
        total = int(d.sum())
        if len(s2) < 2 or pooled == 0:
            return cls(pooled, math.inf, total)
        logs = np.log(np.maximum(s2, SMALLEST * pooled)) - digamma(d / 2) + np.log(d / 2)
        excess = float(logs.var(ddof=1) - polygamma(1, d / 2).mean())
        if excess <= 0:
            return cls(pooled, math.inf, total)
        d0 = 2 * _inverse_trigamma(excess)
        return cls(math.exp(logs.mean() + digamma(d0 / 2) - math.log(d0 / 2)), d0, total)

    def scaled(self, factor: float) -> "VariancePrior":
        """Return the prior for results multiplied by the root of the factor."""
        return replace(self, variance=factor * self.variance)

    def posterior(self, own: SeedVariance) -> SeedVariance:
        """Return the moderated variance of a row.

        Args:
            own: the row's sample variance; a row with one seed has 0 degrees of freedom.
        """
        if math.isinf(self.freedom):
            return SeedVariance(self.variance, self.pooled_freedom)
        total = self.freedom + own.freedom
        moderated = (self.freedom * self.variance + own.freedom * own.variance) / total
        return SeedVariance(moderated, min(total, self.pooled_freedom))


@dataclass(frozen=True)
class SeedPool:
    """What the rows with several seeds say about all rows.

    Attributes:
        prior: of the variance between seeds.
        noise: the part of that variance that comes from test utterances, mean over rows.
    """

    prior: VariancePrior
    noise: float

    @classmethod
    def fit(cls, values: Sequence[Float[np.ndarray, "_ draws+1"]]) -> "SeedPool | None":
        """Return the pool of rows with several seeds each; None if there are no rows.

        Args:
            values: results of each row by seed, the estimate first and its bootstrap draws behind it.
        """
        if not values:
            return None
        variances, noises = zip(*map(between_seeds, values), strict=True)
        prior = VariancePrior.fit(variances, [len(it) - 1 for it in values])
        return cls(prior, sum(noises) / len(noises))


def between_seeds(values: Float[np.ndarray, "seeds draws+1"]) -> tuple[float, float]:
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
