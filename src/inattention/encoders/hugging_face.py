"""Attention maps of Hugging Face audio encoders: wav2vec 2.0, HuBERT, WavLM, AST and similar ones.

Two kinds of input are supported: the waveform, through strided convolutions (``config.conv_stride``), and the
spectrogram in patches of AST. Maps are computed by the "eager" attention of `transformers`, the only one that returns
them.

For WavLM, `transformers` returns weights averaged over heads, the same map for every head. Here each head has its own.
"""

import math
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import check_samples
from inattention.encoders.base import Crop
from inattention.model.chunks import evaluating

SAMPLING_RATE = 16_000  # of all encoders of these families
SPECIAL_TOKENS = 2  # of AST, before the patches
_AST_WINDOW, _AST_HOP = 400, 160  # samples


class HuggingFaceMaps:
    """Attention maps of a Hugging Face audio encoder.

    Args:
        model: such as ``Wav2Vec2Model``, ``HubertModel``, ``WavLMModel`` or ``ASTModel``; it is used in evaluation
            mode, and each module keeps its own mode.
        name: label in figures; defaults to the type of the model.
        normalise: normalise the waveform of each crop to mean 0 and variance 1, as most of these encoders were
            trained; for AST, normalise by the mean and standard deviation of its training data.

    Raises:
        ValueError: if the model takes neither of the two kinds of input.
    """

    def __init__(self, model: nn.Module, name: str | None = None, *, normalise: bool = True) -> None:
        self.config: Any = model.config
        self.model, self.normalise = model, normalise
        self.name = name or str(self.config.model_type)
        self.layers, self.heads = self.config.num_hidden_layers, self.config.num_attention_heads
        self.sampling_rate = SAMPLING_RATE
        self.shortest, self.longest = 2, None
        self.step_seconds: float | None = None
        if hasattr(self.config, "conv_stride"):
            self.hop = math.prod(self.config.conv_stride)
            self.step_seconds = self.hop / SAMPLING_RATE
        elif hasattr(self.config, "time_stride"):
            self.hop = _AST_HOP
            self.bands, self.times = _patches(self.config)
            self.shortest = self.longest = SPECIAL_TOKENS + self.bands * self.times
        else:
            raise ValueError(
                f"{self.name}: the input of this model is not supported, only waveforms through strided convolutions "
                "and AST's patches are; any other needs a source of its own (inattention.encoders.base.MapSource)"
            )

    @property
    def takes_waveforms(self) -> bool:
        """Whether the input is a waveform and not patches of a spectrogram."""
        return self.step_seconds is not None

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples; AST has all of its patches or none."""
        if not self.takes_waveforms:
            return self.shortest if samples >= self._samples(self.shortest) else 0
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    def starts(self, samples: int, steps: int) -> int:
        """Return the number of places at which a crop of this many frames can begin."""
        room = samples - self._samples(steps)
        return 1 + room // self.hop if room >= 0 else 0

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform.

        Raises:
            ValueError: if the audio is empty, silent or not finite.
        """
        check_samples(waveform)
        first = start * self.hop
        samples = waveform[first : first + self._samples(steps)].float()
        begin = first / SAMPLING_RATE
        if not self.takes_waveforms:
            return self._patches_of(samples, begin)
        if self.normalise:
            samples = (samples - samples.mean()) / (samples.var(correction=0) + 1e-7).sqrt()
        # A frame is centred in the samples that its convolutions see.
        config = FeatureConfig(hop_seconds=self.hop / SAMPLING_RATE, deltas=False, stack=1)
        spectrum = log_mel(waveform[self._samples(1) // 2 :], config)
        return Crop(samples, spectrum[start : start + steps], begin)

    @torch.no_grad()
    def maps(self, inputs: Float[Tensor, "batch ..."]) -> Float[Tensor, "layers batch heads time time"]:
        """Return the attention weights of the encoder.

        Raises:
            ValueError: if the model does not return them for every layer.
        """
        parameter = next(self.model.parameters())
        with evaluating(self.model), _eager(self.model), _weights_per_head():
            output = self.model(inputs.to(parameter), output_attentions=True)
        found = output.attentions or ()
        # WavLM repeats its weights as if they were one map for all heads: (batch, heads, heads, time, time).
        maps = [weights[:, 0] if weights.ndim == 5 else weights for weights in found if weights is not None]
        if len(maps) != self.layers:
            raise ValueError(f"{self.name} returned attention weights of {len(maps)} of its {self.layers} layers")
        return torch.stack(maps).float().cpu()

    def _samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""
        if not self.takes_waveforms:
            return (self.config.max_length - 1) * _AST_HOP + _AST_WINDOW
        for kernel, stride in zip(reversed(self.config.conv_kernel), reversed(self.config.conv_stride), strict=True):
            steps = (steps - 1) * stride + kernel
        return steps

    def _patches_of(self, samples: Float[Tensor, " samples"], begin: float) -> Crop:
        """Return AST's input; the spectrum to display shows each patch's bands, with the minimum in all others."""
        from transformers import ASTFeatureExtractor

        config = self.config
        extractor = ASTFeatureExtractor(
            num_mel_bins=config.num_mel_bins, max_length=config.max_length, do_normalize=self.normalise
        )
        spectrum = extractor(samples.numpy(), sampling_rate=SAMPLING_RATE, return_tensors="pt")["input_values"][0]
        patches = spectrum.new_full((self.bands, self.times, config.num_mel_bins), float(spectrum.min()))
        for band in range(self.bands):
            low = band * config.frequency_stride
            for time in range(self.times):
                patch = spectrum[time * config.time_stride :][: config.patch_size, low : low + config.patch_size]
                patches[band, time, low : low + config.patch_size] = patch.mean(0)
        special = spectrum.new_full((SPECIAL_TOKENS, config.num_mel_bins), float(spectrum.min()))
        return Crop(spectrum, torch.cat([special, patches.flatten(0, 1)]), begin)


def load_hugging_face(folder: str) -> nn.Module:
    """Load an encoder with `transformers`, from safetensors and without running code from the folder.

    Args:
        folder: folder or hub name.

    Raises:
        ValueError: if it cannot be loaded.
    """
    try:
        from transformers import AutoModel
    except ImportError:
        raise ValueError(f"{folder}: install transformers to load a Hugging Face model") from None
    try:
        model = AutoModel.from_pretrained(folder, use_safetensors=True, trust_remote_code=False)
    except Exception as error:  # a downloaded folder may fail in any way
        raise ValueError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    return model.eval()


def _patches(config: Any) -> tuple[int, int]:
    """Return the number of patches of AST along frequency and along time."""
    bands = (config.num_mel_bins - config.patch_size) // config.frequency_stride + 1
    return bands, (config.max_length - config.patch_size) // config.time_stride + 1


@contextmanager
def _eager(model: Any) -> Generator[None]:
    """Switch to eager attention, which computes its weights, and back afterwards."""
    before = getattr(model.config, "_attn_implementation", None)
    if before in (None, "eager"):
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


@contextmanager
def _weights_per_head() -> Generator[None]:
    """Prevent PyTorch's attention function from averaging its weights over heads."""
    forward = F.multi_head_attention_forward

    def without_average(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **{**kwargs, "average_attn_weights": False})

    with patch.object(F, "multi_head_attention_forward", without_average):
        yield
