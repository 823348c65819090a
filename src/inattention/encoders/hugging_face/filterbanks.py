"""Wav2Vec2-BERT: an encoder of mel filterbanks, two frames of 10 ms stacked in one."""

from collections.abc import Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.reader import check_samples
from inattention.encoders.base import Crop, EncoderInputs
from inattention.encoders.hugging_face.source import HuggingFaceEncoder

WINDOW, HOP = 400, 160  # samples of a filterbank frame, fixed in the feature extractor
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

    def samples(self, steps: int) -> int:
        """Return the smallest number of samples that yields this many frames."""
        return (steps * self.frames_per_step - 1) * HOP + WINDOW


def _default_extractor() -> Any:
    from transformers import SeamlessM4TFeatureExtractor

    return SeamlessM4TFeatureExtractor(padding_value=1)
