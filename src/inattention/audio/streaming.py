"""Waveforms that are read, checked and resampled block by block, so that memory does not grow with a recording.

NumPy alone: `inattention-runtime` has a copy.
"""

from collections.abc import Callable, Iterable, Iterator
from math import ceil, gcd
from pathlib import Path

import numpy as np
from jaxtyping import Float

from inattention.audio.decoding import AudioError, check_rate, open_audio
from inattention.audio.limits import KEEP_HINT, SILENCE, Truncated
from inattention.audio.spans import Tape

BLOCK = 2**18  # samples at once
_SIDE = 10  # zero crossings of the resampling filter to each side

Resample = Callable[[np.ndarray, int, int], np.ndarray]
Samples = Float[np.ndarray, " samples"]


class LongAudio:
    """One channel of a file, or of samples in memory, at a sampling rate, read as often as needed.

    Args:
        source: A file, or samples.
        sampling_rate: Hz of the blocks.
        resample: Returns samples at another rate, by the filter of `scipy.signal.resample_poly`.
        rate: Hz of samples in memory; a file has its own.
        truncated: ``skip`` refuses a file that ends before its header says, ``keep`` uses what is there.
    """

    def __init__(
        self,
        source: Path | np.ndarray,
        sampling_rate: int,
        resample: Resample,
        *,
        rate: int = 0,
        truncated: Truncated = "skip",
    ) -> None:
        self._source, self.sampling_rate, self._resample = source, sampling_rate, resample
        self._rate, self._truncated = rate, truncated

    @property
    def name(self) -> str:
        """Name in error messages."""
        return "the audio" if isinstance(self._source, np.ndarray) else str(self._source)

    def check(self) -> int:
        """Return the number of samples at ``sampling_rate``, after decoding all of them once.

        Raises:
            AudioError: The audio is missing, unreadable, truncated, empty, silent, or holds NaN or infinity, or its
                header has an impossible rate; the message names it.
        """
        count, low, high, finite, rate = 0, np.inf, -np.inf, True, self.sampling_rate
        for block, rate in self._decoded(damage=True):  # noqa: B007 - the rate of all blocks
            finite = finite and bool(np.isfinite(block).all())
            low, high = min(low, float(block.min())), max(high, float(block.max()))
            count += len(block)
        if not count:
            raise AudioError(f"{self.name}: holds no samples")
        if not finite:
            raise AudioError(f"{self.name}: holds NaN or infinite samples")
        if high - low < SILENCE:
            raise AudioError(f"{self.name}: is silent (its samples lie between {low:g} and {high:g})")
        common = gcd(rate, self.sampling_rate)
        return -(-count * (self.sampling_rate // common) // (rate // common))

    def blocks(self) -> Iterator[Samples]:
        """Yield the samples at ``sampling_rate``; each block is equal to that part of the whole.

        Raises:
            AudioError: The file cannot be decoded.
        """
        decoded = self._decoded(damage=False)
        first = next(decoded, None)
        if first is not None:
            rest = (block for block, _ in decoded)
            yield from resampled(_chain(first[0], rest), first[1], self.sampling_rate, self._resample)

    def _decoded(self, *, damage: bool) -> Iterator[tuple[Samples, int]]:
        """Yield blocks of one channel at their own rate, with that rate."""
        if isinstance(self._source, np.ndarray):
            for start in range(0, len(self._source), BLOCK):
                yield self._source[start : start + BLOCK], self._rate
            return
        try:
            if not self._source.is_file():
                raise AudioError("there is no such file")
            with open_audio(self._source) as audio:
                check_rate(audio.samplerate)
                for block in audio.blocks():
                    yield (block.mean(1) if block.shape[1] > 1 else block[:, 0]), audio.samplerate
                if damage and self._truncated == "skip" and audio.damage:
                    raise AudioError(f"{audio.damage}; {KEEP_HINT}")
        except AudioError as error:
            raise AudioError(f"{self._source}: {error}") from error


def resampled(stream: Iterable[Samples], rate: int, wanted: int, resample: Resample) -> Iterator[Samples]:
    """Yield a waveform at another sampling rate, block by block.

    Args:
        stream: Blocks of one channel.
        rate: Their rate in Hz.
        wanted: Hz of the result.
        resample: Resamples a waveform.
    """
    if rate == wanted:
        yield from stream
        return
    common = gcd(rate, wanted)
    up, down = wanted // common, rate // common
    # Blocks begin where an input sample and an output sample coincide, so that all see the same phases of the filter.
    reach = down * ceil((_SIDE * max(up, down) / up + 2) / down)
    step = down * max(1, BLOCK // down)
    tape, first = Tape(stream, np.concatenate), 0
    while True:
        start = max(0, first - reach)
        output = resample(tape.read(start, first + step + reach), rate, wanted)
        skip = (first - start) * up // down
        ended = tape.total is not None and tape.total <= first + step
        yield output[skip : None if ended else skip + step * up // down]
        if ended:
            return
        first += step


def _chain(first: Samples, rest: Iterator[Samples]) -> Iterator[Samples]:
    yield first
    yield from rest
