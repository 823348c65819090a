"""Waveforms of files and of lhotse cuts: one channel, checked, at the sampling rate that is asked for."""

import os
from io import BufferedIOBase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from inattention.audio.decoding import Audio, AudioError, check_rate, open_audio, read_samples, resample_array
from inattention.audio.limits import (
    DURATION_TOLERANCE_SECONDS,
    HIGHEST_RATE,
    KEEP_HINT,
    LOWEST_RATE,
    SILENCE,
    Truncated,
)
from inattention.audio.listing import audio_files as audio_files
from inattention.audio.streaming import LongAudio

if TYPE_CHECKING:
    from lhotse import Recording
    from lhotse.cut import Cut

# Sources of other types ("command", "url") would run a program or call a server when they are read.
SAFE_SOURCES = ("file", "memory")


def load_audio(path: str | Path, sampling_rate: int, *, truncated: Truncated = "skip") -> Float[Tensor, " samples"]:
    """Read a file as one channel; several channels are averaged.

    Args:
        path: Any file that libsndfile reads (wav, flac, mp3, ogg, opus, ...), whatever its suffix.
        sampling_rate: Hz of the result; other rates are resampled.
        truncated: ``skip`` raises for a file that ends before its header says, ``keep`` returns what is there.

    Raises:
        AudioError: The file is missing, unreadable, truncated, empty, silent, or holds NaN or infinity, or its header
            has an impossible rate; the message names it.
    """
    waveform = load_short_audio(path, sampling_rate, truncated=truncated)
    assert waveform is not None
    return waveform


def load_short_audio(
    path: str | Path, sampling_rate: int, *, longest_seconds: float | None = None, truncated: Truncated = "skip"
) -> Float[Tensor, " samples"] | None:
    """Read a file as `load_audio` does, unless it is too long to be read at once.

    Args:
        path: As for `load_audio`.
        sampling_rate: Hz of the result.
        longest_seconds: Limit of the length; None for no limit.
        truncated: As for `load_audio`.

    Returns:
        None if the file is longer, of which no more is decoded than it takes to know.

    Raises:
        AudioError: As `load_audio` does.
    """
    path = Path(path)
    if not path.is_file():
        raise AudioError(f"{path}: there is no such file")
    return _decoded(path, str(path), sampling_rate, truncated, longest_seconds)


def long_audio(
    source: Path | Float[np.ndarray, " samples"],
    sampling_rate: int,
    *,
    rate: int = 0,
    truncated: Truncated = "skip",
) -> LongAudio:
    """Return a recording that is read block by block.

    Args:
        source: A file, or one channel of samples.
        sampling_rate: Hz of the blocks.
        rate: Hz of samples in memory.
        truncated: As for `load_audio`.
    """
    return LongAudio(source, sampling_rate, resample_array, rate=rate, truncated=truncated)


def decode_audio(
    file: Path | BufferedIOBase, name: str, sampling_rate: int, *, truncated: Truncated = "skip"
) -> Float[Tensor, " samples"]:
    """Read a path or an open file as one channel, see `load_audio`.

    Args:
        file: Holds what libsndfile reads.
        name: What error messages call it.
        sampling_rate: Hz of the result.
        truncated: As for `load_audio`.

    Raises:
        AudioError: As `load_audio` does.
    """
    waveform = _decoded(file, name, sampling_rate, truncated, None)
    assert waveform is not None
    return waveform


def _decoded(
    file: Path | BufferedIOBase, name: str, sampling_rate: int, truncated: Truncated, longest_seconds: float | None
) -> Float[Tensor, " samples"] | None:
    try:
        with open_audio(file) as audio:
            rate = audio.samplerate
            check_rate(rate)
            samples = audio.read() if longest_seconds is None else _up_to(audio, longest_seconds)
            if samples is None:
                return None
            if truncated == "skip" and audio.damage:
                raise AudioError(f"{audio.damage}; {KEEP_HINT}")
    except AudioError as error:
        raise AudioError(f"{name}: {error}") from error
    waveform = torch.from_numpy(samples).mean(1) if samples.shape[1] > 1 else torch.from_numpy(samples[:, 0])
    del samples  # several channels of an hour are gigabytes
    check_samples(waveform, name)
    return resample(waveform, rate, sampling_rate)


def _up_to(audio: Audio, seconds: float) -> Float[np.ndarray, "samples channels"] | None:
    """Return all samples, or None if there are more than that."""
    blocks, count = [np.zeros((0, audio.channels), np.float32)], 0
    for block in audio.blocks():
        count += len(block)
        if count > seconds * audio.samplerate:
            return None
        blocks.append(block)
    return blocks[1] if len(blocks) == 2 else np.concatenate(blocks)


