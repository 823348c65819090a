"""The masked acoustic model: an encoder, a head that tells the hidden steps, and the L1 loss over masked cells."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inattention.attention.ops.projections import projection
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


def sums_everywhere(values: Sequence[float], device: torch.device) -> list[float]:
    """Sum each of some numbers over all processes."""
    if processes() == 1:
        return [float(value) for value in values]
    total = torch.tensor([float(value) for value in values], dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def processes() -> int:
    """Give the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share_of_mean(error: Float[Tensor, ""], cells_of_all: float, pieces: int = 1) -> Float[Tensor, ""]:
    """Turn the sum of a process's piece of a batch into its share of the mean over the masked cells of all.

    Data-parallel training averages gradients over processes, and accumulation over pieces; times their numbers, that
    average is the gradient of the mean over every masked cell, however unevenly the cells are spread.

    Args:
        error: the sum of absolute errors over the piece's masked cells.
        cells_of_all: masked cells of the whole batch, over all pieces of all processes.
        pieces: that a process's share goes through the model in.
    """
    return error * (processes() * pieces / max(cells_of_all, 1.0))


def mean_baseline(batch: Batch) -> tuple[float, int]:
    """Give the error of predicting each dimension's mean over the utterance, which normalisation puts at zero."""
    wanted = batch.target[batch.chosen]
    return float(wanted.abs().sum()), wanted.numel()
