"""Wav2Vec2-BERT: an encoder of mel filterbanks, two frames of 10 ms stacked in one."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.reader import check_samples
from inattention.audio.spans import Tape
from inattention.audio.spans import blocks as span_blocks
from inattention.audio.streaming import LongAudio
from inattention.encoders.base import Crop, EncoderInputs
from inattention.encoders.hugging_face.blocks import Blocks
from inattention.encoders.hugging_face.source import HuggingFaceEncoder

WINDOW, HOP = 400, 160  # samples of a filterbank frame, fixed in the feature extractor
BLOCK_FRAMES = 4096  # filterbank frames that are computed at once, in a long recording; even
LONGEST_SECONDS = 60.0  # encoded at once; longer recordings are cut, so that memory is bounded


class FilterbankEncoder(HuggingFaceEncoder):
    """Wav2Vec2-BERT.

    Args:
        model: a ``Wav2Vec2BertModel``.
        extractor: the feature extractor of its folder; by default that of the published encoder.
        name: label in tables and figures.
    """

    def __init__(self, model: nn.Module, extractor: Any | None = None, name: str | None = None) -> None:
        super().__init__(model, extractor or _default_extractor(), name)
        self.frames_per_step = int(self.extractor.stride)
        self.hop = HOP * self.frames_per_step  # samples
        self.step_seconds = self.hop / self.sampling_rate
        self.first_center_seconds = self.samples(1) / 2 / self.sampling_rate

    def steps(self, samples: int) -> int:
        """Return the number of frames of a waveform of this many samples; a filterbank frame left over has none."""
        return (1 + (samples - WINDOW) // HOP) // self.frames_per_step if samples >= WINDOW else 0

    def crop(self, waveform: Float[Tensor, " samples"], start: int, steps: int) -> Crop:
        """Crop a waveform; the feature extractor is applied to the crop.

        Raises:
            ValueError: if the audio is empty, silent or not finite.
        """
        check_samples(waveform)
        first = start * self.hop
        values = self.inputs([waveform[first : first + self.samples(steps)]]).values[0, :steps]
        spectrum = values.unflatten(1, (self.frames_per_step, -1)).mean(1)
        return Crop(values, spectrum, first / self.sampling_rate)

    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]]) -> EncoderInputs:
        """Return stacked filterbanks, each bin normalised over the utterance, and the padding mask.

        Raises:
            ValueError: if a waveform is too short for a frame.
        """
        steps = self._checked_steps(waveforms)
        values, mask = self._extract(waveforms, padding=True)
        return EncoderInputs(values, mask, steps)

    def parts(self, waveform: Float[Tensor, " samples"]) -> Iterator[EncoderInputs]:
        """Yield an utterance as batches of one, cut where it is longer than is encoded at once."""
        whole = self.inputs([waveform])
        longest = max(1, round(LONGEST_SECONDS / self.step_seconds))
        for start in range(0, whole.steps[0], longest):
            window = slice(start, min(start + longest, whole.steps[0]))
            mask = None if whole.mask is None else whole.mask[:, window]
            yield EncoderInputs(whole.values[:, window], mask, (window.stop - start,))

    def _long_parts(
        self, audio: LongAudio, samples: int, blocks: Blocks | None
    ) -> Iterator[tuple[EncoderInputs, slice]]:
        time, stack = self.steps(samples), self.frames_per_step
        mean, deviation = self._statistics(audio, 1 + (samples - WINDOW) // HOP)
        masked = self._extract([torch.randn(self.samples(1))], padding=True)[1] is not None
        tape = Tape(audio.blocks(), np.concatenate)
        for chunk in span_blocks(time, max(1, round(LONGEST_SECONDS / self.step_seconds)), 0, 0):
            steps = chunk.end - chunk.start
            frames = (self._filterbanks(tape, chunk.start * stack, chunk.end * stack) - mean) / deviation
            values = torch.from_numpy(frames.reshape(1, steps, -1)).float()
            mask = torch.ones(1, steps, dtype=torch.long) if masked else None
            yield EncoderInputs(values, mask, (steps,)), slice(0, steps)

    def _statistics(self, audio: LongAudio, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Return what each bin is normalised by: its mean and its deviation over the recording."""
        first = self._filterbanks(Tape(audio.blocks(), np.concatenate), 0, min(count, BLOCK_FRAMES)).mean(0)
        tape, total, squares = Tape(audio.blocks(), np.concatenate), np.zeros(1), np.zeros(1)
        for start in range(0, count, BLOCK_FRAMES):
            # About the mean of the first frames, so that no digits are lost in the difference of large sums.
            frames = self._filterbanks(tape, start, min(count, start + BLOCK_FRAMES)) - first
            total, squares = total + frames.sum(0), squares + np.square(frames).sum(0)
        variance = (squares - total**2 / count) / max(1, count - 1)
        return first + total / count, np.sqrt(variance + 1e-7)

    def _filterbanks(self, tape: Tape, first: int, last: int) -> Float[np.ndarray, "frames bins"]:
        """Return filterbank frames as they are before normalisation, in float64."""
        waveform = tape.read(first * HOP, (last - 1) * HOP + WINDOW)
        values, _ = self._extract([torch.from_numpy(waveform)], padding=True, do_normalize_per_mel_bins=False)
        return values[0].double().numpy().reshape(-1, self.extractor.feature_size)[: last - first]

    def samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""
        return (steps * self.frames_per_step - 1) * HOP + WINDOW


def _default_extractor() -> Any:
    from transformers import SeamlessM4TFeatureExtractor

    return SeamlessM4TFeatureExtractor(padding_value=1)
