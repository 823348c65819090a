"""Averages with weights over j - i that are 0 outside of a band, for input of any length, and how a band is found.

    A(i, j) = w(j - i) / sum of w(. - i) over real keys,    w(k) = level + band(k) + what is left out

The uniform part `level` costs one sum over time for all rows together, so a Gaussian on a uniform weight becomes a
narrow band and a level. What is left out is bounded by its share of a row, the largest over all rows of all lengths.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from inattention.attention.base import AttentionMechanism, Reach
from inattention.attention.ops.banded import Bands, make_bands, multiply
from inattention.attention.ops.cache import CachesInEvaluation
from inattention.attention.ops.fixed_maps import VANISHING_MASS
from inattention.attention.ops.padding import full_mask, softmax_over_valid, zero_invalid

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


class _Limits(NamedTuple):
    low: int
    high: int


class ToeplitzBand(CachesInEvaluation):
    """A(i, j) = w(j - i) / sum of w(. - i) over real keys, w given from the lowest to the highest j - i of each head.

    Args:
        like: the mechanism that it takes the place of.
        taps: weights for each j - i from ``-(offsets // 2)`` to ``offsets // 2``.
        limits: lowest and highest j - i of the band of each head.
        left_out: greatest part of any row of the original weights that lies outside of the bands.
    """

    taps: Tensor

    def __init__(
        self,
        like: AttentionMechanism,
        taps: Float[Tensor, "heads offsets"],
        limits: tuple[tuple[int, int], ...],
        left_out: float,
    ) -> None:
        super().__init__(width=like.width, heads=like.heads)
        self.register_buffer("taps", taps)
        self.limits = tuple(_Limits(*it) for it in limits)
        self.left_out = left_out
        self.eval()

    def receptive_field(self) -> Reach:
        """Return the reach of the widest band."""
        return Reach(max(0, *(-it.low for it in self.limits)), max(0, *(it.high for it in self.limits)))

    @property
    def longest(self) -> int | None:
        """The longest input in frames: there is no limit."""
        return None

    def weights(
        self, hidden: Float[Tensor, "batch time width"], valid: Bool[Tensor, "batch time"] | None = None
    ) -> Float[Tensor, "batch heads time time"]:
        """Return the weights, dense."""
        time, middle = hidden.shape[1], self.taps.shape[1] // 2
        frames = torch.arange(time, device=hidden.device)
        offset = frames - frames[:, None]
        rows = self.taps[:, offset.clamp(-middle, middle) + middle]
        inside = torch.stack([(offset >= low) & (offset <= high) for low, high in self.limits])
        logits = rows.log().masked_fill(~inside, float("-inf")).expand(len(hidden), -1, -1, -1)
        return softmax_over_valid(logits, full_mask(valid, hidden)).to(hidden.dtype)

    def forward(
        self,
        hidden: Float[Tensor, "batch time width"],
        values: Float[Tensor, "batch heads time head_dim"],
        valid: Bool[Tensor, "batch time"] | None = None,
    ) -> Float[Tensor, "batch heads time head_dim"]:
        """Average by banded products, one for the values and one for what rows sum to."""
        dtype = torch.promote_types(values.dtype, torch.float32)
        with torch.autocast(values.device.type, enabled=False):
            bands = self.cached(dtype, lambda: self._bands(dtype))
            real = full_mask(valid, hidden).t().to(dtype)
            columns = zero_invalid(values, valid).to(dtype).permute(1, 2, 0, 3).flatten(2)
            mass = multiply(bands, real.expand(self.heads, -1, -1).contiguous())
            mass = torch.where(mass < VANISHING_MASS, 1.0, mass)
            output = multiply(bands, columns).unflatten(2, (values.shape[0], -1)) / mass[..., None]
            return output.permute(2, 0, 1, 3).to(values.dtype)

    def _bands(self, dtype: torch.dtype) -> Bands:
        lowest, highest = min(it.low for it in self.limits), max(it.high for it in self.limits)
        middle = self.taps.shape[1] // 2
        inside = self.taps[:, lowest + middle : highest + middle + 1]
        return make_bands(inside.to(dtype), lowest, self.limits)


def band_within(like: AttentionMechanism, logits: Float[Tensor, "heads offsets"], bound: float) -> ToeplitzBand | None:
    """Return the narrowest bands that leave out at most a part of any row of a table.

    Args:
        like: the mechanism that has the table.
        logits: of the weights for each j - i, that of 0 in the middle.
        bound: greatest part of a row that may be left out; 0 for the whole table.

    Returns:
        None if the weights of a row can be too small beside the largest ones of the head for sums in float32.
    """
    taps = (logits.double() - logits.double().amax(1, keepdim=True)).exp()
    arrays = taps.cpu().numpy()
    if min(map(least_mass, arrays)) < VANISHING_MASS:
        return None
    bands = [band_of(it, bound, uniform=False) for it in arrays]
    limits = tuple((min(0, band.low), max(0, band.high)) for band in bands)
    return ToeplitzBand(like, taps, limits, max(band.outside for band in bands))
