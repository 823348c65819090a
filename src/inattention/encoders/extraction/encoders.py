"""The encoders that features of files are extracted with: ours in batches of chunks, Hugging Face's one by one."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from inattention.audio.decoding import AudioError
from inattention.audio.frames import feature_stream
from inattention.audio.limits import Truncated
from inattention.audio.reader import load_short_audio, long_audio
from inattention.encoders.hugging_face.source import HuggingFaceEncoder
from inattention.encoders.ours import EncoderSource
from inattention.model.chunks import encode
from inattention.model.long_input import encode_stream, plan_blocks
from inattention.model.reach import reach_seconds
from inattention.model.recording import LONG_SECONDS, features_of_file
from inattention.model.transformer import AudioTransformer

CHUNKS = "chunks"
_PLACES = ("_name_or_path", "transformers_version", "processor_class")  # settings that change nothing


@dataclass(frozen=True)
class LongFeatures:
    """Features of a recording that is encoded piece by piece.

    Attributes:
        frames: number of frames.
        pieces: the features, in order.
    """

    frames: int
    pieces: Iterator[Float[Tensor, "some width"]]


@dataclass(frozen=True)
class BlockSettings:
    """Settings for the encoding of long recordings.

    Attributes:
        seconds: length of a block; None for each encoder's usual chunks.
        bound: greatest part of a row of weights that may be left out.
    """

    seconds: float | None = None
    bound: float = 0.0

    def __post_init__(self) -> None:
        if self.seconds is None and self.bound:
            raise ValueError("bound goes with blocks: set block too")

    @property
    def longest(self) -> float:
        """Length up to which recordings are read as a whole, in seconds."""
        return LONG_SECONDS if self.seconds is None else 0.0


class OurExtractor:
    """One of our encoders; its input is a recording's features."""

    def __init__(self, source: EncoderSource, settings: BlockSettings) -> None:
        self.model: AudioTransformer = source.model
        self.layers, self.width, self.settings = source.layers, source.width, settings
        self.step_seconds, self.first_center_seconds = source.step_seconds, source.first_center_seconds
        self.plan = plan_blocks(self.model.encoder, settings.seconds, settings.bound)

    @property
    def encoding(self) -> str:
        """Manner in which long recordings are encoded, for records."""
        return CHUNKS if self.plan is None else _one_pass(self.plan.limited.left_out)

    @property
    def reach(self) -> str:
        """Part of the input that a frame depends on, if that is limited, for the terminal."""
        if self.plan is None:
            return ""
        config = self.model.config.features
        back, ahead = reach_seconds(self.plan.limited.reach, config)
        whole = " and the statistics of the recording" if config.normalise else ""
        return f"{_reach(back, ahead)}{whole}{_left_out(self.plan.limited.left_out)}"

    def fingerprint(self) -> str:
        """Return a digest of config and weights."""
        return fingerprint(self.model)

    def read(self, path: Path, *, truncated: Truncated = "skip") -> Float[Tensor, "time size"] | None:
        """Return a recording's features; None if it is encoded piece by piece."""
        if not self.settings.longest:
            return None
        return features_of_file(
            path, self.model.config.features, truncated=truncated, longest_seconds=self.settings.longest
        )

    def frames(self, read: Float[Tensor, "time size"]) -> int:
        """Return the number of frames."""
        return len(read)

    def encode(
        self, inputs: Sequence[Float[Tensor, "_ size"]], layer: int, budget: int
    ) -> list[Float[Tensor, "_ width"]]:
        """Return a hidden state of each recording, encoded in batches of chunks."""
        chunk = min(max(map(len, inputs)), self.model.config.max_length)
        return encode(self.model.encoder, inputs, layer=layer, batch_size=max(1, budget // chunk))

    def long(self, path: Path, layer: int, *, truncated: Truncated = "skip") -> LongFeatures:
        """Return a hidden state of a recording, piece by piece."""
        config = self.model.config.features
        stream = feature_stream(long_audio(path, config.sampling_rate, truncated=truncated), config)
        return LongFeatures(stream.time, encode_stream(self.model.encoder, stream, self.plan, layer=layer))


class HuggingFaceExtractor:
    """An encoder of `transformers`; its input is the waveform."""

    def __init__(self, source: HuggingFaceEncoder, settings: BlockSettings) -> None:
        self.source, self.model, self.layers, self.width = source, source.model, source.layers, source.width
        self.step_seconds, self.first_center_seconds = source.step_seconds, source.first_center_seconds
        self.settings = settings
        self.blocks = None if settings.seconds is None else source.blocks(settings.seconds, settings.bound)

    @property
    def encoding(self) -> str:
        """Manner in which long recordings are encoded, for records."""
        if self.blocks is None:
            return CHUNKS
        if self.blocks.reach is None:
            return f"windows that begin every {self.blocks.frames * self.step_seconds:g} s"
        return _one_pass(self.blocks.left_out)

    @property
    def reach(self) -> str:
        """Part of the input that a frame depends on, if that is limited, for the terminal."""
        if self.blocks is None or self.blocks.reach is None:
            return ""
        reach, around = self.blocks.reach, self.source.samples(1) / self.source.sampling_rate / 2
        back, ahead = (frames * self.step_seconds + around for frames in (reach.back, reach.ahead))
        whole = " and the mean and variance of the recording" if self.source.extractor.do_normalize else ""
        return f"{_reach(back, ahead)}{whole}{_left_out(self.blocks.left_out)}"

    def fingerprint(self) -> str:
        """Return a digest of config, feature extractor and weights."""
        settings = [self.source.config.to_dict(), self.source.extractor.to_dict()]
        for one in settings:
            for name in _PLACES:
                one.pop(name, None)
        return _digest(self.model, settings)

    def read(self, path: Path, *, truncated: Truncated = "skip") -> Float[Tensor, " samples"] | None:
        """Return a recording's waveform; None if it is encoded piece by piece."""
        if not self.settings.longest:
            return None
        rate = self.source.sampling_rate
        waveform = load_short_audio(path, rate, truncated=truncated, longest_seconds=self.settings.longest)
        if waveform is not None and not self.source.steps(len(waveform)):
            raise AudioError(f"{path}: is too short for a frame of {self.source.name} ({len(waveform)} samples)")
        return waveform

    def frames(self, read: Float[Tensor, " samples"]) -> int:
        """Return the number of frames."""
        return self.source.steps(len(read))

    def encode(self, inputs: Sequence[Float[Tensor, " _"]], layer: int, budget: int) -> list[Float[Tensor, "_ width"]]:
        """Return a hidden state of each recording, encoded alone, as its features are defined."""
        return self.source.features(inputs, layer=layer)

    def long(self, path: Path, layer: int, *, truncated: Truncated = "skip") -> LongFeatures:
        """Return a hidden state of a recording, piece by piece."""
        audio = long_audio(path, self.source.sampling_rate, truncated=truncated)
        return LongFeatures(*self.source.long_features(audio, layer=layer, blocks=self.blocks))


def _one_pass(left_out: float) -> str:
    return "one pass" + (f" that leaves out {left_out:.3g} of a row of weights" if left_out else "")


def _reach(back: float, ahead: float) -> str:
    return f"{back:.2f} s before the centre of a frame and {ahead:.2f} s behind it"


def _left_out(left_out: float) -> str:
    return f"; at most {left_out:.1e} of a row of weights is left out" if left_out else ""


Extractor = OurExtractor | HuggingFaceExtractor


def extractor_of(source: Any, settings: BlockSettings | None = None) -> Extractor:
    """Return the extractor of a source of features.

    Args:
        source: the encoder.
        settings: how long recordings are encoded.

    Raises:
        UnlimitedReach: for blocks, if a frame of the encoder may depend on all frames of the input.
        ValueError: for settings out of range.
    """
    kind = OurExtractor if isinstance(source, EncoderSource) else HuggingFaceExtractor
    return kind(source, settings or BlockSettings())


def fingerprint(model: AudioTransformer) -> str:
    """Return a digest of a model's config and weights, independent of where the model is stored."""
    return _digest(model, model.config.to_dict())


def _digest(model: nn.Module, settings: Any) -> str:
    digest = hashlib.blake2b(json.dumps(settings, sort_keys=True, default=str).encode(), digest_size=16)
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
