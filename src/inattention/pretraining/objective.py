"""The masked acoustic model: an encoder, a head that tells the hidden steps, and the L1 loss over masked cells."""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.steps import projection
from inattention.model.config import AudioTransformerConfig
from inattention.model.transformer import AudioTransformer
from inattention.pretraining.examples import Batch


class PredictionHead(nn.Module):
    """Linear, GELU, layer norm, linear: from a hidden state to the target of its step."""

    def __init__(self, config: AudioTransformerConfig, target_size: int) -> None:
        super().__init__()
        self.dense = projection(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.output = projection(config.width, target_size)

    def forward(self, hidden: Float[Tensor, "steps width"]) -> Float[Tensor, "steps target_size"]:
        """Predict the target of each hidden step."""
        return self.output(self.norm(F.gelu(self.dense(hidden))))


class MaskedAcousticModel(nn.Module):
    """An encoder with the head that pre-training puts on it and throws away.

    Args:
        config: the encoder's settings.
        target_size: dimensions of a step's target.
    """

    def __init__(self, config: AudioTransformerConfig, target_size: int) -> None:
        super().__init__()
        self.head = PredictionHead(config, target_size)
        self.encoder = AudioTransformer(config)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        """Give the sum of absolute errors over this batch's masked cells, and how many cells there are."""
        hidden = self.encoder(batch.features, batch.valid).last_hidden_state
        predicted, wanted = self.head(hidden[batch.chosen]), batch.target[batch.chosen]
        return absolute_error(predicted, wanted), wanted.numel()

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """Give what the mechanisms want kept small besides, such as spans; None if they want nothing.

        A mechanism that layers share counts once.
        """
        mechanisms = dict.fromkeys(mechanism for _, mechanism in self.encoder.encoder.depth())
        wanted = [loss for it in mechanisms if (loss := it.auxiliary_loss()) is not None]
        return torch.stack(wanted).sum() if wanted else None


def absolute_error(
    predicted: Float[Tensor, "steps target_size"], wanted: Float[Tensor, "steps target_size"]
) -> Float[Tensor, ""]:
    """Sum absolute differences, in float32 at least."""
    return (predicted.float() - wanted.float()).abs().sum()


def cells_everywhere(cells: float, device: torch.device) -> tuple[float, int]:
    """Give the number of masked cells over all processes, and how many processes there are."""
    if not (dist.is_available() and dist.is_initialized()):
        return float(cells), 1
    total = torch.tensor(float(cells), device=device)
    dist.all_reduce(total)
    return float(total), dist.get_world_size()


def mean_over_all_cells(error: Float[Tensor, ""], cells: int) -> Float[Tensor, ""]:
    """Turn a process's sum into its share of the mean over the masked cells of all processes.

    Data-parallel training averages gradients over processes; times their number, that average is the gradient of the
    mean over every masked cell, however unevenly the cells are spread.
    """
    total, processes = cells_everywhere(cells, error.device)
    return error * (processes / max(total, 1.0))


def mean_baseline(batch: Batch) -> tuple[float, int]:
    """Give the error of predicting each dimension's mean over the utterance, which normalisation puts at zero."""
    wanted = batch.target[batch.chosen]
    return float(wanted.abs().sum()), wanted.numel()
