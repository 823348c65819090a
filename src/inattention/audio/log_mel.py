"""Log-mel frames of a waveform, and the linear spectrogram that a model can predict instead."""

import math
from collections.abc import Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from inattention.audio.config import FeatureConfig

# Frames that are transformed at once, so that the spectrum of a long recording does not fill the memory.
BLOCK_FRAMES = 4096


def log_mel(waveform: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "frames mels"]:
    """Return log(mel energy + floor); frame k is centred at k hops, and there are 1 + samples // hop frames.

    The short-time Fourier transform is centred and padded with zeros; mel bands are Slaney's, of unit area, over
    power.

    Raises:
        ValueError: The waveform is empty, or holds NaN, infinity or numbers too large to square.
    """
    return torch.cat([_log_mel_of(power, config) for power in _power_blocks(waveform, config)])


def log_mel_of_padded(samples: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "frames mels"]:
    """Return the log-mel frames of samples that begin half a transform before the centre of the first one.

    Raises:
        ValueError: The samples are NaN, infinity or too large to square.
    """
    return _log_mel_of(_power(samples, config), config)


def power_spectrogram(waveform: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "frames bins"]:
    """Return the power of the short-time Fourier transform, with fft_size // 2 + 1 bins.

    Raises:
        ValueError: The waveform is empty, or holds NaN, infinity or numbers too large to square.
    """
    return torch.cat(list(_power_blocks(waveform, config)))


def _power_blocks(waveform: Tensor, config: FeatureConfig) -> Iterator[Tensor]:
    """Yield the power of some thousand frames at a time: (frames, bins)."""
    if not waveform.numel():
        raise ValueError("the audio is empty")
    hop, half = config.hop_samples, config.fft_size // 2
    frames = 1 + len(waveform) // hop
    padded = F.pad(waveform.float(), (half, config.fft_size - half))
    for first in range(0, frames, BLOCK_FRAMES):
        last = min(first + BLOCK_FRAMES, frames) - 1
        yield _power(padded[first * hop : last * hop + config.fft_size], config)


def _power(padded: Tensor, config: FeatureConfig) -> Float[Tensor, "frames bins"]:
    spectrum = torch.stft(
        padded,
        n_fft=config.fft_size,
        hop_length=config.hop_samples,
        win_length=config.window_samples,
        window=torch.hann_window(config.window_samples, device=padded.device),
        center=False,
        return_complex=True,
    )
    power = spectrum.abs().square().t()
    if not bool(power.isfinite().all()):
        raise ValueError("the audio holds NaN, infinite or absurdly large samples")
    return power


def _log_mel_of(power: Tensor, config: FeatureConfig) -> Float[Tensor, "frames mels"]:
    return (mel_energies(power, config) + config.log_floor).log()


def mel_energies(power: Float[Tensor, "frames bins"], config: FeatureConfig) -> Float[Tensor, "frames mels"]:
    """Return the power under each mel band."""
    return power @ _mel_filters(config).to(power)


def linear_target(waveform: Float[Tensor, " samples"], config: FeatureConfig) -> Float[Tensor, "frames bins"]:
    """Return the target of the authors' training code: a linear spectrogram in dB, scaled to [0, 1].

    Pre-emphasis 0.97, reference 20 dB, range 100 dB.
    """
    emphasised = torch.cat([waveform[:1], waveform[1:] - 0.97 * waveform[:-1]])
    decibel = 10 * power_spectrogram(emphasised, config).clamp(min=1e-10).log10() - 20
    return ((decibel + 100) / 100).clamp(1e-8, 1)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # the cached filters may be used by a later call that records gradients
def _mel_filters(config: FeatureConfig) -> Tensor:
    """Return Slaney's triangles of unit area: (bins, mels)."""
    bins = torch.arange(config.fft_size // 2 + 1, dtype=torch.float64, device="cpu")
    bins *= config.sampling_rate / config.fft_size
    low, high = (_hz_to_mel(hz) for hz in (config.lowest_hz, config.highest_hz or config.sampling_rate / 2))
    edges = _mel_to_hz(torch.linspace(low, high, config.mels + 2, dtype=torch.float64, device="cpu"))
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (bins[:, None] - left) / (center - left)
    falling = (right - bins[:, None]) / (right - center)
    triangles = torch.minimum(rising, falling).clamp(min=0)
    return (triangles * 2 / (right - left)).float()


# Slaney's mel scale: linear to 1000 Hz (mel 15), then 27 bands to each factor of 6.4.
_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_START_HZ, _LOG_START_MEL, _LOG_STEP = 1000.0, 15.0, math.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    if hz < _LOG_START_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return _LOG_START_MEL + math.log(hz / _LOG_START_HZ) / _LOG_STEP


def _mel_to_hz(mel: Tensor) -> Tensor:
    above = _LOG_START_HZ * ((mel - _LOG_START_MEL) * _LOG_STEP).exp()
    return torch.where(mel < _LOG_START_MEL, mel * _LINEAR_HZ_PER_MEL, above)
