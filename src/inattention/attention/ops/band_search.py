"""The band outside of which next to nothing of any row of a Toeplitz matrix lies.

    A(i, j) = w(j - i) / sum of w(. - i) over real keys,    w(k) = level + band(k) + what is left out

The uniform part `level` costs one sum over time for all rows together, so a Gaussian on a uniform weight becomes a
narrow band and a level. What is left out is bounded by its share of a row, the largest over all rows of all lengths.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_HALVINGS = 40
_SMALLEST = 1e-30  # of thresholds
_PRECISION = 1e-12


@dataclass(frozen=True)
class Band:
    """A band of weights.

    Attributes:
        low: lowest j - i of the band.
        high: highest j - i of the band.
        level: uniform weight of every key, inside of the band and outside.
        outside: the largest share of a row that is left out.
    """

    low: int
    high: int
    level: float
    outside: float

    @property
    def reach(self) -> int:
        """Number of keys in the band."""
        return self.high - self.low + 1


def least_mass(taps: Float[np.ndarray, " offsets"]) -> float:
    """Return the least sum of a row of any length: that of a query whose only key is itself."""
    return float(taps[len(taps) // 2])


def band_of(taps: Float[np.ndarray, " offsets"], bound: float, *, uniform: bool = True) -> Band:
    """Return the narrowest band that leaves out at most `bound` of any row of any length.

    Args:
        taps: weights for each j - i from 1 - longest to longest - 1, in float64.
        bound: the largest share of a row that may be left out.
        uniform: whether a uniform weight of all keys may be a part of it.
    """
    found = [_band(taps, level, bound) for level in ((0.0, float(taps.min())) if uniform else (0.0,))]
    return min(found, key=lambda band: band.reach)


def _band(taps: np.ndarray, level: float, bound: float) -> Band:
    middle = len(taps) // 2
    rest = taps - level

    def limits(threshold: float) -> tuple[int, int]:
        inside = np.flatnonzero(rest > threshold)
        return (int(inside[0]) - middle, int(inside[-1]) - middle) if len(inside) else (0, 0)

    keeps, loses = 0.0, 1.0  # thresholds
    for _ in range(_HALVINGS):
        tried = (max(keeps, _SMALLEST) * loses) ** 0.5
        within = _outside(taps, rest, limits(tried)) <= bound
        keeps, loses = (tried, loses) if within else (keeps, tried)
    low, high = limits(keeps)
    return Band(low, high, level, _outside(taps, rest, (low, high)))


def _outside(taps: np.ndarray, rest: np.ndarray, limits: tuple[int, int]) -> float:
    """Return the largest share of a row outside of limits.

    A row with p keys before its query and q after it has the share (a_p + b_q) / (c_p + d_q), sums of what is left out
    over sums of all. With the best p and q for a_p - s c_p and b_q - s d_q, s rises to the largest share (Dinkelbach
    1967). Rows longer than the longest input are among them, so the share is no smaller than that of any input.
    """
    middle = len(taps) // 2
    left_out = rest.copy()
    left_out[limits[0] + middle : limits[1] + middle + 1] = 0
    (before_out, after_out), (before, after) = _sums(left_out), _sums(taps)
    share = 0.0
    while True:
        p, q = (before_out - share * before).argmax(), (after_out - share * after).argmax()
        better = float((before_out[p] + after_out[q]) / (before[p] + after[q]))
        if better <= share * (1 + _PRECISION):
            return max(share, better)
        share = better


def _sums(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums over the p keys before a query and, from the query on, over q + 1 keys."""
    middle = len(weights) // 2
    before = np.concatenate([[0.0], np.cumsum(weights[:middle][::-1])])
    return before, np.cumsum(weights[middle:])
