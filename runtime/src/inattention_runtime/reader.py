"""Waveforms of files: one channel, checked, at the sampling rate that is asked for, as inattention reads them."""

import math
from pathlib import Path
from typing import Literal

import numpy as np

from inattention_runtime.resampling import resample

try:
    from inattention_runtime._reader.audio.decoding import Audio, AudioError, check_rate, open_audio
    from inattention_runtime._reader.audio.feature_stream import Arithmetic, FeatureStream
    from inattention_runtime._reader.audio.limits import HIGHEST_RATE, KEEP_HINT, LOWEST_RATE, SILENCE
    from inattention_runtime._reader.audio.listing import list_audio
    from inattention_runtime._reader.audio.spans import Chunk, Tape, blocks, chunks
    from inattention_runtime._reader.audio.streaming import LongAudio
    from inattention_runtime._reader.text import printable
except ModuleNotFoundError:  # a checkout, where the reader is still in its own place
    from inattention.audio.decoding import Audio, AudioError, check_rate, open_audio
    from inattention.audio.feature_stream import Arithmetic, FeatureStream
    from inattention.audio.limits import HIGHEST_RATE, KEEP_HINT, LOWEST_RATE, SILENCE
    from inattention.audio.listing import list_audio
    from inattention.audio.spans import Chunk, Tape, blocks, chunks
    from inattention.audio.streaming import LongAudio
    from inattention.text import printable

__all__ = [
    "Arithmetic",
    "AudioError",
    "Chunk",
    "FeatureStream",
    "LongAudio",
    "Tape",
    "as_waveform",
    "blocks",
    "chunks",
    "list_audio",
    "load_audio",
    "long_audio",
    "printable",
]

Truncated = Literal["skip", "keep"]


def load_audio(
    path: str | Path, sampling_rate: int, *, longest_seconds: float = math.inf, truncated: Truncated = "skip"
) -> np.ndarray | None:
    """Read a file as one channel; several channels are averaged.

    Args:
        path: any file that libsndfile reads, whatever its suffix.
        sampling_rate: Hz of the result; other rates are resampled.
        longest_seconds: return None if the file is longer, of which no more is decoded than it takes to know.
        truncated: ``skip`` raises for a file that ends before its header says, ``keep`` returns what is there.

    Raises:
        AudioError: if the file is missing, unreadable, truncated, empty, silent, or holds NaN or infinity, or its
            header has an impossible rate; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    try:
        with open_audio(path) as audio:
            rate = audio.samplerate
            check_rate(rate)
            samples = _up_to(audio, longest_seconds)
            if samples is None:
                return None
            if truncated == "skip" and audio.damage:
                raise AudioError(f"{audio.damage}; {KEEP_HINT}")
    except AudioError as error:
        raise AudioError(f"{path}: {error}") from error
    waveform = samples.mean(1) if samples.shape[1] > 1 else samples[:, 0]
    check_samples(waveform, str(path))
    return resample(waveform, rate, sampling_rate)


def long_audio(
    source: Path | np.ndarray, sampling_rate: int, *, rate: int = 0, truncated: Truncated = "skip"
) -> LongAudio:
    """Return a recording that is read block by block.

    Args:
        source: a file, or one channel of samples.
        sampling_rate: Hz of the blocks.
        rate: Hz of samples in memory.
        truncated: as for `load_audio`.
    """
    return LongAudio(source, sampling_rate, resample, rate=rate, truncated=truncated)


def _up_to(audio: Audio, seconds: float) -> np.ndarray | None:
    """Return all samples, (samples, channels), or None if there are more than that."""
    found, count = [np.zeros((0, audio.channels), np.float32)], 0
    for block in audio.blocks():
        count += len(block)
        if count > seconds * audio.samplerate:
            return None
        found.append(block)
    return found[1] if len(found) == 2 else np.concatenate(found)


def as_waveform(samples: np.ndarray, rate: int, sampling_rate: int) -> np.ndarray:
    """Return samples at another rate, after a check.

    Raises:
        AudioError: if they are not one channel of floating-point numbers, empty, silent or not finite, or no recording
            has their rate.
    """
    samples = np.asarray(samples)
    if samples.ndim != 1 or samples.dtype.kind != "f":
        raise AudioError(
            f"samples must be one channel of floating-point numbers, not {samples.dtype} of {samples.shape}"
        )
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"the sampling rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {rate}")
    check_samples(samples, "the audio")
    return resample(samples.astype(np.float32), rate, sampling_rate)


def check_samples(waveform: np.ndarray, name: str) -> None:
    """Raise if samples hold nothing to hear.

    Raises:
        AudioError: if there are no samples, or they are not finite, or silent.
    """
    if not len(waveform):
        raise AudioError(f"{name}: holds no samples")
    if not np.isfinite(waveform).all():
        raise AudioError(f"{name}: holds NaN or infinite samples")
    low, high = float(waveform.min()), float(waveform.max())
    if high - low < SILENCE:
        raise AudioError(f"{name}: is silent (its samples lie between {low:g} and {high:g})")
