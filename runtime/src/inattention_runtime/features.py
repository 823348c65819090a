"""Input features in NumPy: log-mel frames as inattention makes them, Whisper's log-mel spectrum, plain waveforms."""

from functools import lru_cache
from typing import Any

import numpy as np

SMALLEST_DEVIATION = 1e-5  # a band that varies less is not scaled
_BLOCK_FRAMES = 4096
_BLOCK_POINTS = 2**23


class TooShort(ValueError):
    """Audio that makes no frame."""


def frames_of(waveform: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Return (time, size): log-mel frames with deltas, normalised over the utterance and stacked.

    Args:
        waveform: one channel at the settings' sampling rate.
        settings: of the features, as a file's metadata has them.

    Raises:
        TooShort: if the audio makes no frame.
    """
    frames = log_mel(waveform, settings)
    if settings["deltas"]:
        frames = np.concatenate([frames, delta(frames, settings["delta_frames"])], 1)
    if settings["normalise"]:
        frames = frames - frames.mean(0, dtype=np.float64)
        deviation = np.sqrt(np.square(frames).mean(0))
        frames = frames / np.where(deviation < SMALLEST_DEVIATION, 1.0, deviation)
    stack = settings["stack"]
    time = len(frames) // stack
    if not time:
        seconds = len(waveform) / settings["sampling_rate"]
        step = settings["hop_seconds"] * stack
        raise TooShort(f"the audio is too short: {seconds:.4f} s make no frame of {step:g} s")
    return frames[: time * stack].reshape(time, -1).astype(np.float32)


def log_mel(waveform: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Return log(mel energy + floor), (frames, mels); frame k is centred at k hops."""
    rate, size = settings["sampling_rate"], settings["fft_size"]
    hop, length = round(settings["hop_seconds"] * rate), round(settings["window_seconds"] * rate)
    window = np.zeros(size)
    window[(size - length) // 2 : (size - length) // 2 + length] = _hann(length)
    filters = mel_filters(rate, size, settings["mels"], settings["lowest_hz"], settings["highest_hz"] or rate / 2)
    padded = np.pad(waveform, (size // 2, size - size // 2))
    count, block = 1 + len(waveform) // hop, max(1, min(_BLOCK_FRAMES, _BLOCK_POINTS // size))
    return np.concatenate(
        [
            np.log(_power(padded, first, min(first + block, count), hop, window) @ filters + settings["log_floor"])
            for first in range(0, count, block)
        ]
    )


def whisper_mel(waveform: np.ndarray, settings: dict[str, Any], frames: int, most_frames: int) -> np.ndarray:
    """Return Whisper's log-mel spectrum, (mels, frames), of the waveform followed by silence.

    Args:
        waveform: one channel at the settings' sampling rate.
        settings: of the features, as a file's metadata has them.
        frames: number of spectral frames.
        most_frames: number of spectral frames of the encoder's longest input, behind which a spectrum is mirrored.
    """
    size, hop, rate = settings["fft_size"], settings["hop_samples"], settings["sampling_rate"]
    most = most_frames * hop
    speech = waveform[:most]
    padded = np.pad(speech, (0, min(most, max(len(speech), frames * hop) + size) - len(speech)))
    padded = np.pad(padded, size // 2, mode="reflect") if len(padded) > size // 2 else np.pad(padded, size // 2)
    power = _power(padded, 0, frames, hop, _hann(size)) @ mel_filters(rate, size, settings["mels"], 0.0, rate / 2)
    logs = np.log10(np.maximum(power, 1e-10))
    logs = np.maximum(logs, logs.max() - 8.0)
    return ((logs + 4.0) / 4.0).T.astype(np.float32)


def normalised(waveform: np.ndarray) -> np.ndarray:
    """Return a waveform with mean 0 and variance 1."""
    wide = waveform.astype(np.float64)
    return ((wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)).astype(np.float32)


def steps_of(samples: int, settings: dict[str, Any]) -> int:
    """Return the number of frames that strided convolutions make of a waveform."""
    for kernel, stride in zip(settings["kernels"], settings["strides"], strict=True):
        samples = (samples - kernel) // stride + 1 if samples >= kernel else 0
    return samples


def samples_of(steps: int, settings: dict[str, Any]) -> int:
    """Return the smallest number of samples that strided convolutions make this many frames of."""
    for kernel, stride in zip(reversed(settings["kernels"]), reversed(settings["strides"]), strict=True):
        steps = (steps - 1) * stride + kernel
    return steps


def delta(frames: np.ndarray, width: int) -> np.ndarray:
    """Return the slope of a line over `width` frames around each; at the ends, over the first or last `width`."""
    width = min(width, len(frames) - (len(frames) + 1) % 2)
    if width < 3:
        return np.zeros_like(frames)
    half = width // 2
    offsets = np.arange(-half, half + 1, dtype=frames.dtype)
    kernel = offsets / np.square(offsets).sum()
    slopes = np.lib.stride_tricks.sliding_window_view(frames, width, axis=0) @ kernel
    return np.concatenate([np.repeat(slopes[:1], half, 0), slopes, np.repeat(slopes[-1:], half, 0)])


def _power(padded: np.ndarray, first: int, last: int, hop: int, window: np.ndarray) -> np.ndarray:
    """Return the power spectrum of some frames: (frames, bins)."""
    pieces = np.lib.stride_tricks.sliding_window_view(padded, len(window))[first * hop : (last - 1) * hop + 1 : hop]
    spectrum = np.fft.rfft(pieces * window)
    return np.square(spectrum.real) + np.square(spectrum.imag)


def _hann(length: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)


@lru_cache(maxsize=8)
def mel_filters(rate: int, size: int, mels: int, lowest_hz: float, highest_hz: float) -> np.ndarray:
    """Return Slaney's triangles of unit area: (bins, mels)."""
    bins = np.arange(size // 2 + 1) * (rate / size)
    edges = _mel_to_hz(np.linspace(_hz_to_mel(lowest_hz), _hz_to_mel(highest_hz), mels + 2))
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (center - left)
    falling = (right - bins[:, None]) / (right - center)
    return np.minimum(rising, falling).clip(min=0) * 2 / (right - left)


# Slaney's mel scale: linear to 1000 Hz (mel 15), then 27 bands to each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ, _LOG_START_MEL, _LOG_STEP = 1000.0, 15.0, np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _LOG_START_MEL + float(np.log(hz / _LOG_START_HZ)) / _LOG_STEP


def _mel_to_hz(mel: np.ndarray) -> np.ndarray:
    above = _LOG_START_HZ * np.exp((mel - _LOG_START_MEL) * _LOG_STEP)
    return np.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, above)
