"""`Encoder`: an exported file that turns recordings of any rate and length into features."""

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from inattention_runtime.features import (
    TooShort,
    around_seconds,
    frames_of,
    normalised,
    samples_of,
    steps_of,
    whisper_mel,
)
from inattention_runtime.graph import PLACE, Graph
from inattention_runtime.long_input import WHISPER_STRIDE, Piece, block_frames, pieces
from inattention_runtime.metadata import ModelFileError, read_description
from inattention_runtime.reader import AudioError, LongAudio, Truncated, as_waveform, chunks, load_audio, long_audio

_AT_ONCE = 8  # inputs that are encoded at once
_AT_ONCE_OF_LONG = 4  # the same, of a recording that is read piece by piece
LONG_SECONDS = 120.0  # a longer recording is read piece by piece, so that memory does not grow with it


@dataclass(frozen=True)
class Extracted:
    """Features of one recording.

    Attributes:
        values: (time, width).
        step_seconds: time from one frame to the next.
        first_center_seconds: time of the first frame's centre.
    """

    values: np.ndarray
    step_seconds: float
    first_center_seconds: float

    @property
    def times(self) -> np.ndarray:
        """Time of each frame's centre in seconds."""
        return self.first_center_seconds + np.arange(len(self.values)) * self.step_seconds


