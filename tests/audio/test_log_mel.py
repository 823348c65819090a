import math

import numpy as np
import pytest
import torch

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import BLOCK_FRAMES, linear_target, log_mel, mel_energies, power_spectrogram
from signals import RATE, noise, speechlike


def reference_mel_scale(hz: float) -> float:
    """Slaney's auditory toolbox: 3 mels each 200 Hz up to 1000 Hz, from there 27 to each factor of 6.4."""
    return 3 * hz / 200 if hz < 1000 else 15 + 27 * math.log(hz / 1000) / math.log(6.4)


def reference_hz(mel: float) -> float:
    return 200 * mel / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)


def reference_log_mel(waveform: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """From first principles in double precision: frames, window, Fourier transform, triangles of unit area."""
    size, hop, width = config.fft_size, config.hop_samples, config.window_samples
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(width) / width)
    padded = np.concatenate([np.zeros(size // 2), waveform, np.zeros(size)])
    left = (size - width) // 2
    top = config.highest_hz or config.sampling_rate / 2
    mels = np.linspace(reference_mel_scale(config.lowest_hz), reference_mel_scale(top), config.mels + 2)
    edges = [reference_hz(mel) for mel in mels]
    filters = np.zeros((size // 2 + 1, config.mels))
    for band in range(config.mels):
        low, middle, high = edges[band : band + 3]
        for k in range(size // 2 + 1):
            hz = k * config.sampling_rate / size
            height = 2 / (high - low)
            if low < hz <= middle:
                filters[k, band] = height * (hz - low) / (middle - low)
            elif middle < hz < high:
                filters[k, band] = height * (high - hz) / (high - middle)
    frames = []
    for k in range(1 + len(waveform) // hop):
        piece = padded[k * hop : k * hop + size].copy()
        piece[:left] = 0
        piece[left + width :] = 0
        piece[left : left + width] *= window
        frames.append(np.abs(np.fft.rfft(piece)) ** 2 @ filters)
    return np.log(np.array(frames) + config.log_floor)


@pytest.mark.parametrize(
    "config",
    [
        FeatureConfig(),
        FeatureConfig(
            sampling_rate=8000, fft_size=256, window_seconds=0.025, hop_seconds=0.01, mels=20, lowest_hz=100.0
        ),
        FeatureConfig(fft_size=801, mels=40, highest_hz=7000.0, log_floor=1e-3),
    ],
    ids=["paper", "narrow", "odd"],
)
def test_log_mel_is_what_the_definition_says(config: FeatureConfig):
    waveform = speechlike(9_999)
    expected = reference_log_mel(waveform.double().numpy(), config)
    np.testing.assert_allclose(log_mel(waveform, config).numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("samples", [1, 199, 200, 201, 16_000, 16_199])
def test_there_is_a_frame_at_every_hop_from_zero_on(samples: int):
    assert log_mel(noise(samples), FeatureConfig()).shape == (1 + samples // 200, 80)


@pytest.mark.parametrize("frame", [0, 7, 40])
def test_a_frame_is_centred_at_its_hop(frame: int):
    waveform = torch.zeros(RATE)
    waveform[200 * frame] = 1.0
    energy = power_spectrogram(waveform, FeatureConfig()).sum(1)
    assert energy.argmax() == frame
    heard = energy.nonzero().flatten()  # a window of 800 samples reaches under two hops to either side
    assert heard.tolist() == list(range(max(0, frame - 1), frame + 2))


def test_long_recordings_are_transformed_in_blocks_that_leave_no_seam():
    config = FeatureConfig(fft_size=64, window_seconds=0.004, hop_seconds=0.00125, mels=4)
    waveform = speechlike(20 * (BLOCK_FRAMES + 300))
    whole = log_mel(waveform, config)
    assert len(whole) > BLOCK_FRAMES
    start = 20 * (BLOCK_FRAMES - 50)
    apart = log_mel(waveform[start:], config)
    np.testing.assert_allclose(whole[BLOCK_FRAMES - 40 :], apart[10:], atol=1e-5)
    assert power_spectrogram(waveform, config).shape == (len(whole), 33)


def test_mel_bands_take_up_all_power_between_their_ends():
    """Each triangle has unit area, and neighbours overlap: a flat spectrum gives every band the same density."""
    flat = torch.ones(1, 1025)
    energies = mel_energies(flat, FeatureConfig())[0]
    torch.testing.assert_close(energies[20:], torch.full((60,), 2048 / RATE), rtol=0.02, atol=0)


def test_the_linear_target_is_the_clipped_spectrogram_in_decibel():
    config = FeatureConfig()
    waveform = speechlike(4_000)
    emphasised = waveform.double().numpy()
    emphasised[1:] = emphasised[1:] - 0.97 * waveform.double().numpy()[:-1]
    magnitude = power_spectrogram(torch.from_numpy(emphasised), config).double().sqrt().numpy()
    expected = np.clip((20 * np.log10(np.maximum(magnitude, 1e-5)) - 20 + 100) / 100, 1e-8, 1)
    target = linear_target(waveform, config)
    assert target.shape == (21, 1025)
    np.testing.assert_allclose(target.numpy(), expected, atol=1e-4)


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e25])
def test_log_mel_gives_nothing_that_is_not_finite(junk: float):
    waveform = noise(RATE)
    waveform[5_000] = junk
    with pytest.raises(ValueError, match="NaN, infinite or absurdly large"):
        log_mel(waveform, FeatureConfig())
