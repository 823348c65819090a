"""A recording as the input of a model, and the features that come out."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import features as features_of
from inattention.audio.limits import Truncated
from inattention.audio.reader import (
    AudioError,
    check_samples,
    check_sampling_rate,
    load_short_audio,
    long_audio,
    resample,
)
from inattention.audio.streaming import LongAudio

# Recordings up to this length are encoded at once, longer ones piece by piece.
LONG_SECONDS = 120.0


@dataclass(frozen=True)
class Extracted:
    """Features of one recording.

    Attributes:
        values: (time, width), or (layers, time, width) for all layers.
        step_seconds: time from one frame to the next.
        first_center_seconds: time of the first frame's centre.
    """

    values: Float[Tensor, "*layers time width"]
    step_seconds: float
    first_center_seconds: float

    @property
    def times(self) -> Float[Tensor, " time"]:
        """Time of each frame's centre in seconds."""
        frames = torch.arange(self.values.shape[-2], dtype=torch.float64)
        return self.first_center_seconds + frames * self.step_seconds


def short_input(audio: Any, sampling_rate: int | None, config: FeatureConfig) -> Float[Tensor, "time size"] | None:
    """Return a model's input from a recording; None if that is too long to be encoded at once.

    Args:
        audio: a file, or one channel of samples.
        sampling_rate: Hz of samples; None for a file.
        config: settings of the features.

    Raises:
        ValueError: if the file or the samples cannot be used.
    """
    if isinstance(audio, str | Path):
        _check_file(sampling_rate)
        return features_of_file(audio, config, longest_seconds=LONG_SECONDS)
    samples, rate = _checked(audio, sampling_rate)
    if len(samples) > LONG_SECONDS * rate:
        return None
    return features_of(resample(samples, rate, config.sampling_rate), config)


def recording(audio: Any, sampling_rate: int | None, config: FeatureConfig) -> LongAudio:
    """Return a recording that is read block by block.

    Args:
        audio: a file, or one channel of samples.
        sampling_rate: Hz of samples; None for a file.
        config: settings of the features.

    Raises:
        ValueError: if samples cannot be used.
    """
    if isinstance(audio, str | Path):
        _check_file(sampling_rate)
        return long_audio(Path(audio), config.sampling_rate)
    samples, rate = _checked(audio, sampling_rate)
    return long_audio(samples.numpy(force=True), config.sampling_rate, rate=rate)


def _check_file(sampling_rate: int | None) -> None:
    if sampling_rate is not None:
        raise ValueError("sampling_rate goes with samples; a file has its own")


def _checked(audio: Any, sampling_rate: int | None) -> tuple[Float[Tensor, " samples"], int]:
    """Return samples as a tensor, and their rate; raise ValueError if they cannot be used."""
    if sampling_rate is None:
        raise ValueError("samples need their sampling_rate in Hz")
    samples = torch.as_tensor(audio)
    if samples.ndim != 1 or not samples.is_floating_point():
        raise ValueError(
            f"samples must be one channel of floating-point numbers, not {samples.dtype} of {tuple(samples.shape)}"
        )
    check_samples(samples)
    check_sampling_rate(sampling_rate)
    return samples, sampling_rate


def timed(pieces: Iterator[Tensor], config: FeatureConfig) -> Iterator[Extracted]:
    """Yield pieces with the times of their frames."""
    first = 0
    for values in pieces:
        yield Extracted(values, config.step_seconds, config.first_center_seconds + first * config.step_seconds)
        first += values.shape[-2]


def features_of_file(
    path: str | Path,
    config: FeatureConfig,
    *,
    truncated: Truncated = "skip",
    longest_seconds: float | None = None,
) -> Float[Tensor, "time size"] | None:
    """Return a model's input from an audio file; None if it is longer than a limit.

    Args:
        path: the file.
        config: settings of the features.
        longest_seconds: the limit; None for none.
        truncated: ``skip`` raises for a file that ends before its header says, ``keep`` uses what is there.

    Raises:
        AudioError: naming the file, if it cannot be used.
    """
    waveform = load_short_audio(path, config.sampling_rate, truncated=truncated, longest_seconds=longest_seconds)
    if waveform is None:
        return None
    try:
        return features_of(waveform, config)
    except ValueError as error:
        raise AudioError(f"{path}: {error}") from error
