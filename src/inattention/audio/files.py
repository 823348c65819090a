"""Reading audio files: any rate, any channels, one mono waveform at the rate that is asked for."""

import os
from math import gcd
from pathlib import Path

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
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    try:
        # As bytes, which soundfile takes too: a name need not be UTF-8.
        samples, rate = soundfile.read(os.fsencode(path), dtype="float32", always_2d=True)  # ty: ignore[invalid-argument-type]
    except (soundfile.SoundFileError, RuntimeError, ValueError, OSError, MemoryError) as error:
        reason = getattr(error, "error_string", error)  # without the path, which libsndfile would say again
        raise AudioError(f"{path}: cannot be read as audio ({reason})") from error
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"{path}: its header says {rate} Hz, which no speech has ({LOWEST_RATE} to {HIGHEST_RATE})")
    waveform = torch.from_numpy(samples).mean(1) if samples.shape[1] > 1 else torch.from_numpy(samples[:, 0])
    del samples  # several channels of an hour are gigabytes
    check_samples(waveform, str(path))
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
