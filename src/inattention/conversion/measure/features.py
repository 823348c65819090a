"""Hidden states of a trained or converted encoder as features of probes."""

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from inattention.conversion.measure.transcripts import SILENCE_FRAMES
from inattention.encoders.base import EncoderInputs, FeatureSource
from inattention.encoders.hugging_face import WhisperEncoder, encoder_of
from inattention.encoders.trained import TrainedModel


class ShortInputWhisper(WhisperEncoder):
    """Whisper's encoder fed with the speech and half a second of silence, as transcripts of short input are made."""

    def inputs(self, waveforms: Sequence[Float[Tensor, " _"]], *, steps: int | None = None) -> EncoderInputs:
        """Return log-mel spectrograms that end half a second after the longest utterance."""
        longest = max(self.steps(len(waveform)) for waveform in waveforms)
        return super().inputs(waveforms, steps=steps or min(longest + SILENCE_FRAMES, self._longest))


def feature_source(loaded: TrainedModel, name: str, *, own_length: bool) -> FeatureSource:
    """Return an encoder as a source of features.

    Args:
        loaded: a trained or converted model.
        name: label in messages.
        own_length: feed Whisper its speech and half a second of silence, instead of 30 s.
    """
    if loaded.is_whisper and own_length:
        return ShortInputWhisper(loaded.model, loaded.extractor, name, own_length=True)
    source: Any = encoder_of(loaded.model, loaded.extractor, name)
    return source
