"""Hidden states of a trained or converted encoder as features of probes."""

from typing import Any

from inattention.encoders.base import FeatureSource
from inattention.encoders.hugging_face import WhisperEncoder, encoder_of
from inattention.encoders.trained import TrainedModel
from inattention.encoders.whisper_states import SILENCE_FRAMES


def feature_source(loaded: TrainedModel, name: str, *, own_length: bool) -> FeatureSource:
    """Return an encoder as a source of features.

    Args:
        loaded: a trained or converted model.
        name: label in messages.
        own_length: feed Whisper its speech and half a second of silence, instead of 30 s.
    """
    if loaded.is_whisper and own_length:
        return WhisperEncoder(loaded.model, loaded.extractor, name, silence=SILENCE_FRAMES)
    source: Any = encoder_of(loaded.model, loaded.extractor, name)
    return source
