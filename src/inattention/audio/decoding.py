"""Decoding and resampling of audio in NumPy, for worker processes that do not load PyTorch.

The one place where files are decoded: `reader` builds on it for tensors, files and cuts. libsndfile does the decoding;
`containers` knows where its view of a file needs help.
"""

import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from jaxtyping import Float

from inattention.audio.containers.detection import layout_behind_junk, layout_of
from inattention.audio.containers.headers import WITHIN_HEADERS, ends_early, mpeg_ends_early
from inattention.audio.containers.layout import File, Layout, Spliced, read_at
from inattention.audio.limits import HIGHEST_RATE, LOWEST_RATE, TRUNCATED
from inattention.audio.recognition import HEAD_BYTES, conversion, no_audio, unsupported_format

# Samples that are decoded at once, over all channels, so that memory does not grow with a file.
BLOCK = 2**18
# The same after an error, of whose block nothing can be had otherwise.
SMALL_BLOCKS = (2**8, 1)
STREAMS = ("OGG", "MP3")
# More samples than a file can hold; libsndfile says such numbers where the length is not known.
_ABSURD = 2**40
# How errors of libsndfile begin that name its own functions.
_INTERNAL = ("Internal ", "Unspecified internal error")

_DECODER_ERRORS = (
    soundfile.SoundFileError, RuntimeError, ValueError, TypeError, IndexError, OSError, MemoryError,
)  # fmt: skip


class AudioError(ValueError):
    """Audio that cannot be used; the message names the file or the cut, and the reason."""


class _Stream(soundfile.SoundFile):
    """A sound file without the seek that soundfile makes after each block: for MP3 it changes the samples."""

    def seekable(self) -> bool:
        """Return False, whatever the format."""
        return False


class Audio:
    """An open file of audio, whose length is what can be decoded; created by `open_audio`.

    Attributes:
        samplerate: Hz.
        channels: Number of channels.
    """

    def __init__(self, source: str | Path | File, file: File, size: int, layout: Layout) -> None:
        self._source, self._file, self._size, self._layout = source, file, size, layout
        self._failure = ""
        self._counted: int | None = None
        with self._sound(0) as sound:
            self.samplerate, self.channels, self._format = sound.samplerate, sound.channels, sound.format
            self._promised = sound.frames
            self._block = max(1, BLOCK // self.channels)
            # What is streamed but for FLAC is decoded from the beginning: its decoders seek to other samples.
            known = self._format == "FLAC" and 0 < self._promised < _ABSURD and len(layout.parts) < 2
            self._seeks = (known or not layout.streamed) and soundfile.SoundFile.seekable(sound)

    @property
    def is_stream(self) -> bool:
        """Whether the format is one whose headers need not state the true length."""
        return self._format in STREAMS

    @property
    def frames(self) -> int:
        """Number of samples in each channel; found by decoding where no header states it reliably."""
        if self._counted is None:
            trusted = not self._layout.damage and (not self._layout.streamed or self._has_last())
            self._counted = self._promised if trusted else sum(len(block) for block in self.blocks())
        return self._counted

    @property
    def damage(self) -> str:
        """Why the audio is not whole, with the seconds that are there and those that its header promises; or empty.

        Decodes what `frames` decodes.
        """
        seconds, promised = self.frames / self.samplerate, self._layout.seconds
        reason = self._layout.damage or self._failure
        if self._layout.share < 1:
            promised = seconds / self._layout.share if self._layout.share else None
        elif self.frames < self._promised < _ABSURD and (self._seeks or not self._layout.streamed):
            promised = self._promised / self.samplerate
            reason = reason or "samples are missing"
        elif promised is not None and promised - seconds > 0.5 / self.samplerate:
            reason = reason or "samples are missing"
        if not reason:
            return ""
        of = f" of {promised:.3f} s" if promised is not None else ""
        return f"{TRUNCATED}: {seconds:.3f} s{of} can be read ({reason})"

    def read(self, first: int = 0, count: int = -1) -> Float[np.ndarray, "samples channels"]:
        """Read samples; a piece is equal to that part of the whole.

        Args:
            first: First sample to read.
            count: Number of samples, fewer at the end of the file; -1 for all.
        """
        blocks = list(self.blocks(first, None if count < 0 else count))
        if len(blocks) == 1:
            return blocks[0]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.channels), np.float32)

    def blocks(self, first: int = 0, count: int | None = None) -> Iterator[Float[np.ndarray, "samples channels"]]:
        """Decode samples block by block, so that memory does not grow with the file.

        Args:
            first: First sample.
            count: Number of samples, fewer at the end of the file; all by default.
        """
        skip, left = 0 if self._seeks else first, count
        for block in self._decoded(first if self._seeks else 0):
            if skip:
                skip, block = max(0, skip - len(block)), block[skip:]
            if left is not None:
                block = block[:left]
                left -= len(block)
            if len(block):
                yield block
            if left == 0:
                return

    def _decoded(self, first: int) -> Iterator[Float[np.ndarray, "samples channels"]]:
        """Decode all parts, the first one from a sample on."""
        total, begin = 0, first
        for number in range(len(self._layout.parts) or 1):
            done = first
            try:
                for block in self._part(number, first, self._block):
                    done += len(block)
                    yield block
            except AudioError:
                raise
            except _DECODER_ERRORS as error:
                reason = _reason(error)
                self._failure = "samples are missing" if reason.startswith(_INTERNAL) else reason
                for block in self._salvaged(number, done):
                    done += len(block)
                    yield block
            total += done - first
            first = 0
        if not begin:
            self._counted = total

    def _salvaged(self, number: int, done: int) -> Iterator[Float[np.ndarray, "samples channels"]]:
        """Decode the samples of a part between those that are done and an error, in ever smaller blocks."""
        for size in SMALL_BLOCKS:
            try:
                with self._sound(number) as sound:
                    if sound.format in STREAMS:
                        sound.seek(0)
                    for start in range(0, done, self._block):
                        sound.read(min(self._block, done - start), dtype="float32", always_2d=True)
                    while len(block := sound.read(size, dtype="float32", always_2d=True)):
                        done += len(block)
                        yield block
            except _DECODER_ERRORS:
                continue

    def _part(self, number: int, first: int, size: int) -> Iterator[Float[np.ndarray, "samples channels"]]:
        """Decode one part block by block, from a sample on."""
        with self._sound(number) as sound:
            left = sound.frames - first if self._seeks else _ABSURD  # what comes after them is no audio
            if left > 0 and (self._seeks or sound.format in STREAMS):
                # To the first sample too: only after a seek does libsndfile drop an Opus stream's pre-skip exactly,
                # decode MP3 to the same bits each time, and begin where an odd header of AU says.
                sound.seek(first)
            while left > 0:
                block = sound.read(min(size, left), dtype="float32", always_2d=True)
                left -= len(block)
                if len(block):
                    yield block
                if len(block) < size:
                    return

    def _has_last(self) -> bool:
        """Return whether the last sample that the header promises can be read, where a format can seek to it."""
        if not self._seeks:
            return False
        try:
            return sum(len(block) for block in self._part(0, self._promised - 1, 1)) == 1
        except _DECODER_ERRORS:
            return False

    @contextmanager
    def _sound(self, number: int) -> Generator[soundfile.SoundFile]:
        """Open a part; all have the same rate and channels."""
        parts = self._layout.parts
        if not parts and isinstance(self._source, str | Path):
            # By a descriptor, not by the name, whose suffix libsndfile would believe where it knows no better.
            descriptor = os.open(self._source, os.O_RDONLY)
            try:
                with _Stream(descriptor, closefd=False) as sound:
                    yield sound
            finally:
                os.close(descriptor)
            return
        view: Any = Spliced(self._file, parts[number] if parts else ((0, self._size),))
        with _Stream(view) as sound:
            if number and (sound.samplerate, sound.channels) != (self.samplerate, self.channels):
                raise AudioError(
                    f"has parts that differ: {self.channels} channels at {self.samplerate} Hz, then {sound.channels} "
                    f"at {sound.samplerate} Hz; split it into files"
                )
            yield sound
        if view.error is not None:
            raise view.error


