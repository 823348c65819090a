"""Trained models of `transformers` with all that belongs to them: feature extractor, tokenizer, digest."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import AutoTokenizer, PreTrainedModel

from inattention.encoders.hub import model_folder
from inattention.encoders.hugging_face import load_feature_extractor, load_hugging_face
from inattention.model.loading import WEIGHTS_FILE, ModelFolderError


@dataclass(frozen=True)
class TrainedModel:
    """A trained model of `transformers` with what prepares its input and reads its output.

    Attributes:
        name: folder or hub name, as it was given.
        folder: where its files are.
        model: the model, in evaluation mode.
        extractor: its feature extractor.
        tokenizer: its tokenizer; None for an encoder without a decoder.
    """

    name: str
    folder: Path
    model: PreTrainedModel
    extractor: Any
    tokenizer: Any

    @property
    def label(self) -> str:
        """Name for records and pages, which others read: the hub name, or that of the folder without its path."""
        return self.folder.resolve().name if Path(self.name).is_dir() else self.name

    @property
    def is_whisper(self) -> bool:
        """Whether it is Whisper, with a decoder."""
        return self.model.config.model_type == "whisper"


def load_trained(name: str) -> TrainedModel:
    """Load a trained model, converted or not, from safetensors and without running code from its folder.

    Args:
        name: folder or hub name.

    Raises:
        ModelFolderError: if it cannot be loaded, or its weights, feature extractor or tokenizer are missing.
    """
    folder = model_folder(name)
    model = cast(PreTrainedModel, load_hugging_face(str(folder)))
    extractor = load_feature_extractor(str(folder))
    if extractor is None:
        raise ModelFolderError(f"{name}: has no preprocessor_config.json, which says how the encoder is to be fed")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder) if model.config.model_type == "whisper" else None
    except Exception as error:  # a downloaded folder may fail in any way
        raise ModelFolderError(f"{name}: its tokenizer cannot be loaded: {' '.join(str(error).split())}") from error
    return TrainedModel(name, folder, model, extractor, tokenizer)


def weights_digest(folder: Path) -> str:
    """Return the SHA-256 of a model's weights."""
    with (folder / WEIGHTS_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
