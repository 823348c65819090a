"""Reading audio files: any rate, any channels, one mono waveform at the rate that is asked for."""

from math import gcd
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

SUFFIXES = (".wav", ".flac", ".mp3", ".ogg", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64")

# Beyond these no recording of speech lies; a header that says so is broken, and resampling by it would not end.
LOWEST_RATE, HIGHEST_RATE = 1_000, 768_000


class AudioError(ValueError):
    """A file that cannot be used, with its path and the reason."""


def load_audio(path: str | Path, sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a file as one channel at a sampling rate; several channels are averaged.

    Args:
        path: any file that libsndfile reads (wav, flac, mp3, ogg, opus, ...).
        sampling_rate: Hz of what is given back; other rates are resampled.

    Raises:
        AudioError: if the file is missing, unreadable, empty, or holds NaN or infinity; the message names it.
    """
    import soundfile

    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    try:
        samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError, ValueError, OSError, MemoryError) as error:
        raise AudioError(f"{path}: cannot be read as audio ({error})") from error
    if not len(samples):
        raise AudioError(f"{path}: holds no samples")
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"{path}: its header says {rate} Hz, which no speech has ({LOWEST_RATE} to {HIGHEST_RATE})")
    waveform = torch.from_numpy(samples.mean(1))
    if not bool(waveform.isfinite().all()):
        raise AudioError(f"{path}: holds NaN or infinite samples")
    return resample(waveform, rate, sampling_rate)


def resample(waveform: Float[Tensor, " samples"], rate: int, wanted: int) -> Float[Tensor, " resampled"]:
    """Change the sampling rate by a polyphase filter.

    >>> resample(torch.zeros(441), 44_100, 16_000).shape
    torch.Size([160])
    """
    if rate == wanted:
        return waveform
    from scipy.signal import resample_poly

    common = gcd(rate, wanted)
    changed = resample_poly(waveform.numpy(force=True), wanted // common, rate // common)
    return torch.from_numpy(changed).to(waveform)


def audio_files(folder: str | Path) -> list[Path]:
    """List the audio files below a folder, sorted; links that lead in a circle are not followed.

    Raises:
        AudioError: if there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise AudioError(f"{folder}: there is no such folder")
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
