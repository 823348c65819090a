"""The encoders that features of files are extracted with: ours in batches of chunks, Hugging Face's one by one."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.decoding import AudioError
from inattention.audio.limits import Truncated
from inattention.audio.reader import load_audio
from inattention.encoders.hugging_face.source import HuggingFaceEncoder
from inattention.encoders.ours import EncoderSource
from inattention.model.chunks import encode
from inattention.model.transformer import AudioTransformer, features_of_file

_PLACES = ("_name_or_path", "transformers_version", "processor_class")  # settings that change nothing


class OurExtractor:
    """One of our encoders; its input is a recording's features."""

    def __init__(self, source: EncoderSource) -> None:
        self.model: AudioTransformer = source.model
        self.layers = source.layers
        self.step_seconds, self.first_center_seconds = source.step_seconds, source.first_center_seconds

    def fingerprint(self) -> str:
        """Return a digest of config and weights."""
        return fingerprint(self.model)

    def read(self, path: Path, *, truncated: Truncated = "skip") -> Float[Tensor, "time size"]:
        """Return a recording's features."""
        return features_of_file(path, self.model.config.features, truncated=truncated)

    def frames(self, read: Float[Tensor, "time size"]) -> int:
        """Return the number of frames."""
        return len(read)

    def encode(
        self, inputs: Sequence[Float[Tensor, "_ size"]], layer: int, budget: int
    ) -> list[Float[Tensor, "_ width"]]:
        """Return a hidden state of each recording, encoded in batches of chunks."""
        chunk = min(max(map(len, inputs)), self.model.config.max_length)
        return encode(self.model.encoder, inputs, layer=layer, batch_size=max(1, budget // chunk))


class HuggingFaceExtractor:
    """An encoder of `transformers`; its input is the waveform."""

    def __init__(self, source: HuggingFaceEncoder) -> None:
        self.source, self.model, self.layers = source, source.model, source.layers
        self.step_seconds, self.first_center_seconds = source.step_seconds, source.first_center_seconds

    def fingerprint(self) -> str:
        """Return a digest of config, feature extractor and weights."""
        settings = [self.source.config.to_dict(), self.source.extractor.to_dict()]
        for one in settings:
            for name in _PLACES:
                one.pop(name, None)
        return _digest(self.model, settings)

    def read(self, path: Path, *, truncated: Truncated = "skip") -> Float[Tensor, " samples"]:
        """Return a recording's waveform."""
        waveform = load_audio(path, self.source.sampling_rate, truncated=truncated)
        if not self.source.steps(len(waveform)):
            raise AudioError(f"{path}: is too short for a frame of {self.source.name} ({len(waveform)} samples)")
        return waveform

    def frames(self, read: Float[Tensor, " samples"]) -> int:
        """Return the number of frames."""
        return self.source.steps(len(read))

    def encode(self, inputs: Sequence[Float[Tensor, " _"]], layer: int, budget: int) -> list[Float[Tensor, "_ width"]]:
        """Return a hidden state of each recording, encoded alone, as its features are defined."""
        return self.source.features(inputs, layer=layer)


Extractor = OurExtractor | HuggingFaceExtractor


def extractor_of(source: Any) -> Extractor:
    """Return the extractor of a source of features."""
    return OurExtractor(source) if isinstance(source, EncoderSource) else HuggingFaceExtractor(source)


def fingerprint(model: AudioTransformer) -> str:
    """Return a digest of a model's config and weights, independent of where the model is stored."""
    return _digest(model, model.config.to_dict())


def _digest(model: nn.Module, settings: Any) -> str:
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