class Encoder:
    """An encoder that `inattention export` wrote.

    Args:
        path: the ``.onnx`` file.
        threads: number of threads; by default one for each core.
        whole_window: feed Whisper 30 s, speech and silence, as it was trained, instead of its speech and a little
            silence. By default a converted Whisper gets the speech alone, and an unmodified one 30 s.

    Attributes:
        about: what the file says of itself.

    Raises:
        ModelFileError: if it is no file of `inattention export`, is damaged, or refers to other files.
    """

    def __init__(self, path: str | Path, *, threads: int | None = None, whole_window: bool | None = None) -> None:
        self.path = Path(path)
        self._graph = Graph(self.path, threads)
        self.about = read_description(str(self.path), self._graph.metadata, self._graph.outputs)
        if self.about.blocks is not None and self.about.features["kind"] == "log-mel" and not self._graph.placed:
            raise ModelFileError(f"{self.path}: has blocks in its metadata, and no input {PLACE} in its graph")
        self.features = self.about.features
        self.sampling_rate: int = self.features["sampling_rate"]
        silence = self.features.get("silence_frames")
        self._silence = None if whole_window or (silence is None and whole_window is None) else silence or 0

    @cached_property
    def digest(self) -> str:
        """BLAKE2 digest of the file."""
        return hashlib.blake2b(self.path.read_bytes(), digest_size=16).hexdigest()

    def extract(
        self,
        audio: str | Path | np.ndarray,
        *,
        layer: int = -1,
        sampling_rate: int | None = None,
        truncated: Truncated = "skip",
        block_seconds: float | None = None,
    ) -> Extracted:
        """Return the features of one recording of any rate and length.

        By default, a recording that is longer than the encoder's longest input is encoded in chunks of that length.
        With ``block_seconds``, the features are those of one pass over the whole recording, computed in blocks.

        Args:
            audio: a file, or one channel of samples.
            layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last; the file must have it.
            sampling_rate: Hz of the samples; required for samples, and for them alone.
            truncated: ``skip`` raises for a file that ends before its header says, ``keep`` uses what is there.
            block_seconds: greatest length of the blocks, of an encoder whose frames depend on a limited part of the
                input; of Whisper, the time between the beginnings of its windows of 30 s.

        Raises:
            AudioError: if the audio cannot be used; the message names the file.
            ModelFileError: if the graph does not take or return what its metadata says.
            ValueError: if the file has no such layer, or its encoder cannot be run in blocks.
        """
        _, found = self.extract_blocks(
            audio, layer=layer, sampling_rate=sampling_rate, truncated=truncated, block_seconds=block_seconds
        )
        about = self.about
        return Extracted(np.concatenate(list(found)), about.step_seconds, about.first_center_seconds)

    def extract_blocks(
        self,
        audio: str | Path | np.ndarray,
        *,
        layer: int = -1,
        sampling_rate: int | None = None,
        truncated: Truncated = "skip",
        block_seconds: float | None = None,
    ) -> tuple[int, Iterator[np.ndarray]]:
        """Return the number of frames of a recording, and its features piece by piece, in bounded memory.

        A file is decoded twice or more: to check it, for what is normalised over the whole recording, and to encode it.

        Args:
            audio: as for `extract`.
            layer: as for `extract`.
            sampling_rate: as for `extract`.
            truncated: as for `extract`.
            block_seconds: as for `extract`.

        Raises:
            AudioError: as for `extract`.
            ValueError: as for `extract`.
        """
        output = self.output_of(layer)
        if block_seconds is None:
            waveform = self._waveform(audio, sampling_rate, truncated, LONG_SECONDS)
            if waveform is not None:
                (whole,) = self._extract_batch([audio], [waveform], layer)
                return len(whole.values), iter([whole.values])
        block = None if block_seconds is None else block_frames(self.about, block_seconds, str(self.path))
        frames, parts = pieces(self.about, self._long(audio, sampling_rate, truncated), self._silence, block)
        return frames, self._encoded(parts, output, 1 if block is not None else _AT_ONCE_OF_LONG)

    def _encoded(self, parts: Iterator[Piece], output: str, at_once: int) -> Iterator[np.ndarray]:
        """Yield the frames of parts that are kept."""
        while group := list(islice(parts, at_once)):
            hidden = self._run([part.input for part in group], output, group[0].first)
            yield np.concatenate([it[part.low : part.high] for part, it in zip(group, hidden, strict=True)])

    def extract_batch(
        self,
        audio: Sequence[str | Path | np.ndarray],
        *,
        layer: int = -1,
        sampling_rate: int | None = None,
        truncated: Truncated = "skip",
    ) -> list[Extracted]:
        """Return the features of several recordings, which are encoded at once; each is the same as alone.

        Args:
            audio: files, or one channel of samples each.
            layer: as for `extract`.
            sampling_rate: as for `extract`, of all samples.
            truncated: as for `extract`.

        Raises:
            AudioError: if one of them cannot be used.
            ValueError: if the file has no such layer.
        """
        waveforms = [self._waveform(one, sampling_rate, truncated) for one in audio]
        return self._extract_batch(audio, waveforms, layer)

    def _extract_batch(
        self, audio: Sequence[Any], waveforms: Sequence[np.ndarray | None], layer: int
    ) -> list[Extracted]:
        output = self.output_of(layer)
        parts: list[tuple[int, np.ndarray, int, int]] = []
        for row, (one, waveform) in enumerate(zip(audio, waveforms, strict=True)):
            assert waveform is not None
            try:
                parts += [(row, *part) for part in self._parts(waveform)]
            except TooShort as error:
                raise AudioError(f"{one}: {error}" if isinstance(one, str | Path) else str(error)) from error
        inputs = [features for _, features, _, _ in parts]
        groups = [inputs[first : first + _AT_ONCE] for first in range(0, len(inputs), _AT_ONCE)]
        hidden = [states for group in groups for states in self._run(group, output)]
        found: list[list[np.ndarray]] = [[] for _ in audio]
        for (row, _, first, last), states in zip(parts, hidden, strict=True):
            found[row].append(states[first:last])
        about = self.about
        return [Extracted(np.concatenate(it), about.step_seconds, about.first_center_seconds) for it in found]

    def windows(
        self, audio: str | Path | np.ndarray, *, sampling_rate: int | None = None, truncated: Truncated = "skip"
    ) -> Iterator[tuple[np.ndarray, float]]:
        """Yield the last hidden state of each window of at most 30 s, silence included, and its seconds of speech.

        Args:
            audio: as for `extract`, for an encoder of Whisper.
            sampling_rate: as for `extract`.
            truncated: as for `extract`.

        Raises:
            AudioError: if the audio cannot be used.
        """
        recording, output = self._long(audio, sampling_rate, truncated), self.output_of(-1)
        left = recording.check()
        length = self.about.longest * WHISPER_STRIDE * self.features["hop_samples"]
        for part in pieces(self.about, recording, self._silence, None)[1]:
            yield self._run([part.input], output)[0], min(length, left) / self.sampling_rate
            left -= length

    def encoding(self, block_seconds: float) -> str:
        """Return in words how blocks of a length are encoded.

        Args:
            block_seconds: as for `extract`.

        Raises:
            ValueError: if the encoder cannot be run in blocks.
        """
        frames = block_frames(self.about, block_seconds, str(self.path))
        if self.about.blocks is None:
            return f"windows that begin every {frames * self.about.step_seconds:g} s"
        return "one pass"

    def reach_in_words(self) -> str:
        """Return in words what a frame depends on, if that is limited; else nothing."""
        it = self.about.blocks
        if it is None:
            return ""
        around = around_seconds(self.features)
        back, ahead = (frames * self.about.step_seconds + around for frames in (it.back, it.ahead))
        whole = " and the statistics of the recording" if self.features["normalise"] else ""
        left_out = f"; at most {it.left_out:.1e} of a row of weights is left out" if it.left_out else ""
        return f"{back:.2f} s before the centre of a frame and {ahead:.2f} s behind it{whole}{left_out}"

    def output_of(self, layer: int) -> str:
        """Return the name of the output that holds a hidden state.

        Raises:
            ValueError: if the file does not have it.
        """
        count = self.about.layers
        wanted = layer + count + 1 if layer < 0 else layer
        for name, state in self.about.outputs.items():
            if state == wanted:
                return name
        known = ", ".join(map(str, self.about.outputs.values()))
        raise ValueError(f"{self.path} has no hidden state {layer}: it was exported with {known}")

    def _waveform(
        self, audio: Any, sampling_rate: int | None, truncated: Truncated, longest_seconds: float = math.inf
    ) -> np.ndarray | None:
        """Return a recording as a waveform; None if it is longer than a limit."""
        rate = _rate_of(audio, sampling_rate)
        if isinstance(audio, str | Path):
            return load_audio(audio, self.sampling_rate, truncated=truncated, longest_seconds=longest_seconds)
        if np.ndim(audio) == 1 and len(audio) > longest_seconds * rate:
            return None
        return as_waveform(audio, rate, self.sampling_rate)

    def _long(self, audio: Any, sampling_rate: int | None, truncated: Truncated) -> LongAudio:
        rate = _rate_of(audio, sampling_rate)
        if isinstance(audio, str | Path):
            return long_audio(Path(audio), self.sampling_rate, truncated=truncated)
        return long_audio(as_waveform(audio, rate, rate), self.sampling_rate, rate=rate)

    def _parts(self, waveform: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return inputs that are encoded at once, with the frames of each that are kept."""
        kind = self.features["kind"]
        if kind == "log-mel":
            return self._chunks(frames_of(waveform, self.features))
        return self._windows(waveform) if kind == "whisper" else self._pieces(waveform)

    def _chunks(self, frames: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return chunks that overlap by half; each frame is kept where it lies deepest."""
        return [
            (frames[it.start : it.end], it.keep_start - it.start, it.keep_end - it.start)
            for it in chunks(len(frames), self.about.longest)
        ]

    def _windows(self, waveform: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return Whisper's spectrum of windows of 30 s, each as long as its speech and the silence behind it."""
        longest, hop = self.about.longest, WHISPER_STRIDE * self.features["hop_samples"]
        found = []
        for start in range(0, len(waveform), longest * hop):
            speech = waveform[start : start + longest * hop]
            steps = -(-len(speech) // hop)
            fed = longest if self._silence is None else min(steps + self._silence, longest)
            mel = whisper_mel(speech, self.features, WHISPER_STRIDE * fed, WHISPER_STRIDE * longest)
            found.append((mel.T, 0, steps))
        return found

    def _pieces(self, waveform: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return pieces of a waveform, cut where it is longer than is encoded at once."""
        settings = self.features
        steps = steps_of(len(waveform), settings)
        if not steps:
            raise TooShort(
                f"the audio is too short: {len(waveform)} samples at {self.sampling_rate} Hz, at least "
                f"{samples_of(1, settings)} needed"
            )
        whole = normalised(waveform) if settings["normalise"] else waveform.astype(np.float32)
        hop, longest, found = int(np.prod(settings["strides"])), self.about.longest, []
        for start in range(0, steps, longest):
            count = min(longest, steps - start)
            last = start + count == steps
            end = None if last else start * hop + samples_of(count, settings)
            found.append((whole[start * hop : end], 0, count))
        return found

    def _run(self, inputs: Sequence[np.ndarray], output: str, first_frame: int = 0) -> list[np.ndarray]:
        """Return a hidden state of each input, encoded at once where they fit together."""
        longest = max(map(len, inputs))
        if self.features["kind"] == "waveform":  # whose graph is for two frames or more
            longest = max(longest, samples_of(2, self.features))
        features = np.zeros((len(inputs), longest, *inputs[0].shape[1:]), np.float32)
        valid = np.zeros((len(inputs), longest), bool)
        for row, one in enumerate(inputs):
            features[row, : len(one)], valid[row, : len(one)] = one, True
        if self.features["kind"] == "whisper":
            features, valid = np.ascontiguousarray(features.transpose(0, 2, 1)), valid[:, ::WHISPER_STRIDE]
        frames = steps_of(longest, self.features) if self.features["kind"] == "waveform" else valid.shape[1]
        shape = (len(inputs), frames, self.about.width)
        return list(self._graph.run(output, features, np.ascontiguousarray(valid), shape, first_frame))


def _rate_of(audio: Any, sampling_rate: int | None) -> int:
    """Return the rate of samples, 0 for a file; raise ValueError for one too many or too few."""
    if isinstance(audio, str | Path):
        if sampling_rate is not None:
            raise ValueError("sampling_rate goes with samples; a file has its own")
        return 0
    if sampling_rate is None:
        raise ValueError("samples need their sampling_rate in Hz")
    return sampling_rate
