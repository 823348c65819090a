"""Trained encoders of `transformers`: Whisper, wav2vec 2.0, HuBERT, WavLM, Wav2Vec2-BERT and similar ones, and AST.

One class per kind of input: waveforms through strided convolutions (`waveforms`), stacked filterbanks (`filterbanks`),
Whisper's log-mel spectrogram (`whisper`), and the patches of a spectrogram (`patches`), of which there are maps only.
"""

from typing import Any

from torch import nn

from inattention.encoders.hugging_face.filterbanks import FilterbankEncoder
from inattention.encoders.hugging_face.loading import is_hugging_face, load_feature_extractor, load_hugging_face
from inattention.encoders.hugging_face.patches import PatchMaps
from inattention.encoders.hugging_face.waveforms import WaveformEncoder
from inattention.encoders.hugging_face.whisper import WhisperEncoder

__all__ = [
    "FilterbankEncoder",
    "HuggingFaceMaps",
    "PatchMaps",
    "WaveformEncoder",
    "WhisperEncoder",
    "encoder_of",
    "is_hugging_face",
    "load_feature_extractor",
    "load_hugging_face",
]


def encoder_of(
    model: nn.Module, extractor: Any | None = None, name: str | None = None, *, normalise: bool = True
) -> WaveformEncoder | FilterbankEncoder | WhisperEncoder | PatchMaps:
    """Return the encoder in a model of `transformers`.

    Args:
        model: an encoder, or a model with a head on it.
        extractor: the feature extractor that it was trained with; by default that of the published encoders.
        name: label in tables and figures; defaults to the type of the model.
        normalise: of the default feature extractor, where it normalises.

    Raises:
        ValueError: if its input is of no known kind, or the feature extractor is of another kind.
    """
    config: Any = model.config
    if config.model_type == "whisper":
        return WhisperEncoder(model, extractor, name)
    base: Any = getattr(model, "base_model", model)
    if config.model_type == "wav2vec2-bert":
        return FilterbankEncoder(base, extractor, name)
    if hasattr(config, "conv_stride"):
        return WaveformEncoder(base, extractor, name, normalise=normalise)
    if hasattr(config, "time_stride"):
        return PatchMaps(base, extractor, name, normalise=normalise)
    raise ValueError(
        f"{name or config.model_type}: the input of this model is not supported; Whisper, Wav2Vec2-BERT, waveforms "
        "through strided convolutions (wav2vec 2.0, HuBERT, WavLM, ...) and AST's patches are; any other needs a "
        "source of its own (inattention.encoders.base.MapSource)"
    )


def HuggingFaceMaps(model: nn.Module, name: str | None = None, *, normalise: bool = True) -> Any:
    """Return the encoder in a model of `transformers`; the name of earlier versions for `encoder_of`."""
    return encoder_of(model, name=name, normalise=normalise)
