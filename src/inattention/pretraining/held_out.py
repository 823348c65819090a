"""The held-out loss: mean absolute error of a model on the masked bins of the dev split."""

from dataclasses import dataclass

import torch
from torch import nn

from inattention.pretraining.examples import Batch
from inattention.pretraining.manifest import Run
from inattention.pretraining.objective import mean_baseline


@dataclass(frozen=True)
class HeldOutLoss:
    """Mean absolute errors over the masked bins of the dev split.

    Attributes:
        l1: error of the model.
        mean_l1: error of predicting each dimension's mean over the utterance.
        bins: number of masked bins.
        utterances: number of utterances, each masked as often as the run draws masks.
    """

    l1: float
    mean_l1: float
    bins: int
    utterances: int


@torch.no_grad()
def measure_held_out(run: Run, model: nn.Module) -> HeldOutLoss:
    """Measure the held-out loss of a model, which is left in eval mode.

    Args:
        run: provides the held-out batches.
        model: maps a `Batch` to a summed error and the number of bins it is summed over.
    """
    device = next(model.parameters()).device
    model.eval()
    error = baseline = bins = 0.0
    utterances: set[str] = set()
    examples = run.examples()
    for item in run.held_out(run.training.held_out_draws):
        batch = examples[item]
        batch = batch._replace(**{name: getattr(batch, name).to(device) for name in Batch._fields[:4]})
        summed, count = model(batch)
        error, bins = error + float(summed), bins + count
        baseline += mean_baseline(batch)[0]
        utterances.update(batch.ids)
    return HeldOutLoss(
        l1=error / max(bins, 1), mean_l1=baseline / max(bins, 1), bins=int(bins), utterances=len(utterances)
    )
