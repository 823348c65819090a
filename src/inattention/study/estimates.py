"""A row's result over its seeds, with an interval, and whether two rows can be told apart.

One seed: the interval is the probe's bootstrap over test utterances. It says how far other utterances of the same
kind would move the result, and nothing of how far another start of the training would.

Where all test utterances are right, or all wrong, every draw is the same and the bootstrap's interval is a point. It is
then taken as far as Clopper and Pearson's for so many utterances, 1 - 0.025^(1/n): 6 points for 60.

Several seeds: the mean over seeds. Two things move it, and their variances add: the starts, s²/n for n seeds with
variance s², and the test utterances, the mean of the bootstraps' variances; the latter is not divided by n, since all
seeds are scored on the same utterances. The half-width is the sum's root times Student's t, whose degrees of freedom
are Welch and Satterthwaite's: with two seeds that differ much it is nearly the seeds' own t-interval (12.7 standard
errors), with seeds that hardly differ it is nearly the bootstrap's.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from inattention.probing.results import TaskResult
from inattention.study.records import PretrainingRecord

Verdict = Literal["higher", "lower", "overlapping"]
NORMAL_95 = 1.959964
# A run that ends above this share of what predicting the mean scores has learned nothing to speak of.
COLLAPSED_ABOVE = 0.98


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its 95 % interval; low and high are None where nothing tells them.

    Attributes:
        mean: over seeds.
        low: where the interval begins.
        high: where it ends.
        seeds: how many it is from.
    """

    mean: float
    low: float | None
    high: float | None
    seeds: int


def accuracy_over_seeds(scores: Sequence[TaskResult]) -> Estimate | None:
    """Bring a task's scores together; None if there are none."""
    if not scores:
        return None
    scores = [_opened(score) for score in scores]
    if len(scores) == 1:
        (score,) = scores
        return Estimate(score.accuracy, score.low, score.high, 1)
    accuracies = [score.accuracy for score in scores]
    mean, count = statistics.fmean(accuracies), len(scores)
    by_start = statistics.variance(accuracies) / count
    by_test = statistics.fmean(((score.high - score.low) / (2 * NORMAL_95)) ** 2 for score in scores)
    if by_start + by_test == 0:
        return Estimate(mean, mean, mean, count)
    freedom = (by_start + by_test) ** 2 / (
        by_start**2 / (count - 1) + by_test**2 / max(min(score.utterances["test"] for score in scores) - 1, 1)
    )
    half = _student_95(freedom) * math.sqrt(by_start + by_test)
    return Estimate(mean, max(mean - half, 0.0), min(mean + half, 1.0), count)


def loss_over_seeds(runs: Sequence[PretrainingRecord]) -> Estimate | None:
    """Bring held-out losses together, with the seeds' t-interval if there are several; None if there are no runs."""
    if not runs:
        return None
    losses = [run.held_out_l1 for run in runs]
    mean, count = statistics.fmean(losses), len(losses)
    if count == 1 or not math.isfinite(mean):
        return Estimate(mean, None, None, count)
    half = _student_95(count - 1) * statistics.stdev(losses) / math.sqrt(count)
    return Estimate(mean, mean - half, mean + half, count)


def compare(one: Estimate | None, other: Estimate | None) -> Verdict | None:
    """Say whether one is higher or lower than another, or their intervals overlap; None if either is missing.

    >>> compare(Estimate(0.7, 0.6, 0.8, 1), Estimate(0.5, 0.45, 0.61, 1))
    'overlapping'
    """
    if one is None or other is None:
        return None
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return None
    if one.low > other.high:
        return "higher"
    return "lower" if one.high < other.low else "overlapping"


def collapsed(run: PretrainingRecord, scores: Sequence[TaskResult]) -> str | None:
    """Say why a run counts as collapsed; None if it does not, or was never trained.

    Args:
        run: the pre-training run.
        scores: what the probes found in its features, if anything.
    """
    if not run.steps:
        return None
    if not run.held_out_l1 < COLLAPSED_ABOVE * run.mean_l1:  # so that a loss of NaN counts
        return "its held-out loss is not 2 % below predicting the mean"
    if len(scores) > 1 and all(score.low <= score.chance for score in scores):
        return "no probe finds more in its features than chance"
    return None


def _opened(score: TaskResult) -> TaskResult:
    """Give a score whose interval is not a point at either end of the scale."""
    reach = 1 - 0.025 ** (1 / max(score.utterances["test"], 1))
    if score.low == score.high == 0:
        return replace(score, high=reach)
    return replace(score, low=1 - reach) if score.low == score.high == 1 else score


def _student_95(freedom: float) -> float:
    """The factor of a 95 % interval by Student's t."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.975))