@contextmanager
def open_audio(file: str | Path | BufferedIOBase) -> Generator[Audio]:
    """Open audio that libsndfile decodes (wav, flac, mp3, ogg, opus, ...), recognised by its content.

    Args:
        file: A path, or an open file.

    Raises:
        AudioError: The audio cannot be opened, or cannot be decoded within the `with` block. The message does not
            repeat the path.
    """
    try:
        with _opened(file) as (stream, size):
            yield _audio(file, stream, size)
    except AudioError:
        raise
    except _DECODER_ERRORS as error:
        raise AudioError(f"cannot be read as audio ({_reason(error)})") from error


def _audio(source: Any, file: File, size: int) -> Audio:
    if not size:
        raise AudioError("cannot be read as audio (it is an empty file)")
    head = read_at(file, 0, HEAD_BYTES)
    if what := no_audio(head, size):
        raise AudioError(what)
    if mpeg_ends_early(file, size):
        raise AudioError(f"{TRUNCATED}: nothing of it can be read ({WITHIN_HEADERS})")
    layout = layout_of(file, size)
    if layout.refusal:
        raise AudioError(layout.refusal)
    try:
        audio = Audio(source, file, size, layout)
        if layout.streamed or not audio.is_stream:
            return audio
        found = layout_behind_junk(file, size)
        return Audio(source, file, size, found if found.streamed else Layout(streamed=True))
    except _DECODER_ERRORS as error:
        if not layout.streamed and (found := layout_behind_junk(file, size)).streamed:
            return Audio(source, file, size, found)
        if format_name := unsupported_format(head):
            raise AudioError(f"is {format_name}, which is not decoded here: {conversion(format_name)}") from error
        if damage := layout.damage or (WITHIN_HEADERS if ends_early(file, size) else ""):
            raise AudioError(f"{TRUNCATED}: nothing of it can be read ({damage})") from error
        raise


@contextmanager
def _opened(file: str | Path | BufferedIOBase) -> Generator[tuple[Any, int]]:
    """Open a file for looking at its headers; yield it with its length in bytes."""
    if not isinstance(file, str | Path):
        yield file, file.seek(0, os.SEEK_END)
        return
    status = os.stat(file)
    if not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for its other end
        raise AudioError("is no plain file")
    with open(file, "rb") as stream:
        yield stream, status.st_size


def _reason(error: Exception) -> str:
    """Return the first words of a decoder's error in one line."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else getattr(error, "error_string", error)
    words = " ".join(str(text).split())
    return words.removeprefix("Error : ").rstrip(".") or type(error).__name__


def read_samples(
    file: str | Path | BufferedIOBase, *, first: int = 0, count: int = -1
) -> tuple[Float[np.ndarray, "samples channels"], int]:
    """Read samples and their sampling rate; of a truncated file what is there.

    Args:
        file: A path, or an open file.
        first: First sample to read.
        count: Number of samples, fewer at the end of the file; -1 for all.

    Raises:
        AudioError: It cannot be decoded, or its header has an impossible rate.
    """
    with open_audio(file) as audio:
        check_rate(audio.samplerate)
        return audio.read(first, count), audio.samplerate


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
