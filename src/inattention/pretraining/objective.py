"""The masked acoustic model: an encoder, a head that predicts the masked frames, and their L1 loss."""

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
    """Linear, GELU, layer norm, linear: from a hidden state to the target of its frame."""

    def __init__(self, config: AudioTransformerConfig, target_size: int) -> None:
        super().__init__()
        self.dense = projection(config.width, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.norm_epsilon)
        self.output = projection(config.width, target_size)

    def forward(self, hidden: Float[Tensor, "frames width"]) -> Float[Tensor, "frames target_size"]:
        """Predict the target of each frame."""
        return self.output(self.norm(F.gelu(self.dense(hidden))))


class MaskedAcousticModel(nn.Module):
    """An encoder with the prediction head of pre-training, which is discarded afterwards.

    Args:
        config: settings of the encoder.
        target_size: dimensions of a frame's target.
    """

    def __init__(self, config: AudioTransformerConfig, target_size: int) -> None:
        super().__init__()
        self.head = PredictionHead(config, target_size)
        self.encoder = AudioTransformer(config)

    def forward(self, batch: Batch) -> tuple[Float[Tensor, ""], int]:
        """Return the sum of absolute errors over the masked bins of a batch, and the number of bins."""
        hidden = self.encoder(batch.features, batch.valid).last_hidden_state
        predicted, target = self.head(hidden[batch.masked]), batch.target[batch.masked]
        return absolute_error(predicted, target), target.numel()

    def auxiliary_loss(self) -> Float[Tensor, ""] | None:
        """Return the sum of the mechanisms' auxiliary losses, such as the cost of spans; None if there are none.

        A mechanism that layers share is counted once.
        """
        mechanisms = dict.fromkeys(mechanism for _, mechanism in self.encoder.encoder.depth())
        losses = [loss for it in mechanisms if (loss := it.auxiliary_loss()) is not None]
        return torch.stack(losses).sum() if losses else None


def absolute_error(
    predicted: Float[Tensor, "frames target_size"], target: Float[Tensor, "frames target_size"]
) -> Float[Tensor, ""]:
    """Return the sum of absolute differences, in float32 at least."""
    return (predicted.float() - target.float()).abs().sum()


def sums_everywhere(values: Sequence[float], device: torch.device) -> list[float]:
    """Return the sum of each value over all processes."""
    if processes() == 1:
        return [float(value) for value in values]
    total = torch.tensor([float(value) for value in values], dtype=torch.float64, device=device)
    dist.all_reduce(total)
    return total.tolist()


def processes() -> int:
    """Return the number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def share_of_mean(error: Float[Tensor, ""], bins_of_all: float, micro_batches: int = 1) -> Float[Tensor, ""]:
    """Scale the summed error of one micro-batch to its share of the mean over the masked bins of the whole batch.

    Data-parallel training averages gradients over processes, and accumulation over micro-batches. Multiplied by both
    numbers, that average is the gradient of the mean over all masked bins, however unevenly they are distributed.

    Args:
        error: sum of absolute errors over the masked bins of the micro-batch.
        bins_of_all: masked bins of the whole batch, over all micro-batches of all processes.
        micro_batches: into which each process's share of the batch is split.
    """
    return error * (processes() * micro_batches / max(bins_of_all, 1.0))


def mean_baseline(batch: Batch) -> tuple[float, int]:
    """Return the summed error of predicting each dimension's mean over the utterance, and the number of masked bins.

    Normalisation puts that mean at zero.
    """
    target = batch.target[batch.masked]
    return float(target.abs().sum()), target.numel()
