"""What attention maps can be captured from: our encoders, and those of Hugging Face's `transformers`.

A source cuts a waveform to so many of its steps and gives the maps of a batch of such crops. All crops of a batch
have the same length, so no map holds padding.
"""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.frames import stack, steps_of
from inattention.audio.log_mel import log_mel
from inattention.model.transformer import AudioTransformer


@dataclass(frozen=True)
class Crop:
    """A stretch of an utterance.

    Attributes:
        inputs: what the encoder takes, without a batch axis.
        log_mel: what stands at each step, for the eye.
        start_seconds: where the stretch begins in its utterance.
    """

    inputs: Float[Tensor, "..."]
    log_mel: Float[Tensor, "steps mels"]
    start_seconds: float


@runtime_checkable
class MapSource(Protocol):
    """An encoder whose attention maps can be had for crops of equal length.

    Attributes:
        name: what figures call it.
        layers: depths at which there are maps; layers that share their weights count each.
        heads: maps a layer.
        sampling_rate: Hz of the waveforms that it takes.
        step_seconds: time from one step to the next; None if steps are not one after the other in time.
        shortest: steps of the shortest crop.
        longest: steps of the longest crop; None if there is no limit.
    """

    name: str
    layers: int
    heads: int
    sampling_rate: int
    step_seconds: float | None
    shortest: int
    longest: int | None

    def steps(self, samples: int) -> int:
        """Say how many steps a waveform of so many samples has."""
        ...

    def starts(self, samples: int, steps: int) -> int:
        """Say at how many places a crop of so many steps can begin; 0 if the waveform is too short."""
        ...

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Cut a waveform at one of those places.

        Raises:
            ValueError: if the audio cannot be used.
        """
        ...

    def maps(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "layers batch heads time time"]:
        """Give the maps of crops of equal length."""
        ...


class EncoderMaps:
    """Maps of our own encoders. Features are normalised over the whole utterance, as in training, then cut.

    Args:
        model: the encoder; it is used in evaluation mode and left as it was.
        name: what figures call it.
    """

    def __init__(self, model: AudioTransformer, name: str = "encoder") -> None:
        config = model.config
        self.model, self.name, self.features = model, name, config.features
        self.layers, self.heads = config.layers, config.heads
        self.shortest = 2
        self.longest: int | None = config.max_length
        self.sampling_rate = config.features.sampling_rate
        self.step_seconds: float | None = config.features.step_seconds

    def steps(self, samples: int) -> int:
        """Say how many steps a waveform of so many samples has."""
        return (1 + samples // self.features.hop_samples) // self.features.stack if samples > 0 else 0

    def starts(self, samples: int, steps: int) -> int:
        """Say at how many places a crop of so many steps can begin."""
        return max(0, self.steps(samples) - steps + 1)

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Cut the features of a waveform.

        Raises:
            ValueError: if the audio is empty or holds NaN or infinity.
        """
        frames = log_mel(waveform, self.features)
        mels = stack(frames, self.features.stack).unflatten(1, (self.features.stack, -1)).mean(1)
        window = slice(start, start + steps)
        return Crop(steps_of(frames, self.features)[window], mels[window], start * self.features.step_seconds)

    @torch.no_grad()
    def maps(self, inputs: Float[Tensor, "batch time size"]) -> Float[Tensor, "layers batch heads time time"]:
        """Give the maps, as each mechanism's definition has them."""
        with evaluating(self.model):
            return self.model.attention_maps(inputs.to(next(self.model.parameters()).device)).cpu()


def as_source(model: "AudioTransformer | MapSource | nn.Module", name: str | None = None) -> MapSource:
    """Give the source of a model's maps.

    Args:
        model: one of our encoders, a Hugging Face audio encoder, or a source itself, which is given back.
        name: what figures call it.

    Raises:
        ValueError: if it is none of them.
    """
    if isinstance(model, AudioTransformer):
        return EncoderMaps(model, name or "encoder")
    if isinstance(model, MapSource):
        return model
    if isinstance(model, nn.Module) and hasattr(model, "config") and hasattr(model.config, "num_attention_heads"):
        from inattention.encoders.hugging_face import HuggingFaceMaps

        return HuggingFaceMaps(model, name)
    raise ValueError(f"{type(model).__name__} is neither one of our encoders nor a Hugging Face audio encoder")


@contextmanager
def evaluating(model: nn.Module) -> Generator[None]:
    """Put a model in evaluation mode, and afterwards every part of it back in its own."""
    modes = [(module, module.training) for module in model.modules()]
    if any(training for _, training in modes):  # else what mechanisms keep while in evaluation would be dropped
        model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            if module.training != training:
                module.train(training)
