"""Measures of attention maps, and a category of each map derived from them.

A map A has T rows (queries) and T columns (keys); rows are non-negative and sum to 1, so its mean is 1/T. Each measure
is of one map; the profile q_j is its mean over rows, and its variation S = sum_ij (A_ij - 1/T)^2.

    diagonality       weight along one diagonal, beyond chance. A band of keys i + o - w .. i + o + w, with
                      w = max(1, T // 16), holds the share m(o) of the rows that it meets, and c(o) of a uniform map's;
                      max over |o| <= T // 4 of (m - c) / (1 - c).                        0 (uniform) to 1 (identity)
    offset            position of that diagonal: the weighted mean of j - i within the band, in frames; positive looks
                      ahead.                                                              -T/4 - w to T/4 + w
    width             frames of the narrowest band around the offset that holds half of all weight.      1 to 2T - 1
    trend             rank correlation of the profile, averaged over 16 segments of keys, with the key's position.
                                                                                          -1 (falls) to 1 (rises)
    lean              centre of the profile: sum_j q_j (2j + 1 - T) / T.                  -1 (first key) to 1 (last)
    verticality       similarity of the rows: the share of the variation that their mean explains,
                      T sum_j (q_j - 1/T)^2 / S; 0 without variation.                     0 to 1 (all rows the same)
    banding           the same along diagonals: the share of the variation that the mean of each diagonal explains,
                      sum_o (T - |o|) (mean_o - 1/T)^2 / S.                        0 to 1 (each diagonal of one value)
    sparsity          entropy of the rows relative to uniform weights: 1 - mean_i H(A_i) / log T.
                                                                                          0 (uniform) to 1 (one key)

and for all maps A_u of a head over n utterances u:

    input dependence  the share of their variation that their mean over utterances does not explain:
                      V / (sum_ij (mean_ij - 1/T)^2 + (n - 1) V / n) with V = sum_ij var_ij (n - 1 in its denominator).
                      This is what a fixed map would lose, in squared weight. Nearly uniform maps (sparsity near 0) have
                      little to lose, so that the share is not informative.               0 (fixed) to 1

Globalness, verticality and diagonality of speech transformers go back to Yang et al. 2020, "Understanding
Self-Attention of Self-Supervised Audio Transformers"; here each is scaled so that maps of any length are comparable,
and a diagonal may be off the centre. The four categories are the study's (section 3.5 and Fig. 4).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import rankdata

from inattention.attention.mechanisms.patterned import CATEGORIES

MEASURES = ("diagonality", "offset", "width", "banding", "trend", "lean", "verticality", "sparsity")
MIXED = CATEGORIES.index("mixed")
SEGMENTS = 16  # of keys, for the trend: enough for a rank correlation, few enough to average noise
SMALLEST_VARIATION = 1e-12  # of a map; anything below is rounding

Measures = dict[str, Float[np.ndarray, "*maps"]]


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """Thresholds of the categories. The defaults were tuned on synthetic maps of each category, with noise.

    A map is diagonal if its diagonality is at least `diagonality`, or at least `faint` with a banding of at least
    `banding` that also exceeds its verticality. Else it is increasing or decreasing if its trend, lean and verticality
    reach their thresholds, sparse if its sparsity does, and mixed otherwise.

    Attributes:
        diagonality: smallest diagonality of a diagonal map.
        faint: smallest diagonality of a diagonal map with little other structure.
        banding: smallest banding of such a map.
        trend: smallest absolute trend of an increasing or decreasing map.
        lean: smallest absolute lean of such a map, which excludes slopes that are hardly visible.
        verticality: smallest verticality of such a map.
        sparsity: smallest sparsity of a sparse map.
    """

    diagonality: float = 0.25
    faint: float = 0.02
    banding: float = 0.3
    trend: float = 0.8
    lean: float = 0.12
    verticality: float = 0.1
    sparsity: float = 0.25


def measure(maps: Float[np.ndarray, "*maps queries keys"]) -> Measures:
    """Return the measures of maps, each by itself.

    Args:
        maps: rows are queries, columns keys; rows sum to 1.

    Returns:
        Each of `MEASURES` by name, for every map.

    Raises:
        ValueError: if the maps are not square, or of a single frame.

    >>> found = measure(np.eye(64))
    >>> {name: round(value.item(), 2) for name, value in found.items()}["diagonality"]
    1.0
    """
    time = maps.shape[-1]
    if maps.shape[-2] != time or time < 2:
        raise ValueError(f"maps must be square, of at least 2 frames, not of {maps.shape[-2]} rows and {time} columns")
    flat = np.asarray(maps, dtype=np.float64).reshape(-1, time, time)
    profile = flat.mean(1)
    found = {
        **_diagonal(flat),
        "banding": _banding(flat),
        "trend": _trend(profile),
        "lean": profile @ ((2 * np.arange(time) + 1 - time) / time),
        "verticality": _verticality(flat, profile),
        "sparsity": _sparsity(flat),
    }
    return {name: found[name].reshape(maps.shape[:-2]) for name in MEASURES}


def categorise(
    measures: Mapping[str, Float[np.ndarray, "*maps"]], thresholds: Thresholds | None = None
) -> Int[np.ndarray, "*maps"]:
    """Return the category of each map as an index of `CATEGORIES`: the first whose conditions hold, or `mixed`.

    Args:
        measures: measures of the maps by name.
        thresholds: thresholds of the categories.

    >>> rising = np.tile(np.arange(1.0, 65) ** 3, (64, 1))
    >>> CATEGORIES[categorise(measure(rising / rising.sum(1, keepdims=True)))]
    'increasing'
    """
    limits = thresholds or Thresholds()
    trend, lean = measures["trend"], measures["lean"]
    sloped = (np.abs(trend) >= limits.trend) & (np.abs(lean) >= limits.lean) & (trend * lean > 0)
    sloped &= measures["verticality"] >= limits.verticality
    faint = (measures["diagonality"] >= limits.faint) & (measures["banding"] >= limits.banding)
    faint &= measures["banding"] > measures["verticality"]
    return np.select(
        [
            (measures["diagonality"] >= limits.diagonality) | faint,
            sloped & (trend > 0),
            sloped & (trend < 0),
            measures["sparsity"] >= limits.sparsity,
        ],
        range(MIXED),
        MIXED,
    )


def input_dependence(
    mean: Float[np.ndarray, "*maps time time"], variance: Float[np.ndarray, "*maps time time"], count: int
) -> Float[np.ndarray, "*maps"]:
    """Return the share of the variation of maps over utterances that their mean does not explain.

    Args:
        mean: mean map over utterances.
        variance: unbiased variance of each weight over utterances.
        count: number of utterances; the result is NaN for one.

    >>> input_dependence(np.eye(4), np.zeros((4, 4)), 10).item()
    0.0
    """
    if count < 2:
        return np.full(mean.shape[:-2], np.nan)
    explained = np.square(mean - 1 / mean.shape[-1]).sum((-1, -2))
    varying = np.asarray(variance.sum((-1, -2)))
    variation = np.asarray(explained + varying * (count - 1) / count)
    return _share(varying, variation)


def usual_category(counts: Int[np.ndarray, "*maps categories"]) -> Int[np.ndarray, "*maps"]:
    """Return the category of more than half of the single maps of a head; else `mixed`.

    >>> CATEGORIES[usual_category(np.array([6, 4, 0, 0, 0]))], CATEGORIES[usual_category(np.array([5, 5, 0, 0, 0]))]
    ('diagonal', 'mixed')
    """
    return np.where(2 * counts.max(-1) > counts.sum(-1), counts.argmax(-1), MIXED)


def _diagonal(maps: Float[np.ndarray, "maps time time"]) -> dict[str, Float[np.ndarray, " maps"]]:
    """Return the measures of the band along a diagonal with most weight beyond chance."""
    time = maps.shape[-1]
    offsets = np.arange(-(time - 1), time)
    sums = np.stack([np.diagonal(maps, offset, -2, -1).sum(-1) for offset in offsets], axis=-1)
    half, furthest = max(1, time // 16), time // 4
    uniform = (time - np.abs(offsets)) / time
    centres = np.arange(-furthest, furthest + 1)
    low = np.maximum(centres - half + time - 1, 0)
    high = np.minimum(centres + half + time - 1, 2 * time - 2) + 1
    met = time - np.maximum(np.abs(centres) - half, 0)  # number of rows that intersect the band

    def share(of: np.ndarray) -> np.ndarray:
        cumulated = np.concatenate([np.zeros((*of.shape[:-1], 1)), np.cumsum(of, -1)], -1)
        return (cumulated[..., high] - cumulated[..., low]) / met

    chance = share(uniform)
    beyond = (share(sums) - chance) / np.maximum(1 - chance, SMALLEST_VARIATION)
    best = beyond.argmax(-1)
    band = (offsets >= offsets[low[best], None]) & (offsets <= offsets[high[best] - 1, None])
    weight = np.where(band, np.maximum(sums - uniform, 0), 0)  # uniform weight has no position
    mass = weight.sum(-1)
    offset = np.where(mass > SMALLEST_VARIATION, (weight @ offsets) / np.maximum(mass, SMALLEST_VARIATION), 0.0)
    distance = np.abs(offsets - np.rint(offset)[:, None]).astype(int)
    within = np.zeros((len(maps), 2 * time))
    np.add.at(within, (np.arange(len(maps))[:, None], distance), sums)
    reach = (np.cumsum(within, -1) >= 0.5 * sums.sum(-1, keepdims=True) - 1e-9).argmax(-1)
    return {
        "diagonality": np.clip(np.take_along_axis(beyond, best[:, None], -1)[:, 0], 0, 1),
        "offset": offset,
        "width": 2.0 * reach + 1,
    }


def _trend(profile: Float[np.ndarray, "maps time"]) -> Float[np.ndarray, " maps"]:
    """Return Spearman's rank correlation of the means of segments with their order."""
    time = profile.shape[-1]
    edges = np.linspace(0, time, min(SEGMENTS, time), endpoint=False).astype(int)
    means = np.add.reduceat(profile, edges, axis=-1) / np.diff([*edges, time])
    means = np.round(means * time, 9)  # equal up to rounding
    ranks = rankdata(means, axis=-1)
    ranks -= ranks.mean(-1, keepdims=True)
    order = np.arange(len(edges)) - (len(edges) - 1) / 2
    scale = np.sqrt(np.square(ranks).sum(-1) * np.square(order).sum())
    return np.where(scale > 0, ranks @ order / np.maximum(scale, SMALLEST_VARIATION), 0.0)


