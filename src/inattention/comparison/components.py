"""Variance components of an estimate, and the interval that follows from them.

An accuracy over seeds moves with the test utterances and with the training. Its variance has three parts:

- shared: other test utterances, which move all seeds alike;
- noise: other test utterances, as far as they move each seed on its own, divided by the number of seeds;
- seeds: another training, divided by the number of seeds.

A bootstrap over utterances of the mean over seeds measures shared + noise. The sample variance over seeds, divided by
their number, measures noise + seeds. Their sum would count the noise twice, so it is measured apart (the variance
between seeds of bootstrap deviations) and subtracted once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from scipy.special import stdtrit

# Numbers beyond these are as good as none.
MOST_UTTERANCES = 1_000_000
MOST_SEEDS = 1_000
# Degrees of freedom below which a pool is too small to pool them with those of the test utterances.
SMALL_POOL = 6


@dataclass(frozen=True)
class Needed:
    """Numbers of utterances or seeds that would decide a difference, at its present estimate and variances.

    Attributes:
        utterances: test utterances at the present seeds; None if no number of them would do.
        seeds: seeds of every row on the present utterances; None if no number of them would do.
    """

    utterances: int | None
    seeds: int | None

    def __str__(self) -> str:
        """Return it in one line.

        >>> print(Needed(1200, 5))
        about 1,200 test utterances or 5 seeds would decide it
        >>> print(Needed(None, None))
        neither utterances nor seeds alone would decide it: more of both are needed
        """
        if self.utterances is None and self.seeds is None:
            return "neither utterances nor seeds alone would decide it: more of both are needed"
        parts = [] if self.utterances is None else [f"{self.utterances:,} test utterances"]
        parts += [] if self.seeds is None else [f"{self.seeds} seeds"]
        return f"about {' or '.join(parts)} would decide it"


@dataclass(frozen=True)
class RowVariance:
    """The variance of one row's part of an estimate between its seeds.

    Attributes:
        variance: of a single seed, noise of utterances included; 0 where nothing is known of it.
        noise: what test utterances contribute to it.
        seeds: number of seeds.
        freedom: degrees of freedom of `variance`.
        pooled_freedom: degrees of freedom of the pool of rows that this row, or another of its pool, borrows from: no
            rows of one pool have more together. Infinite where none borrows.
    """

    variance: float
    noise: float
    seeds: int
    freedom: float
    pooled_freedom: float = math.inf

    def with_seeds(self, seeds: int) -> "RowVariance":
        """Return the same for another number of seeds."""
        return replace(self, seeds=seeds, freedom=self.freedom + (seeds - self.seeds))


@dataclass(frozen=True)
class Components:
    """The variance of an estimate by its sources.

    Attributes:
        sampling: bootstrap variance over test utterances of the mean over seeds: shared and noise.
        utterances: number of test utterances.
        rows: variance between seeds, by row.
    """

    sampling: float
    utterances: int
    rows: tuple[RowVariance, ...] = ()

    @property
    def shared(self) -> float:
        """Return the variance from test utterances that is common to all seeds."""
        return max(self.sampling - sum(row.noise / row.seeds for row in self.rows), 0.0)

    @property
    def half_width(self) -> float:
        """Return half the width of the 95 % interval: never less than that over utterances alone.

        Rows with one seed that borrow from a small pool are apart. Satterthwaite's formula would take a variance that a
        pool of one row happens to estimate as small for a small part of the sum, known as well as the rest: intervals
        cover 81 to 92 % then. Half-widths added as squares cover at least what they say.
        """
        alone = student_95(self._utterance_freedom) * math.sqrt(self.sampling)
        known = [row for row in self.rows if row.variance > 0]
        if not known:
            return alone
        apart = [row for row in known if row.seeds == 1 and row.pooled_freedom < SMALL_POOL]
        pooled = self._pooled_half_width([row for row in known if row not in apart])
        return max(alone, math.hypot(pooled, _half_width_of_one_seed(apart)))

    @property
    def _utterance_freedom(self) -> float:
        return float(max(self.utterances - 1, 1))

    def _pooled_half_width(self, rows: Sequence[RowVariance]) -> float:
        """Return half the width from utterances and from rows whose degrees of freedom are pooled (Satterthwaite)."""
        pools: dict[float, list[tuple[float, float]]] = {}
        for row in rows:
            pools.setdefault(row.pooled_freedom, []).append((row.variance / row.seeds, row.freedom))
        parts = [(self.shared, self._utterance_freedom)]
        for pooled, of_pool in pools.items():
            seeds, freedom = _sum_of(of_pool)
            parts.append((seeds, min(freedom, pooled)))
        if not any(variance for variance, _ in parts):
            return 0.0
        variance, freedom = _sum_of(parts)
        return student_95(max(freedom, 1.0)) * math.sqrt(variance)

    def scaled(self, factor: float) -> "Components":
        """Return the components of the estimate multiplied by a factor."""
        square = factor**2
        rows = tuple(replace(row, variance=square * row.variance, noise=square * row.noise) for row in self.rows)
        return replace(self, sampling=square * self.sampling, rows=rows)

    def with_utterances(self, utterances: int) -> "Components":
        """Return the components for another number of test utterances of the same kind."""
        ratio = self.utterances / utterances
        rows = tuple(
            replace(row, noise=row.noise * ratio, variance=max(row.variance - row.noise, 0.0) + row.noise * ratio)
            for row in self.rows
        )
        return replace(self, sampling=self.sampling * ratio, utterances=utterances, rows=rows)

    def with_seeds(self, seeds: int) -> "Components":
        """Return the components for at least so many seeds of every row."""
        more: dict[float, int] = {}
        for row in self.rows:
            more[row.pooled_freedom] = more.get(row.pooled_freedom, 0) + max(seeds - row.seeds, 0)
        rows = tuple(
            replace(row.with_seeds(max(seeds, row.seeds)), pooled_freedom=row.pooled_freedom + more[row.pooled_freedom])
            for row in self.rows
        )
        noise = sum(new.noise / new.seeds - old.noise / old.seeds for new, old in zip(rows, self.rows, strict=True))
        return replace(self, sampling=max(self.sampling + noise, 0.0), rows=rows)

    def needed(self, estimate: float) -> Needed:
        """Return the numbers of utterances or seeds at which an interval around the estimate would exclude 0."""
        distance = abs(estimate)

        def fewest(most: int, present: int, half_width: Callable[[int], float]) -> int | None:
            if half_width(most) >= distance:
                return None
            low, high = present, most
            while low < high:
                middle = (low + high) // 2
                low, high = (low, middle) if half_width(middle) < distance else (middle + 1, high)
            return low

        utterances = fewest(MOST_UTTERANCES, self.utterances, lambda n: self.with_utterances(n).half_width)
        present = min((row.seeds for row in self.rows), default=1)
        seeds = fewest(MOST_SEEDS, present, lambda n: self.with_seeds(n).half_width) if self.rows else None
        return Needed(utterances, seeds)


def _half_width_of_one_seed(rows: Sequence[RowVariance]) -> float:
    """Return half the width from rows that borrow one estimate, which has its degrees of freedom once."""
    if not rows:
        return 0.0
    freedom = min(row.freedom for row in rows)
    return student_95(max(freedom, 1.0)) * math.sqrt(sum(row.variance for row in rows))


def _sum_of(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the sum of independent variances, each with its degrees of freedom, and its own (Satterthwaite)."""
    variance = sum(part for part, _ in parts)
    return variance, variance**2 / sum(part**2 / freedom for part, freedom in parts)


def student_95(freedom: float) -> float:
    """Return the factor of a 95 % interval by Student's t.

    >>> round(student_95(1), 2), round(student_95(math.inf), 2)
    (12.71, 1.96)
    """
    return float(stdtrit(min(freedom, 1e9), 0.975))


def opened(utterances: int) -> float:
    """Return the probability that n utterances without a single event leave open (Clopper and Pearson, 95 %).

    >>> round(opened(60), 3)
    0.06
    """
    return 1 - 0.025 ** (1 / max(utterances, 1))
