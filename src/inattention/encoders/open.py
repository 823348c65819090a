"""Opening encoders: by folder or hub name, or from a model in memory."""

import json
from pathlib import Path

from torch import nn

from inattention.encoders.base import MapSource
from inattention.encoders.hugging_face import HuggingFaceMaps, load_hugging_face
from inattention.encoders.ours import EncoderSource
from inattention.model.transformer import AudioTransformer


def as_source(model: MapSource | nn.Module, name: str | None = None) -> MapSource:
    """Return a model as a source of attention maps.

    Args:
        model: one of our encoders, a Hugging Face audio encoder, or a source, which is returned as it is.
        name: label in figures.

    Raises:
        ValueError: if the model is none of them.
    """
    if isinstance(model, AudioTransformer):
        return EncoderSource(model, name or "encoder")
    if isinstance(model, MapSource):
        return model
    if isinstance(model, nn.Module) and hasattr(model, "config") and hasattr(model.config, "num_attention_heads"):
        return HuggingFaceMaps(model, name)
    raise ValueError(f"{type(model).__name__} is neither one of our encoders nor a Hugging Face audio encoder")


def open_source(model: str) -> MapSource:
    """Open one of our encoders or a Hugging Face encoder; which of them it is follows from its config.json.

    Args:
        model: folder or hub name.

    Raises:
        ValueError: if it is neither.
    """
    name = Path(model).resolve().name if Path(model).is_dir() else model
    if _is_hugging_face(Path(model) / "config.json"):
        return as_source(load_hugging_face(model), name)
    return EncoderSource(AudioTransformer.from_pretrained(model), name)


def _is_hugging_face(config: Path) -> bool:
    try:
        return "model_type" in json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
