"""Whether a pre-training run collapsed: such a run supports no claim about its mechanism."""

from collections.abc import Sequence

from inattention.probing.results import TaskResult
from inattention.study.records import PretrainingRecord

# A run that ends above this fraction of the mean baseline's loss has learned next to nothing.
COLLAPSED_ABOVE = 0.98


def collapse_reason(run: PretrainingRecord, scores: Sequence[TaskResult]) -> str | None:
    """Return why a run counts as collapsed; None if it does not, or was never trained.

    Args:
        run: the pre-training run.
        scores: the probes of its features, if any.
    """
    if not run.steps:
        return None
    if not run.held_out_l1 < COLLAPSED_ABOVE * run.mean_l1:  # so that a loss of NaN counts
        return "its held-out loss is not 2 % below predicting the mean"
    if len(scores) > 1 and all(score.low <= score.chance for score in scores):
        return "no probe is above chance on its features"
    return None
