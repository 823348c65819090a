"""Synthetic maps of each category, with noise, which the thresholds were tuned on."""

import numpy as np


def normalised(weights: np.ndarray) -> np.ndarray:
    return weights / weights.sum(-1, keepdims=True)


def diagonal(draw: np.random.Generator, time: int) -> np.ndarray:
    """Return a Gaussian around i + offset, with a standard deviation of 0.5 to T/12 frames."""
    steps = np.arange(time)
    offset = draw.integers(-time // 8, time // 8 + 1)
    spread = draw.uniform(0.5, time / 12)
    return normalised(np.exp(-0.5 * ((steps[None] - steps[:, None] - offset) / spread) ** 2) + 1e-9)


def increasing(draw: np.random.Generator, time: int) -> np.ndarray:
    """Return (j + 1)^p for every row, with p from 1 to 4; the study's is 3."""
    return normalised(np.tile((np.arange(time) + 1.0) ** draw.uniform(1, 4), (time, 1)))


def decreasing(draw: np.random.Generator, time: int) -> np.ndarray:
    return increasing(draw, time)[:, ::-1]


def sparse(draw: np.random.Generator, time: int) -> np.ndarray:
    """Return weights on a few keys, which are the same for all rows (stripes) or differ."""
    keys = int(draw.integers(3, max(4, time // 12)))
    if draw.random() < 0.5:
        weights = np.zeros((1, time))
        weights[0, draw.choice(time, keys, replace=False)] = draw.uniform(0.5, 1.5, keys)
        return normalised(np.tile(weights, (time, 1)))
    weights = np.zeros((time, time))
    for row in weights:
        row[draw.choice(time, keys, replace=False)] = draw.uniform(0.5, 1.5, keys)
    return normalised(weights)


def mixed(draw: np.random.Generator, time: int) -> np.ndarray:
    """Return uniform weights, N(0, 1) logits as in the study's five random heads, or a slope that is hardly visible."""
    kind = draw.integers(3)
    if kind == 0:
        return np.full((time, time), 1 / time)
    if kind == 1:
        return normalised(np.exp(draw.standard_normal((time, time))))
    return normalised(np.tile(1 + 0.2 * np.arange(time) / time, (time, 1)))


MADE = {
    "diagonal": diagonal,
    "increasing": increasing,
    "decreasing": decreasing,
    "sparse": sparse,
    "mixed": mixed,
}


def noisy(map_: np.ndarray, draw: np.random.Generator, noise: float) -> np.ndarray:
    """Multiply each weight by exp(noise * N(0, 1)), and distribute a share of noise / 4 of each row over all keys."""
    time = map_.shape[-1]
    shaken = normalised(map_ * np.exp(noise * draw.standard_normal(map_.shape)))
    even = noise / 4
    return (1 - even) * shaken + even / time


def make(category: str, count: int, time: int, noise: float, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    return np.stack([noisy(MADE[category](draw, time), draw, noise) for _ in range(count)])
