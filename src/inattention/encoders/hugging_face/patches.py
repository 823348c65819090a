"""Attention maps of AST, the Audio Spectrogram Transformer, over the patches of a spectrogram.

Its frames do not follow each other in time, so there are maps and no features.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.reader import check_samples
from inattention.encoders.base import Crop
from inattention.encoders.hugging_face.eager import eager_attention
from inattention.model.chunks import evaluating

SPECIAL_TOKENS = 2  # before the patches
WINDOW, HOP = 400, 160  # samples, fixed in the feature extractor


class PatchMaps:
    """Attention maps of AST.

    Args:
        model: an ``ASTModel``; it is used in evaluation mode, and each module keeps its own mode.
        extractor: the feature extractor of its folder; by default one of the model's sizes, with the mean and standard
            deviation of the published model's training data.
        name: label in figures; defaults to the type of the model.
        normalise: of the default feature extractor.
    """

    step_seconds: float | None = None

    def __init__(
        self, model: nn.Module, extractor: Any | None = None, name: str | None = None, *, normalise: bool = True
    ) -> None:
        self.config: Any = model.config
        self.model = model
        self.extractor = extractor or _default_extractor(self.config, normalise)
        self.name = name or str(self.config.model_type)
        self.layers, self.heads = self.config.num_hidden_layers, self.config.num_attention_heads
        self.sampling_rate = int(self.extractor.sampling_rate)
        self.bands, self.times = _patches(self.config)
        self.shortest = self.longest = SPECIAL_TOKENS + self.bands * self.times

    def steps(self, samples: int) -> int:
        """Return the number of patches; there are all of them or none."""
        return self.shortest if samples >= self._needed else 0

    def starts(self, samples: int, steps: int) -> int:
        """Return the number of places at which a crop can begin."""
        room = samples - self._needed
        return 1 + room // HOP if room >= 0 else 0

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform; the spectrum to display has each patch's bands, and the minimum in all others.

        Raises:
            ValueError: if the audio is empty, silent or not finite.
        """
        check_samples(waveform)
        config, first = self.config, start * HOP
        samples = waveform[first : first + self._needed].float().numpy()
        spectrum = self.extractor(samples, sampling_rate=self.sampling_rate, return_tensors="pt")["input_values"][0]
        patches = spectrum.new_full((self.bands, self.times, config.num_mel_bins), float(spectrum.min()))
        for band in range(self.bands):
            low = band * config.frequency_stride
            for time in range(self.times):
                patch = spectrum[time * config.time_stride :][: config.patch_size, low : low + config.patch_size]
                patches[band, time, low : low + config.patch_size] = patch.mean(0)
        special = spectrum.new_full((SPECIAL_TOKENS, config.num_mel_bins), float(spectrum.min()))
        return Crop(spectrum, torch.cat([special, patches.flatten(0, 1)]), first / self.sampling_rate)

    @torch.no_grad()
    def maps(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "layers batch heads time time"]:
        """Return the attention weights of the encoder."""
        parameter = next(self.model.parameters())
        with evaluating(self.model), eager_attention(self.model):
            output = self.model(inputs.to(parameter), output_attentions=True)
        return torch.stack(output.attentions).float().cpu()

    @property
    def _needed(self) -> int:
        """Number of samples that fill all patches."""
        return (self.config.max_length - 1) * HOP + WINDOW


def _default_extractor(config: Any, normalise: bool) -> Any:
    from transformers import ASTFeatureExtractor

    return ASTFeatureExtractor(num_mel_bins=config.num_mel_bins, max_length=config.max_length, do_normalize=normalise)


def _patches(config: Any) -> tuple[int, int]:
    """Return the number of patches along frequency and along time."""
    bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return bands, (config.max_length - config.patch_size) // config.time_stride + 1
