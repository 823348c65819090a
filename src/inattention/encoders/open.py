"""Opening encoders: by folder or hub name, or from a model in memory."""

from pathlib import Path

import torch
from torch import nn

from inattention.encoders.base import FeatureSource, MapSource, TrainedEncoder
from inattention.encoders.hub import model_folder
from inattention.encoders.hugging_face import encoder_of, is_hugging_face, load_feature_extractor, load_hugging_face
from inattention.encoders.hugging_face.source import HuggingFaceEncoder
from inattention.encoders.ours import EncoderSource
from inattention.model.loading import ModelFolderError
from inattention.model.transformer import AudioTransformer


def as_source(model: MapSource | nn.Module, name: str | None = None) -> MapSource:
    """Return a model as a source of attention maps.

    Args:
        model: one of our encoders, a Hugging Face audio encoder, or a source, which is returned as it is. In memory, a
            Hugging Face encoder has no feature extractor, and gets the default one of its kind.
        name: label in figures.

    Raises:
        ValueError: if the model is none of them.
    """
    if isinstance(model, AudioTransformer):
        return EncoderSource(model, name or "encoder")
    if isinstance(model, MapSource):
        return model
    if isinstance(model, nn.Module) and hasattr(model, "config") and hasattr(model.config, "num_attention_heads"):
        return encoder_of(model, name=name)
    raise ValueError(f"{type(model).__name__} is neither one of our encoders nor a Hugging Face audio encoder")


def open_source(model: str) -> MapSource:
    """Open one of our encoders or a Hugging Face encoder; which of them it is follows from its config.json.

    A Hugging Face encoder is fed by the feature extractor of its folder.

    Args:
        model: folder or hub name.

    Raises:
        ModelFolderError: if it is neither.
    """
    name = Path(model).resolve().name if Path(model).is_dir() else model
    folder = model_folder(model)
    if not is_hugging_face(folder):
        return EncoderSource(AudioTransformer.from_pretrained(folder), name)
    try:
        return encoder_of(load_hugging_face(str(folder)), load_feature_extractor(str(folder)), name)
    except ModelFolderError:
        raise
    except ValueError as error:
        raise ModelFolderError(f"{model}: {error}") from error


def open_features(model: str, device: torch.device | str = "cpu") -> FeatureSource:
    """Open one of our encoders or a Hugging Face encoder as a source of features.

    Args:
        model: folder or hub name.
        device: where it runs.

    Raises:
        ModelFolderError: if it is neither, or its frames do not follow each other in time.
    """
    source = open_source(model)
    if not isinstance(source, EncoderSource | HuggingFaceEncoder):
        raise ModelFolderError(f"{model}: its frames do not follow each other in time, so there are no features of it")
    source.model.to(device)
    return source


def open_encoder(model: str) -> TrainedEncoder:
    """Open a Hugging Face encoder whose inputs, hidden states and attention modules are accessible.

    Args:
        model: folder or hub name.

    Raises:
        ModelFolderError: if it is none.
    """
    source = open_source(model)
    if not isinstance(source, TrainedEncoder):
        raise ModelFolderError(
            f"{model}: is not an encoder of Whisper, wav2vec 2.0, HuBERT, WavLM, UniSpeech-SAT, Data2Vec-Audio or "
            "Wav2Vec2-BERT"
        )
    return source
