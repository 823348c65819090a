"""Polyphase resampling: the filter and the alignment of `scipy.signal.resample_poly`, in NumPy."""

from functools import lru_cache
from math import gcd

import numpy as np

_BLOCK = 2**22  # products at once, so that memory does not grow with the recording
_SIDE = 10  # zero crossings of the filter to each side
_BETA = 5.0  # of its Kaiser window


def resample(waveform: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """Return one channel at another sampling rate, in Hz.

    >>> resample(np.zeros(441, np.float32), 44_100, 16_000).shape
    (160,)
    """
    if rate == wanted:
        return waveform
    common = gcd(rate, wanted)
    up, down = wanted // common, rate // common
    half = _SIDE * max(up, down)
    phases = _phases(up, down).astype(waveform.dtype)  # up, taps
    taps = phases.shape[1]
    count = -(-len(waveform) * up // down)
    output = np.empty(count, waveform.dtype)
    padded = np.pad(waveform, (taps, taps + 1))
    for first in range(min(up, count)):
        # Output m lies at m * down + half of the signal with up - 1 zeros behind each sample.
        phase, newest = (first * down + half) % up, (first * down + half) // up
        places = np.arange(newest, newest + down * -(-(count - first) // up), down)
        for start in range(0, len(places), _BLOCK // taps):
            some = places[start : start + _BLOCK // taps]
            reach = np.minimum(some[:, None] + taps - np.arange(taps), len(padded) - 1)
            output[first + start * up : first + (start + len(some)) * up : up] = padded[reach] @ phases[phase]
    return output


@lru_cache(maxsize=8)
def _phases(up: int, down: int) -> np.ndarray:
    """Return the low-pass filter, one row for each place between two samples."""
    highest = max(up, down)
    half = _SIDE * highest
    places = np.arange(-half, half + 1)
    filter_ = np.sinc(places / highest) * np.kaiser(2 * half + 1, _BETA)
    filter_ *= up / filter_.sum()
    return np.pad(filter_, (0, -len(filter_) % up)).reshape(-1, up).T
