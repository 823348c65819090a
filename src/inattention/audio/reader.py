"""Reading audio files: any rate, any channels, one mono waveform at the rate that is asked for."""

import os
from math import gcd
from pathlib import Path
from typing import BinaryIO

import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.limits import HIGHEST_RATE, LOWEST_RATE, SILENCE, SUFFIXES


class AudioError(ValueError):
    """Audio that cannot be used: which (a file's path, a cut's name), and the reason."""


def load_audio(path: str | Path, sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a file as one channel at a sampling rate; several channels are averaged.

    Args:
        path: any file that libsndfile reads (wav, flac, mp3, ogg, opus, ...).
        sampling_rate: Hz of what is given back; other rates are resampled.

    Raises:
        AudioError: if the file is missing, unreadable, empty, silent, or holds NaN or infinity, or its header has a
            rate that no recording has; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    # As bytes, which soundfile takes too: a name need not be UTF-8.
    return decode_audio(os.fsencode(path), str(path), sampling_rate)


def decode_audio(file: bytes | BinaryIO, name: str, sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read an open file, or one by its name as bytes, as one channel at a sampling rate; see `load_audio`.

    Args:
        file: holds what libsndfile reads.
        name: what messages call it.
        sampling_rate: Hz of what is given back.

    Raises:
        AudioError: as `load_audio` does.
    """
    import soundfile

    try:
        samples, rate = soundfile.read(file, dtype="float32", always_2d=True)  # ty: ignore[invalid-argument-type]
    except (soundfile.SoundFileError, RuntimeError, ValueError, OSError, MemoryError) as error:
        reason = getattr(error, "error_string", error)  # without the path, which libsndfile would say again
        raise AudioError(f"{name}: cannot be read as audio ({reason})") from error
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"{name}: its header says {rate} Hz, which no speech has ({LOWEST_RATE} to {HIGHEST_RATE})")
    waveform = torch.from_numpy(samples).mean(1) if samples.shape[1] > 1 else torch.from_numpy(samples[:, 0])
    del samples  # several channels of an hour are gigabytes
    check_samples(waveform, name)
    return resample(waveform, rate, sampling_rate)


def check_samples(waveform: Float[Tensor, " samples"], name: str = "the audio") -> None:
    """Refuse samples that hold nothing to hear.

    Args:
        waveform: one channel.
        name: what the message calls it.

    Raises:
        AudioError: if there are no samples, or they are not finite, or silent: all the same, or all but.

    >>> check_samples(torch.tensor([0.0, 0.1]))
    """
    if not waveform.numel():
        raise AudioError(f"{name}: holds no samples")
    if not bool(waveform.isfinite().all()):
        raise AudioError(f"{name}: holds NaN or infinite samples")
    low, high = (float(end) for end in waveform.detach().aminmax())
    if high - low < SILENCE:
        raise AudioError(f"{name}: is silent (its samples lie between {low:g} and {high:g})")


def resample(waveform: Float[Tensor, " samples"], rate: int, wanted: int) -> Float[Tensor, " resampled"]:
    """Change the sampling rate by a polyphase filter.

    Raises:
        AudioError: if no recording has such a rate.

    >>> resample(torch.zeros(441), 44_100, 16_000).shape
    torch.Size([160])
    """
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"the sampling rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {rate}")
    if rate == wanted:
        return waveform
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    changed = resample_poly(waveform.numpy(force=True), wanted // common, rate // common)
    return torch.from_numpy(changed).to(waveform)


def audio_files(folder: str | Path) -> list[Path]:
    """List the audio files below a folder, sorted, by their suffixes; links to folders are not followed.

    Raises:
        AudioError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"{folder}: there is no such folder")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
