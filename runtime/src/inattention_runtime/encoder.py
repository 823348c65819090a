"""`Encoder`: an exported file that turns recordings of any rate and length into features."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from inattention_runtime.features import TooShort, frames_of, normalised, samples_of, steps_of, whisper_mel
from inattention_runtime.graph import Graph
from inattention_runtime.metadata import read_description
from inattention_runtime.reader import AudioError, Truncated, as_waveform, load_audio

_WHISPER_STRIDE = 2  # spectral frames in a frame of the encoder
_AT_ONCE = 8  # inputs that are encoded at once, so that memory does not grow with a recording


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
    ) -> Extracted:
        """Return the features of one recording of any rate and length.

        Args:
            audio: a file, or one channel of samples.
            layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last; the file must have it.
            sampling_rate: Hz of the samples; required for samples, and for them alone.
            truncated: ``skip`` raises for a file that ends before its header says, ``keep`` uses what is there.

        Raises:
            AudioError: if the audio cannot be used; the message names the file.
            ModelFileError: if the graph does not take or return what its metadata says.
            ValueError: if the file has no such layer.
        """
        return self.extract_batch([audio], layer=layer, sampling_rate=sampling_rate, truncated=truncated)[0]

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
        output = self.output_of(layer)
        parts: list[tuple[int, np.ndarray, int, int]] = []
        for row, one in enumerate(audio):
            waveform = self._waveform(one, sampling_rate, truncated)
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
        waveform = self._waveform(audio, sampling_rate, truncated)
        output = self.output_of(-1)
        length = self.about.longest * _WHISPER_STRIDE * self.features["hop_samples"]
        for number, (mel, _, _) in enumerate(self._windows(waveform)):
            samples = min(length, len(waveform) - number * length)
            yield self._run([mel], output)[0], samples / self.sampling_rate

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

    def _waveform(self, audio: Any, sampling_rate: int | None, truncated: Truncated) -> np.ndarray:
        if isinstance(audio, str | Path):
            if sampling_rate is not None:
                raise ValueError("sampling_rate goes with samples; a file has its own")
            return load_audio(audio, self.sampling_rate, truncated=truncated)
        if sampling_rate is None:
            raise ValueError("samples need their sampling_rate in Hz")
        return as_waveform(audio, sampling_rate, self.sampling_rate)

    def _parts(self, waveform: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return inputs that are encoded at once, with the frames of each that are kept."""
        kind = self.features["kind"]
        if kind == "log-mel":
            return self._chunks(frames_of(waveform, self.features))
        return self._windows(waveform) if kind == "whisper" else self._pieces(waveform)

    def _chunks(self, frames: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return chunks that overlap by half; each frame is kept where it lies deepest."""
        time, longest = len(frames), self.about.longest
        if time <= longest:
            return [(frames, 0, time)]
        starts = [*range(0, time - longest, max(1, longest // 2)), time - longest]
        ends = [0, *((b + a + longest) // 2 for a, b in pairwise(starts)), time]
        return [
            (frames[start : start + longest], low - start, high - start)
            for start, (low, high) in zip(starts, pairwise(ends), strict=True)
        ]

    def _windows(self, waveform: np.ndarray) -> list[tuple[np.ndarray, int, int]]:
        """Return Whisper's spectrum of windows of 30 s, each as long as its speech and the silence behind it."""
        longest, hop = self.about.longest, _WHISPER_STRIDE * self.features["hop_samples"]
        found = []
        for start in range(0, len(waveform), longest * hop):
            speech = waveform[start : start + longest * hop]
            steps = -(-len(speech) // hop)
            fed = longest if self._silence is None else min(steps + self._silence, longest)
            mel = whisper_mel(speech, self.features, _WHISPER_STRIDE * fed, _WHISPER_STRIDE * longest)
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

    def _run(self, inputs: Sequence[np.ndarray], output: str) -> list[np.ndarray]:
        """Return a hidden state of each input, encoded at once where they fit together."""
        longest = max(map(len, inputs))
        if self.features["kind"] == "waveform":  # whose graph is for two frames or more
            longest = max(longest, samples_of(2, self.features))
        features = np.zeros((len(inputs), longest, *inputs[0].shape[1:]), np.float32)
        valid = np.zeros((len(inputs), longest), bool)
        for row, one in enumerate(inputs):
            features[row, : len(one)], valid[row, : len(one)] = one, True
        if self.features["kind"] == "whisper":
            features, valid = np.ascontiguousarray(features.transpose(0, 2, 1)), valid[:, ::_WHISPER_STRIDE]
        frames = steps_of(longest, self.features) if self.features["kind"] == "waveform" else valid.shape[1]
        shape = (len(inputs), frames, self.about.width)
        return list(self._graph.run(output, features, np.ascontiguousarray(valid), shape))