def check_samples(waveform: Float[Tensor, " samples"], name: str = "the audio") -> None:
    """Raise if samples hold nothing to hear.

    Args:
        waveform: One channel.
        name: What the error message calls it.

    Raises:
        AudioError: There are no samples, or they are not finite, or silent: all the same, or almost.

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
    """Return a waveform at another sampling rate, by a polyphase filter.

    Raises:
        AudioError: No recording has the waveform's rate.

    >>> resample(torch.zeros(441), 44_100, 16_000).shape
    torch.Size([160])
    """
    check_sampling_rate(rate)
    if rate == wanted:
        return waveform
    return torch.from_numpy(resample_array(waveform.numpy(force=True), rate, wanted)).to(waveform)


def check_sampling_rate(rate: int) -> None:
    """Raise AudioError for a rate of samples that no recording has."""
    if not LOWEST_RATE <= rate <= HIGHEST_RATE:
        raise AudioError(f"the sampling rate must be {LOWEST_RATE} to {HIGHEST_RATE} Hz, not {rate}")


def cut_waveform(cut: "Cut", sampling_rate: int) -> Float[Tensor, " samples"]:
    """Read a cut's audio as one channel.

    Raises:
        AudioError: The cut's audio is missing, unreadable, empty, not finite or silent; its file has another sampling
            rate than its manifest says, or another duration than the cut; or reading it would run a command or fetch
            from the network. The message names the cut.
    """
    recordings = _recordings(cut)
    for recording in recordings:
        for source in recording.sources:
            if source.type not in SAFE_SOURCES:
                raise AudioError(f"cut {cut.id}: its audio is a {source.type!r}, which is not read: store it as a file")
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
    """Return all recordings of a cut; the tracks of a mixed cut hold cuts."""
    parts = [getattr(part, "cut", part) for part in getattr(cut, "tracks", [cut])]
    found = [getattr(part, "recording", None) for part in parts]
    return [recording for recording in found if recording is not None]


def _is_plain(cut: "Cut", recording: "Recording") -> bool:
    """Return whether a cut is a piece of one file without transforms, which needs no help from lhotse."""
    return (
        not hasattr(cut, "tracks")
        and not recording.transforms
        and len(recording.sources) == 1
        and recording.sources[0].type == "file"
    )


def _read_plain(cut: Any, recording: "Recording") -> Float[np.ndarray, "channels samples"]:
    """Read a piece of a file. lhotse would pass a file that it cannot read to one program after the other."""
    source = recording.sources[0]
    path = Path(str(source.source))
    if not os.path.isfile(path):  # no error for a name that is too long
        raise AudioError(f"cut {cut.id}: its audio cannot be read (there is no file {path})")
    try:
        first = round(cut.start * recording.sampling_rate)
        samples, rate = read_samples(path, first=first, count=cut.num_samples)
    except AudioError as error:
        raise AudioError(f"cut {cut.id}: {path} {error}") from error
    _check_rate(cut, recording, str(path), rate)
    wanted = cut.channel if isinstance(cut.channel, list) else [cut.channel]
    try:
        return samples[:, [source.channels.index(channel) for channel in wanted]].T
    except (ValueError, IndexError):
        raise AudioError(
            f"cut {cut.id}: its audio cannot be read ({path} has {samples.shape[1]} channels, not all of {wanted})"
        ) from None


def _read_by_lhotse(cut: "Cut", recordings: "list[Recording]") -> Float[np.ndarray, "channels samples"]:
    for recording in recordings:
        for source in recording.sources if not recording.transforms else ():  # a transform may change the rate
            if source.type == "file":
                _check_rate(cut, recording, str(source.source), _rate_of(str(source.source)) or recording.sampling_rate)
    try:
        samples = cut.load_audio()
    except Exception as error:  # decoders and lhotse raise many kinds; each means that this cut cannot be used
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise AudioError(f"cut {cut.id}: its audio cannot be read ({reason})") from error
    if samples is None:
        raise AudioError(f"cut {cut.id}: has no audio")
    return np.atleast_2d(samples)


def _rate_of(path: str) -> int | None:
    """Return a file's sampling rate; None where only lhotse may know how to read it."""
    try:
        with open_audio(path) as sound:
            return sound.samplerate
    except AudioError:
        return None


def _check_rate(cut: "Cut", recording: "Recording", path: str, rate: int) -> None:
    """Raise if a file has another rate than its manifest says: it would be played too fast or too slow."""
    if rate != recording.sampling_rate:
        raise AudioError(
            f"cut {cut.id}: {path} has {rate} Hz, its manifest says {recording.sampling_rate} Hz; make the manifest "
            "again"
        )
