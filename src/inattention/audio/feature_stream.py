"""The input of our encoders from a recording of any length, block by block, equal to that of the whole.

Normalisation over the utterance takes a pass of its own over the recording, for the mean and the deviation of each
dimension. The arithmetic is PyTorch's or NumPy's: `inattention-runtime` has a copy.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from inattention.audio.spans import Tape

# Log-mel frames that are computed at once: few, so that memory is not scattered by large temporary arrays, and a
# multiple of what matrix products take at once, so that each frame is computed as in a longer product, to the bit.
BLOCK_FRAMES = 512


@dataclass(frozen=True)
class Arithmetic:
    """Functions of one kind of array.

    Attributes:
        join: concatenates arrays along an axis.
        log_mel: returns the log-mel frames of padded samples.
        slopes: returns the slope of a line over a number of frames, without the ends.
        array: converts a NumPy array to this kind, in the type of the frames.
        single: converts frames to float32.
    """

    join: Callable[[Sequence[Any], int], Any]
    log_mel: Callable[[Any], Any]
    slopes: Callable[[Any, int], Any]
    array: Callable[[np.ndarray], Any]
    single: Callable[[Any], Any]


@dataclass(frozen=True, kw_only=True)
class FeatureStream:
    """Input frames of a recording.

    Attributes:
        blocks: yields the waveform block by block, at each call from the beginning.
        samples: number of its samples.
        arithmetic: functions of its kind of array.
        hop: samples between log-mel frames.
        fft_size: samples of a transform.
        delta_frames: frames that a derivative is fitted over; 0 for no derivatives.
        normalise: whether each dimension is normalised over the recording.
        stack: log-mel frames in one input frame.
        smallest_deviation: a dimension that varies less is not scaled.
    """

    blocks: Callable[[], Iterator[Any]]
    samples: int
    arithmetic: Arithmetic
    hop: int
    fft_size: int
    delta_frames: int
    normalise: bool
    stack: int
    smallest_deviation: float

    @property
    def log_mel_frames(self) -> int:
        """Number of log-mel frames."""
        return 1 + self.samples // self.hop

    @property
    def time(self) -> int:
        """Number of input frames; a remainder of log-mel frames makes none."""
        return self.log_mel_frames // self.stack

    def inputs(self) -> Iterator[Any]:
        """Yield the input frames, (some, size)."""
        tape = Tape(self._normalised(), self._join)
        step = max(1, BLOCK_FRAMES // self.stack)
        for first in range(0, self.time, step):
            last = min(first + step, self.time)
            yield self.arithmetic.single(tape.read(first * self.stack, last * self.stack).reshape(last - first, -1))

    def _normalised(self) -> Iterator[Any]:
        if not self.normalise:
            yield from self._frames()
            return
        mean, deviation = map(self.arithmetic.array, self._statistics())
        for frames in self._frames():
            yield (frames - mean) / deviation

    def _statistics(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and deviation of each dimension, in a pass over the recording (Chan et al. 1979)."""
        count, mean, squares = 0, np.zeros(1), np.zeros(1)
        for frames in self._frames():
            block = np.asarray(frames, np.float64)
            block_mean = block.mean(0)
            total = count + len(block)
            squares = squares + np.square(block - block_mean).sum(0)
            squares = squares + np.square(block_mean - mean) * (count * len(block) / total)
            mean = mean + (block_mean - mean) * (len(block) / total)
            count = total
        deviation = np.sqrt(squares / count)
        return mean, np.where(deviation < self.smallest_deviation, 1.0, deviation)

    def _frames(self) -> Iterator[Any]:
        """Yield log-mel frames with their derivatives; those at the ends are the first and the last whole ones."""
        tape, count = Tape(self._log_mel(), self._join), self.log_mel_frames
        width = min(self.delta_frames, count - (count + 1) % 2)
        half = width // 2
        for first in range(0, count, BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, count)
            if not self.delta_frames:
                yield tape.read(first, last)
                continue
            centers = np.clip(np.arange(first, last), half, count - 1 - half)
            start = min(first, int(centers[0]) - half)
            piece = tape.read(start, max(last, int(centers[-1]) + half + 1))
            frames = piece[first - start : last - start]
            if width < 3:
                slopes = 0 * frames
            else:
                around = piece[int(centers[0]) - half - start : int(centers[-1]) + half + 1 - start]
                slopes = self.arithmetic.slopes(around, width)[centers - centers[0]]
            yield self.arithmetic.join([frames, slopes], 1)

    def _log_mel(self) -> Iterator[Any]:
        tape, half = Tape(self.blocks(), self._join), self.fft_size // 2
        for first in range(0, self.log_mel_frames, BLOCK_FRAMES):
            last = min(first + BLOCK_FRAMES, self.log_mel_frames)
            low, high = first * self.hop - half, (last - 1) * self.hop + self.fft_size - half
            piece = tape.read(max(0, low), high)
            before, after = piece[:0], piece[:0]
            if low < 0:
                before = self._silence(piece, -low)
            if len(piece) < high - max(0, low):
                after = self._silence(piece, high - max(0, low) - len(piece))
            yield self.arithmetic.log_mel(self._join([before, piece, after]))

    def _silence(self, like: Any, count: int) -> Any:
        """Return zeros of the type of samples."""
        return 0 * self._join([like[:1]] * count)

    def _join(self, arrays: Sequence[Any]) -> Any:
        return self.arithmetic.join(arrays, 0)
