"""`AudioTransformer` as a source of features and of attention maps."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.frames import features as features_of
from inattention.audio.frames import stack, steps_of
from inattention.audio.log_mel import log_mel
from inattention.encoders.base import Crop
from inattention.model.chunks import encode, evaluating
from inattention.model.transformer import AudioTransformer


class EncoderSource:
    """One of our encoders, frozen; an untrained one is a valid source too.

    Features are normalised over the whole utterance, as in training, before crops are cut from them.

    Args:
        model: the encoder, on any device; it is used in evaluation mode, and each module keeps its own mode.
        name: label in tables and figures.
        batch_size: number of chunks encoded at once by `features`.
    """

    def __init__(self, model: AudioTransformer, name: str = "encoder", batch_size: int = 16) -> None:
        config = model.config
        self.model, self.name, self.batch_size = model, name, batch_size
        self.config = config.features
        self.sampling_rate = self.config.sampling_rate
        self.step_seconds = self.config.step_seconds
        self.first_center_seconds = self.config.first_center_seconds
        self.frames_per_step = self.config.stack
        self.width, self.layers, self.heads = config.width, config.layers, config.heads
        self.shortest = 2
        self.longest: int | None = config.max_length

    def features(
        self, waveforms: Sequence[Float[Tensor, " _"]], *, all_layers: bool = False, layer: int = -1
    ) -> list[Float[Tensor, "_ *layers width"]]:
        """Return one hidden state of each utterance, or all of them, the embedded input first."""
        inputs = [features_of(waveform, self.config) for waveform in waveforms]
        hidden = encode(self.model.encoder, inputs, layer=None if all_layers else layer, batch_size=self.batch_size)
        return [h.transpose(0, 1).cpu() if all_layers else h.cpu() for h in hidden]

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples."""
        return (1 + samples // self.config.hop_samples) // self.config.stack if samples > 0 else 0

    def starts(self, samples: int, steps: int) -> int:
        """Return the number of places at which a crop of this many frames can begin."""
        return max(0, self.steps(samples) - steps + 1)

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop the features of a waveform.

        Raises:
            ValueError: if the audio is empty or contains NaN or infinity.
        """
        spectrum = log_mel(waveform, self.config)
        mels = stack(spectrum, self.config.stack).unflatten(1, (self.config.stack, -1)).mean(1)
        window = slice(start, start + steps)
        return Crop(steps_of(spectrum, self.config)[window], mels[window], start * self.step_seconds)

    @torch.no_grad()
    def maps(self, inputs: Float[Tensor, "batch time size"]) -> Float[Tensor, "layers batch heads time time"]:
        """Return the attention maps by each mechanism's definition."""
        with evaluating(self.model):
            return self.model.attention_maps(inputs.to(next(self.model.parameters()).device)).cpu()
