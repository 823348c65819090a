"""Comparing results: one statistical test for every difference, with a 95 % interval and a verdict.

Accuracies are compared by `PairedBootstrap`, from counts per test utterance; held-out losses by `seed_difference`;
times by `time_ratio`.
"""

from inattention.comparison.components import Needed
from inattention.comparison.counts import UtteranceCounts
from inattention.comparison.estimates import (
    Difference,
    Interval,
    Verdict,
    all_above,
    most,
    opposite,
    verdict_of,
)
from inattention.comparison.losses import loss_prior, seed_difference
from inattention.comparison.marks import MARKS, mark_of
from inattention.comparison.paired import PairedBootstrap
from inattention.comparison.seed_variance import VariancePrior
from inattention.comparison.times import Ratio, time_ratio

__all__ = [
    "MARKS",
    "Difference",
    "Interval",
    "Needed",
    "PairedBootstrap",
    "Ratio",
    "UtteranceCounts",
    "VariancePrior",
    "Verdict",
    "all_above",
    "loss_prior",
    "mark_of",
    "most",
    "opposite",
    "seed_difference",
    "time_ratio",
    "verdict_of",
]