def _verticality(
    maps: Float[np.ndarray, "maps time time"], profile: Float[np.ndarray, "maps time"]
) -> Float[np.ndarray, " maps"]:
    time = maps.shape[-1]
    variation = np.square(maps - 1 / time).sum((-1, -2))
    columns = time * np.square(profile - 1 / time).sum(-1)
    return _share(columns, variation)


def _banding(maps: Float[np.ndarray, "maps time time"]) -> Float[np.ndarray, " maps"]:
    time = maps.shape[-1]
    beyond = maps - 1 / time
    variation = np.square(beyond).sum((-1, -2))
    offsets = range(-(time - 1), time)
    along = sum(np.square(np.diagonal(beyond, o, -2, -1).sum(-1)) / (time - abs(o)) for o in offsets)
    return _share(np.asarray(along), variation)


def _share(part: Float[np.ndarray, "*maps"], variation: Float[np.ndarray, "*maps"]) -> Float[np.ndarray, "*maps"]:
    """Return a part of the variation as a share of it; 0 without variation."""
    share = np.clip(part / np.maximum(variation, SMALLEST_VARIATION), 0, 1)
    return np.where(variation < SMALLEST_VARIATION, 0.0, share)


def _sparsity(maps: Float[np.ndarray, "maps time time"]) -> Float[np.ndarray, " maps"]:
    logs = np.log(np.where(maps > 0, maps, 1.0))
    entropy = -(maps * logs).sum(-1).mean(-1)
    return np.clip(1 - entropy / np.log(maps.shape[-1]), 0, 1)
