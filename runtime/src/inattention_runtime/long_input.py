"""The inputs of an encoder from a recording of any length, piece by piece, so that memory does not grow with it."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inattention_runtime.features import (
    SMALLEST_DEVIATION,
    hop_samples,
    log_mel_of_padded,
    samples_of,
    slopes,
    steps_of,
    whisper_mel,
)
from inattention_runtime.metadata import Description
from inattention_runtime.reader import Arithmetic, AudioError, Chunk, FeatureStream, LongAudio, Tape, blocks, chunks

WHISPER_STRIDE = 2  # spectral frames in a frame of the encoder


@dataclass(frozen=True)
class Piece:
    """A part of a recording that is encoded by itself.

    Attributes:
        input: features, or samples of a waveform; their first axis is time.
        first: number of its first frame.
        low: first frame of the output that is kept.
        high: behind the last one.
    """

    input: np.ndarray
    first: int
    low: int
    high: int


def block_frames(about: Description, seconds: float, name: str) -> int:
    """Return the number of frames of a block.

    Args:
        about: what the file says of itself.
        seconds: length of a block; of Whisper, time between the beginnings of its windows.
        name: the file, for errors.

    Raises:
        ValueError: if a frame depends on all of the input, or a block would be too long.
    """
    if not 0 < seconds < math.inf:
        raise ValueError(f"the length of a block must be above 0 seconds, not {seconds}")
    frames = max(1, round(seconds / about.step_seconds))
    if about.features["kind"] == "whisper":
        longest = about.longest * about.step_seconds
        if frames > about.longest:
            raise ValueError(
                f"{name} has positions for {longest:g} s: windows can begin at most every {longest:g} s, not every "
                f"{seconds:g} s"
            )
        return frames
    if about.blocks is None:
        raise ValueError(f"{name} cannot be run in blocks: {about.unlimited}")
    it = about.blocks
    return min(frames, it.longest - it.back - it.ahead - it.grid + 1)


def pieces(about: Description, audio: LongAudio, silence: int | None, block: int | None) -> tuple[int, Iterator[Piece]]:
    """Return the number of frames of a recording, and its parts.

    Args:
        about: what the file says of itself.
        audio: the recording.
        silence: frames of silence behind the speech that Whisper is fed; None for 30 s of both.
        block: frames of a block; None for chunks of the longest input.

    Raises:
        AudioError: if the recording cannot be used.
    """
    samples, kind = audio.check(), about.features["kind"]
    if kind == "log-mel":
        stream = feature_stream(audio, samples, about.features)
        return _checked(audio, stream.time, about), _log_mel(about, stream, block)
    if kind == "whisper":
        time = -(-samples // (WHISPER_STRIDE * about.features["hop_samples"]))
        return time, _whisper(about, audio, time, silence, block)
    time = steps_of(samples, about.features)
    return _checked(audio, time, about), _waveform(about, audio, samples, time, block)


def feature_stream(audio: LongAudio, samples: int, settings: dict[str, Any]) -> FeatureStream:
    """Return log-mel features of a recording, block by block.

    Args:
        audio: the recording.
        samples: number of its samples.
        settings: of the features.
    """
    return FeatureStream(
        blocks=audio.blocks,
        samples=samples,
        arithmetic=Arithmetic(
            join=np.concatenate,
            log_mel=lambda padded: log_mel_of_padded(padded, settings),
            slopes=slopes,
            array=lambda values: values,
            single=lambda frames: frames.astype(np.float32),
        ),
        hop=hop_samples(settings),
        fft_size=settings["fft_size"],
        delta_frames=settings["delta_frames"] if settings["deltas"] else 0,
        normalise=settings["normalise"],
        stack=settings["stack"],
        smallest_deviation=SMALLEST_DEVIATION,
    )


def _checked(audio: LongAudio, time: int, about: Description) -> int:
    if not time:
        raise AudioError(f"{audio.name}: the audio is too short for a frame of {about.step_seconds:g} s")
    return time


def _log_mel(about: Description, stream: FeatureStream, block: int | None) -> Iterator[Piece]:
    tape = Tape(stream.inputs(), np.concatenate)
    for chunk in chunks(stream.time, about.longest) if block is None else _blocks(about, stream.time, block):
        yield _piece(tape.read(chunk.start, chunk.end), chunk, 0 if block is None else chunk.start)


def _whisper(
    about: Description, audio: LongAudio, time: int, silence: int | None, block: int | None
) -> Iterator[Piece]:
    longest, hop = about.longest, WHISPER_STRIDE * about.features["hop_samples"]
    tape = Tape(audio.blocks(), np.concatenate)
    plan = blocks(time, longest, 0, 0) if block in (None, longest) else chunks(time, longest, block)
    for chunk in plan:
        speech = tape.read(chunk.start * hop, chunk.end * hop)
        steps = chunk.end - chunk.start
        fed = longest if silence is None else min(steps + silence, longest)
        mel = whisper_mel(speech, about.features, WHISPER_STRIDE * fed, WHISPER_STRIDE * longest)
        yield _piece(mel.T, chunk, 0)


def _waveform(about: Description, audio: LongAudio, samples: int, time: int, block: int | None) -> Iterator[Piece]:
    settings, hop = about.features, math.prod(about.features["strides"])
    tape = Tape(_normalised(audio, settings["normalise"]), np.concatenate)
    for chunk in blocks(time, about.longest, 0, 0) if block is None else _blocks(about, time, block):
        # The last part also has the samples after its last frame, which normalisation layers see.
        count = samples if chunk.end == time else samples_of(chunk.end - chunk.start, settings)
        yield _piece(tape.read(chunk.start * hop, chunk.start * hop + count), chunk, 0)


def _normalised(audio: LongAudio, wanted: bool) -> Iterator[np.ndarray]:
    """Yield the waveform with mean 0 and variance 1 over the recording."""
    if not wanted:
        yield from (block.astype(np.float32, copy=False) for block in audio.blocks())
        return
    count, total = 0, 0.0
    for block in audio.blocks():
        count, total = count + len(block), total + float(block.sum(dtype=np.float64))
    mean = total / count
    squares = sum(float(np.square(block - mean, dtype=np.float64).sum()) for block in audio.blocks())
    for block in audio.blocks():
        yield ((block - mean) / math.sqrt(squares / count + 1e-7)).astype(np.float32)


def _blocks(about: Description, time: int, block: int) -> Sequence[Chunk]:
    it = about.blocks
    assert it is not None
    return blocks(time, block, it.back, it.ahead, it.grid)


def _piece(features: np.ndarray, chunk: Chunk, first: int) -> Piece:
    return Piece(features, first, chunk.keep_start - chunk.start, chunk.keep_end - chunk.start)
