"""Reading audio files: any rate, any channels, one mono waveform at the rate that is asked for."""

import os
from math import gcd
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.limits import DURATION_TOLERANCE_SECONDS, HIGHEST_RATE, LOWEST_RATE, SILENCE, SUFFIXES

if TYPE_CHECKING:
    from lhotse import Recording
    from lhotse.cut import Cut


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


# Sources of other types ("command", "url") would run a program or call a server when they are read.
SAFE_SOURCES = ("file", "memory")


def cut_waveform(cut: "Cut", sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a cut's audio as one channel.

    Raises:
        AudioError: naming the cut, if its audio is missing, unreadable, empty, not finite or silent, if its file has
            another sampling rate than its manifest says or does not last as long as the cut, or if reading it would
            run a command or fetch from the network.
    """
    recordings = _recordings(cut)
    for recording in recordings:
        for source in recording.sources:
            if source.type not in SAFE_SOURCES:
                raise AudioError(f"cut {cut.id}: its audio is a {source.type!r}, which is not read: make files of it")
    if len(recordings) == 1 and _is_plain(cut, recordings[0]):
        samples = _read_plain(cut, recordings[0])
    else:
        samples = _read_by_lhotse(cut, recordings)
    waveform = torch.from_numpy(np.ascontiguousarray(samples)).float().mean(0)
    check_samples(waveform, f"cut {cut.id}")
    seconds = len(waveform) / cut.sampling_rate
    if abs(seconds - cut.duration) > DURATION_TOLERANCE_SECONDS:
        raise AudioError(f"cut {cut.id}: the audio lasts {seconds:.3f} s, its cut {cut.duration:.3f} s")
    return resample(waveform, cut.sampling_rate, sampling_rate)


def _recordings(cut: "Cut") -> "list[Recording]":
    """List all that a cut is made of; a mixed cut's tracks hold cuts."""
    parts = [getattr(part, "cut", part) for part in getattr(cut, "tracks", [cut])]
    found = [getattr(part, "recording", None) for part in parts]
    return [recording for recording in found if recording is not None]


def _is_plain(cut: "Cut", recording: "Recording") -> bool:
    """Whether it is a piece of one file, untransformed, and so ours to read."""
    return (
        not hasattr(cut, "tracks")
        and not recording.transforms
        and len(recording.sources) == 1
        and recording.sources[0].type == "file"
    )


def _read_plain(cut: Any, recording: "Recording") -> Float[np.ndarray, "channels samples"]:
    """Read a piece of a file. lhotse would hand a file it cannot read to one program after the other."""
    import soundfile

    source = recording.sources[0]
    if not os.path.isfile(os.fsencode(source.source)):
        raise AudioError(f"cut {cut.id}: its audio cannot be read (there is no file {source.source})")
    wanted = cut.channel if isinstance(cut.channel, list) else [cut.channel]
    try:
        # As bytes, which soundfile takes too: a name need not be UTF-8.
        with soundfile.SoundFile(os.fsencode(source.source)) as file:  # ty: ignore[invalid-argument-type]
            _check_rate(cut, recording, str(source.source), file.samplerate)
            file.seek(min(round(cut.start * file.samplerate), file.frames))
            samples = file.read(frames=cut.num_samples, dtype="float32", always_2d=True)
        columns = [source.channels.index(channel) for channel in wanted]
        return samples[:, columns].T
    except AudioError:
        raise
    except (soundfile.SoundFileError, RuntimeError, ValueError, IndexError, OSError, MemoryError) as error:
        reason = getattr(error, "error_string", error)
        raise AudioError(f"cut {cut.id}: its audio cannot be read ({source.source}: {reason})") from error


def _read_by_lhotse(cut: "Cut", recordings: "list[Recording]") -> Float[np.ndarray, "channels samples"]:
    import soundfile

    for recording in recordings:
        if recording.transforms:  # a transform may change the rate
            continue
        for source in recording.sources:
            if source.type != "file":
                continue
            try:
                rate = soundfile.info(str(source.source)).samplerate
            except (soundfile.SoundFileError, OSError):  # lhotse may know how to read it, or will say what is wrong
                continue
            _check_rate(cut, recording, str(source.source), rate)
    try:
        samples = cut.load_audio()
    except Exception as error:  # decoders and lhotse raise many kinds; each means that this cut cannot be used
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AudioError(f"cut {cut.id}: its audio cannot be read ({reason})") from error
    if samples is None:
        raise AudioError(f"cut {cut.id}: has no audio")
    return np.atleast_2d(samples)


def _check_rate(cut: "Cut", recording: "Recording", path: str, rate: int) -> None:
    """Refuse a file of another rate than its manifest says: it would be played too fast or too slow, in silence."""
    if rate != recording.sampling_rate:
        raise AudioError(
            f"cut {cut.id}: {path} has {rate} Hz, its manifest says {recording.sampling_rate} Hz; "
            "make the manifest anew"
        )
