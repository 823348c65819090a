"""Key of a teacher's outputs: all that they depend on, so that conversions share only what is equal."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inattention.conversion.trained.speech import Utterance
from inattention.encoders.trained import TrainedModel, weights_digest
from inattention.files import write_json

KEY = "teacher.json"
REVISION = 2  # of the composition of examples and of what is kept of the teacher; raise it when either changes
# Files of a model's folder, besides the weights, that decide on what it hears and what it outputs.
_FILES = (
    "config.json", "preprocessor_config.json", "processor_config.json", "generation_config.json", "tokenizer.json",
    "tokenizer_config.json", "vocab.json", "merges.txt", "normalizer.json", "special_tokens_map.json",
    "added_tokens.json",
)  # fmt: skip
_NAMES = {
    "teacher": "another teacher",
    "files": "other settings of the teacher",
    "speech": "other speech",
    "texts": "other texts",
    "held_out": "other held-out speech or texts",
    "seed": "another seed",
    "lengths": "other lengths",
    "language": "another language",
    "precision": "another precision",
    "device": "another device",
    "revision": "another version of inattention",
}


def cache_key(
    loaded: TrainedModel,
    speech_key: str,
    train: Sequence[Utterance],
    held_out: Sequence[Utterance],
    *,
    seed: int,
    lengths: str,
    language: str,
    precision: str,
) -> dict[str, Any]:
    """Return all that the teacher's outputs depend on, as JSON data.

    Args:
        loaded: the teacher.
        speech_key: digest of the speech.
        train: utterances that examples are composed of.
        held_out: the same for held-out examples.
        seed: of the composition.
        lengths: setting of `TrainedConversionConfig`.
        language: setting of `TrainedConversionConfig`.
        precision: setting of `TrainedConversionConfig`.
    """
    digest = hashlib.sha256()
    for name in _FILES:
        path = loaded.folder / name
        digest.update(f"{name}\n".encode() + (path.read_bytes() if path.is_file() else b"") + b"\n")
    return {
        "revision": REVISION,
        "teacher": weights_digest(loaded.folder),
        "files": digest.hexdigest(),
        "speech": speech_key,
        "texts": _texts(train),
        "held_out": _texts(held_out),
        "seed": seed,
        "lengths": lengths,
        "language": language,
        "precision": precision,
        "device": loaded.model.device.type,
    }


def claim_cache(folder: Path, key: dict[str, Any]) -> None:
    """Record what a folder of outputs belongs to, or check that it belongs to the same.

    Raises:
        ValueError: if it belongs to anything else, or is not a folder of outputs.
    """
    path = folder / KEY
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if any(not it.name.startswith(".") for it in folder.iterdir()) and not path.exists():
            raise ValueError(f"--teacher-cache {folder} holds other files; choose a new folder")
        write_json(path, key)
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        known = None
    if not isinstance(known, dict):
        raise ValueError(f"--teacher-cache: {path} is damaged; remove the folder")
    differing = [_NAMES.get(name, name) for name in {**key, **known} if known.get(name) != key.get(name)]
    if differing:
        raise ValueError(
            f"--teacher-cache {folder} holds outputs for {' and '.join(differing)}; choose another folder, or remove "
            "this one"
        )


def _texts(utterances: Sequence[Utterance]) -> str:
    digest = hashlib.sha256()
    for utterance in utterances:
        digest.update(json.dumps([utterance.id, utterance.text]).encode())
    return digest.hexdigest()
