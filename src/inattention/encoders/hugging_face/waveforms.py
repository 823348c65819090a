"""Encoders of waveforms through strided convolutions: wav2vec 2.0, HuBERT, WavLM, UniSpeech-SAT, Data2Vec-Audio."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.audio.reader import check_samples
from inattention.audio.spans import Tape
from inattention.audio.spans import blocks as span_blocks
from inattention.audio.streaming import LongAudio
from inattention.encoders.base import Crop, EncoderInputs
from inattention.encoders.hugging_face.blocks import Blocks, block_frames, converted_layers, convolution_reach, joined
from inattention.encoders.hugging_face.source import HuggingFaceEncoder

SAMPLING_RATE = 16_000  # Hz, of all published encoders of these families
LONGEST_SECONDS = 60.0  # encoded at once; longer recordings are cut, so that memory is bounded


class WaveformEncoder(HuggingFaceEncoder):
    """An encoder of waveforms.

    Args:
        model: such as ``Wav2Vec2Model``, ``HubertModel`` or ``WavLMModel``.
        extractor: the feature extractor of its folder; by default one that normalises each waveform to mean 0 and
            variance 1, and passes a padding mask if the convolutions are normalised by layer, as published encoders
            were trained.
        name: label in tables and figures.
        normalise: of the default feature extractor.
    """

    def __init__(
        self, model: nn.Module, extractor: Any | None = None, name: str | None = None, *, normalise: bool = True
    ) -> None:
        super().__init__(model, extractor or _default_extractor(model, normalise), name)
        self.hop = math.prod(self.config.conv_stride)  # samples
        self.step_seconds = self.hop / self.sampling_rate
        self.first_center_seconds = self.samples(1) / 2 / self.sampling_rate  # of the samples that a frame sees

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples."""
        for kernel, stride in zip(self.config.conv_kernel, self.config.conv_stride, strict=True):
            samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
        return samples

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform; the feature extractor is applied to the crop.

        Raises:
            ValueError: if the audio is empty, silent or not finite.
        """
        check_samples(waveform)
        first = start * self.hop
        values, _ = self._extract([waveform[first : first + self.samples(steps)]])
        # A frame is centred in the samples that its convolutions see.
        config = FeatureConfig(sampling_rate=self.sampling_rate, hop_seconds=self.step_seconds, deltas=False, stack=1)
        spectrum = log_mel(waveform[self.samples(1) // 2 :], config)
        return Crop(values[0], spectrum[start : start + steps], first / self.sampling_rate)

    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]]) -> EncoderInputs:
        """Return waveforms, normalised and padded as the encoder was trained.

        Raises:
            ValueError: if one is too short for a frame.
        """
        steps = self._checked_steps(waveforms)
        values, mask = self._extract(waveforms, padding=True)
        return EncoderInputs(values, mask, steps)

    def parts(self, waveform: Float[Tensor, " samples"]) -> Iterator[EncoderInputs]:
        """Yield an utterance as batches of one, cut where it is longer than is encoded at once."""
        whole = self.inputs([waveform])
        longest = max(1, round(LONGEST_SECONDS / self.step_seconds))
        for start in range(0, whole.steps[0], longest):
            steps = min(longest, whole.steps[0] - start)
            # The last part also has the samples after its last frame, which normalisation layers see.
            last = start + steps == whole.steps[0]
            end = None if last else start * self.hop + self.samples(steps)
            window = slice(start * self.hop, end)
            mask = None if whole.mask is None else whole.mask[:, window]
            yield EncoderInputs(whole.values[:, window], mask, (steps,))

    def blocks(self, seconds: float, bound: float = 0.0) -> Blocks:
        """Return how a long recording is cut into blocks, for a converted encoder of limited reach.

        Raises:
            UnlimitedReach: if a layer has no limited reach, or a convolution is normalised over the input.
            ValueError: for a length or a bound out of range.
        """
        frames = block_frames(seconds, self.step_seconds)
        modules, layers = converted_layers(self.model, bound)
        reach = joined([convolution_reach(self.model), layers.reach])
        return Blocks(frames, reach, layers.left_out, modules, layers.mechanisms)

    def _long_parts(
        self, audio: LongAudio, samples: int, blocks: Blocks | None
    ) -> Iterator[tuple[EncoderInputs, slice]]:
        tape, time = Tape(self._normalised(audio), np.concatenate), self.steps(samples)
        masked = self._extract([torch.randn(self.samples(1))], padding=True)[1] is not None
        if blocks is None or blocks.reach is None:
            plan = span_blocks(time, max(1, round(LONGEST_SECONDS / self.step_seconds)), 0, 0)
        else:
            reach = blocks.reach
            plan = span_blocks(time, blocks.frames, reach.back, reach.ahead, reach.grid)
        for chunk in plan:
            steps = chunk.end - chunk.start
            # The last part also has the samples after its last frame, which normalisation layers see.
            count = samples if chunk.end == time else self.samples(steps)
            values = torch.from_numpy(tape.read(chunk.start * self.hop, chunk.start * self.hop + count))[None]
            mask = torch.ones(values.shape, dtype=torch.long) if masked else None
            yield (
                EncoderInputs(values, mask, (steps,)),
                slice(chunk.keep_start - chunk.start, chunk.keep_end - chunk.start),
            )

    def _normalised(self, audio: LongAudio) -> Iterator[Float[np.ndarray, " samples"]]:
        """Yield the waveform as the feature extractor returns it."""
        if not self.extractor.do_normalize:
            yield from audio.blocks()
            return
        count, total = 0, 0.0
        for block in audio.blocks():
            count, total = count + len(block), total + float(block.sum(dtype=np.float64))
        mean = total / count
        squares = sum(float(np.square(block - mean, dtype=np.float64).sum()) for block in audio.blocks())
        deviation = math.sqrt(squares / count + 1e-7)
        for block in audio.blocks():
            yield ((block - mean) / deviation).astype(np.float32)

    def samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""
        for kernel, stride in zip(reversed(self.config.conv_kernel), reversed(self.config.conv_stride), strict=True):
            steps = (steps - 1) * stride + kernel
        return steps


def _default_extractor(model: nn.Module, normalise: bool) -> Any:
    from transformers import Wav2Vec2FeatureExtractor

    config: Any = model.config
    by_layer = getattr(config, "feat_extract_norm", "layer") == "layer"
    return Wav2Vec2FeatureExtractor(sampling_rate=SAMPLING_RATE, do_normalize=normalise, return_attention_mask=by_layer)
