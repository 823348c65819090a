"""Encoders of `transformers` from folders and hub names: safetensors only, and no code from the folder is run."""

import json
from pathlib import Path
from typing import Any

from torch import nn

from inattention.encoders.hub import model_folder
from inattention.encoders.quiet import quiet
from inattention.model.config import MODEL_TYPE
from inattention.model.loading import ModelFolderError, check_weights

CONVERTED = "inattention-"  # begins the model types of converted encoders
LARGEST_CONFIG = 2**24  # bytes
EXTRACTOR_FILES = ("preprocessor_config.json", "processor_config.json")
_ONLY_FOR_TRAINING = ("masked_spec_embed",)


def is_hugging_face(folder: Path) -> bool:
    """Return whether a folder's config is one of `transformers`, and not of our own encoders."""
    kind = _config(folder).get("model_type")
    return isinstance(kind, str) and kind != MODEL_TYPE


def load_hugging_face(folder: str) -> nn.Module:
    """Load an encoder with `transformers`, in float32 and evaluation mode; a converted one too.

    Whisper has its decoder.

    Adapters behind the layers of wav2vec 2.0 and its relatives are left out.

    Args:
        folder: folder or hub name.

    Raises:
        ValueError: if it cannot be loaded, or weights are missing.
    """
    transformers = _transformers(folder)
    path = model_folder(folder)
    if not any(path.glob("*.safetensors")):
        raise ModelFolderError(
            f"{folder}: has no model.safetensors; weights of any other kind (pickles such as pytorch_model.bin) can "
            "run code and are not read: load and save them with `transformers` where you trust them"
        )
    for weights in sorted(path.glob("*.safetensors")):
        check_weights(weights)
    try:
        if str(_config(path).get("model_type")).startswith(CONVERTED):
            from inattention.encoders.converted import from_pretrained

            return from_pretrained(str(path))
        config = transformers.AutoConfig.from_pretrained(path, trust_remote_code=False)
        for name in ("add_adapter", "use_intermediate_ffn_before_adapter"):
            if hasattr(config, name):
                setattr(config, name, False)
        whisper = config.model_type == "whisper"
        kind = transformers.WhisperForConditionalGeneration if whisper else transformers.AutoModel
        options: dict[str, Any] = {} if whisper else {"trust_remote_code": False}
        with quiet():
            model, report = kind.from_pretrained(
                path, config=config, use_safetensors=True, dtype="float32", output_loading_info=True, **options
            )
    except Exception as error:  # a downloaded folder may fail in any way
        raise ModelFolderError(f"{folder} cannot be loaded: {' '.join(str(error).split())}") from error
    missing = sorted(name for name in report["missing_keys"] if not name.endswith(_ONLY_FOR_TRAINING))
    if missing:
        raise ModelFolderError(f"{folder}: {len(missing)} weights are missing, such as {missing[0]}")
    return model.eval()


def load_feature_extractor(folder: str) -> Any | None:
    """Load a folder's feature extractor; None if it has none.

    Raises:
        ValueError: if it cannot be loaded.
    """
    transformers = _transformers(folder)
    path = model_folder(folder)
    if not any((path / name).is_file() for name in EXTRACTOR_FILES):
        return None
    try:
        return transformers.AutoFeatureExtractor.from_pretrained(path, trust_remote_code=False)
    except Exception as error:  # a downloaded folder may fail in any way
        raise ModelFolderError(
            f"{folder}: its feature extractor cannot be loaded: {' '.join(str(error).split())}"
        ) from error


def _transformers(folder: str) -> Any:
    try:
        import transformers
    except ImportError:
        raise ValueError(
            f"{folder}: install transformers to load a Hugging Face model (pip install 'inattention[encoders]')"
        ) from None
    return transformers


def _config(folder: Path) -> dict[str, Any]:
    try:
        if (folder / "config.json").stat().st_size > LARGEST_CONFIG:
            return {}
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
