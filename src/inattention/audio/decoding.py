"""Decoding and resampling of audio in NumPy, for worker processes that do not load PyTorch.

`reader` is the same for tensors, files and cuts.
"""

import os
from collections.abc import Generator
from contextlib import contextmanager
from io import BufferedIOBase
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from inattention.audio.limits import HIGHEST_RATE, LOWEST_RATE

_DECODER_ERRORS = (
    soundfile.SoundFileError, RuntimeError, ValueError, TypeError, IndexError, OSError, MemoryError,
)  # fmt: skip


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file or the cut, and the reason."""


@contextmanager
def open_audio(file: str | Path | BufferedIOBase) -> Generator[soundfile.SoundFile]:
    """Open audio that libsndfile decodes (wav, flac, mp3, ogg, opus, ...).

    Args:
        file: A path, or an open file.

    Raises:
        AudioError: The audio cannot be opened, or cannot be decoded within the `with` block. The message does not
            repeat the path.
    """
    # As bytes, which soundfile accepts too: a name need not be UTF-8.
    source: Any = os.fsencode(file) if isinstance(file, str | Path) else file
    try:
        with soundfile.SoundFile(source) as sound:
            yield sound
    except AudioError:
        raise
    except _DECODER_ERRORS as error:
        reason = str(getattr(error, "error_string", error)) or type(error).__name__
        raise AudioError(f"cannot be read as audio ({' '.join(reason.split())})") from error


def read_samples(
    file: str | Path | BufferedIOBase, *, first: int = 0, count: int = -1
) -> tuple[Float[np.ndarray, "samples channels"], int]:
    """Read samples and their sampling rate.

    Args:
        file: A path, or an open file.
        first: First sample to read.
        count: Number of samples, fewer at the end of the file; -1 for all.

    Raises:
        AudioError: It cannot be decoded, or its header has an impossible rate.
    """
    with open_audio(file) as sound:
        check_rate(sound.samplerate)
        if sound.seekable():
            sound.seek(min(first, sound.frames))
        return sound.read(count, dtype="float32", always_2d=True), sound.samplerate


def check_rate(rate: int) -> None:
    """Raise `AudioError` for a sampling rate in a header that no recording of speech has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"its header says {rate} Hz, which no speech has ({LOWEST_RATE} to {HIGHEST_RATE})")


def resample_array(wave: Float[np.ndarray, " samples"], rate: int, wanted: int) -> Float[np.ndarray, " resampled"]:
    """Return a waveform at another sampling rate, by a polyphase filter.

    >>> resample_array(np.zeros(441), 44_100, 16_000).shape
    (160,)
    """
    if rate == wanted:
        return wave
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    return resample_poly(wave, wanted // common, rate // common)
