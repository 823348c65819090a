import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.signal import savgol_filter

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import delta, features, stack, statistics, steps_of, with_deltas
from inattention.audio.log_mel import BLOCK_FRAMES, linear_target, log_mel, mel_energies, power_spectrogram

RATE = 16_000


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(seed))


def speechlike(samples: int) -> torch.Tensor:
    time = torch.arange(samples) / RATE
    return 0.3 * torch.sin(2 * math.pi * (200 + 300 * time) * time) + noise(samples)


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


@pytest.mark.parametrize("frames", [9, 10, 57])
def test_delta_is_the_savitzky_golay_slope(frames: int):
    values = torch.randn(frames, 5, dtype=torch.float64)
    expected = savgol_filter(values.numpy(), 9, polyorder=1, deriv=1, axis=0, mode="interp")
    np.testing.assert_allclose(delta(values, 9).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(("frames", "window"), [(3, 3), (4, 3), (5, 5), (8, 7)])
def test_delta_of_a_short_utterance_uses_the_longest_odd_window(frames: int, window: int):
    values = torch.randn(frames, 2, dtype=torch.float64)
    expected = savgol_filter(values.numpy(), window, polyorder=1, deriv=1, axis=0, mode="interp")
    np.testing.assert_allclose(delta(values, 9).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("frames", [1, 2])
def test_delta_of_hardly_any_frames_is_zero(frames: int):
    assert torch.equal(delta(torch.randn(frames, 2), 9), torch.zeros(frames, 2))


def test_normalised_features_have_mean_zero_and_variance_one():
    config = FeatureConfig(stack=1)
    steps = features(speechlike(RATE), config)
    assert steps.shape == (81, 160)
    torch.testing.assert_close(steps.mean(0), torch.zeros(160), atol=1e-5, rtol=0)
    torch.testing.assert_close(steps.var(0, correction=0), torch.ones(160), atol=1e-4, rtol=0)


def test_normalisation_hears_no_loudness():
    """Only the floor under the logarithm tells a loud utterance from a quiet one."""
    waveform = speechlike(RATE)
    config = FeatureConfig(log_floor=1e-12, deltas=False)
    torch.testing.assert_close(features(waveform, config), features(3 * waveform, config), atol=1e-3, rtol=0)


def test_a_band_that_does_not_vary_becomes_zero():
    frames = torch.randn(30, 80)
    frames[:, 7] = -13.8
    steps = steps_of(frames, FeatureConfig(deltas=False, stack=1))
    torch.testing.assert_close(steps[:, 7], torch.zeros(30), atol=1e-5, rtol=0)
    assert steps.isfinite().all()


def test_statistics_are_those_of_the_utterance():
    frames = torch.randn(40, 3) * torch.tensor([1.0, 2.0, 0.0]) + 5
    mean, spread = statistics(frames)
    torch.testing.assert_close(mean, frames.mean(0))
    torch.testing.assert_close(spread[:2], frames.std(0, correction=0)[:2])
    assert spread[2] == 1


def test_stacking_joins_neighbours_and_drops_the_remainder():
    frames = torch.arange(22.0).reshape(11, 2)
    steps = stack(frames, 3)
    assert steps.shape == (3, 6)
    assert steps[1].tolist() == [6, 7, 8, 9, 10, 11]


def test_features_are_frames_with_deltas_normalised_then_stacked():
    config = FeatureConfig()
    waveform = speechlike(RATE)
    frames = with_deltas(log_mel(waveform, config), config)
    assert frames.shape == (81, 160)
    torch.testing.assert_close(frames[:, 80:], delta(frames[:, :80], 9))
    frames = (frames - frames.mean(0)) / frames.std(0, correction=0)
    torch.testing.assert_close(features(waveform, config), frames.reshape(27, 480), atol=1e-4, rtol=1e-4)


def test_an_impulse_peaks_in_the_step_whose_centre_is_nearest():
    config = FeatureConfig(normalise=False, deltas=False)
    waveform = 1e-4 * noise(RATE)
    waveform[8_123] = 1.0
    energy = features(waveform, config).exp().sum(1)
    centres = config.first_center_seconds + torch.arange(len(energy)) * config.step_seconds
    assert energy.argmax() == (centres - 8_123 / RATE).abs().argmin()


OTHER = {
    "sampling_rate": 8_000,
    "fft_size": 1024,
    "window_seconds": 0.025,
    "hop_seconds": 0.01,
    "mels": 40,
    "lowest_hz": 300.0,
    "highest_hz": 4_000.0,
    "log_floor": 1e-3,
    "deltas": False,
    "delta_frames": 5,
    "normalise": False,
    "stack": 2,
}


def test_every_setting_is_tried_below():
    assert set(OTHER) == {field.name for field in fields(FeatureConfig)}


@pytest.mark.parametrize("name", OTHER)
def test_every_setting_has_an_effect(name: str):
    config = FeatureConfig()
    other = replace(config, **{name: OTHER[name]})
    waveform = speechlike(RATE)
    one, two = features(waveform, config), features(waveform, other)
    assert one.shape != two.shape or not torch.allclose(one, two, atol=1e-3)
    assert two.shape[1] == other.size


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


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (torch.zeros(0), "no samples"),
        (torch.zeros(RATE), "is silent"),
        (torch.full((RATE,), 0.25), "is silent"),
        (torch.cat([torch.ones(RATE), torch.tensor([float("nan")])]), "NaN or infinite"),
        (torch.cat([torch.ones(RATE), torch.tensor([float("inf")])]), "NaN or infinite"),
        (1e25 * torch.randn(RATE), "absurdly large"),
        (torch.randn(399), "too short: 0.0249 s make no step of 0.0375 s"),
    ],
    ids=["empty", "silent", "constant", "nan", "infinite", "huge", "short"],
)
def test_what_cannot_be_heard_is_refused(waveform: torch.Tensor, words: str):
    with pytest.raises(ValueError, match=words):
        features(waveform, FeatureConfig())


@pytest.mark.parametrize("junk", [float("nan"), float("inf"), 1e25])
def test_log_mel_gives_nothing_that_is_not_finite(junk: float):
    waveform = noise(RATE)
    waveform[5_000] = junk
    with pytest.raises(ValueError, match="NaN, infinite or absurdly large"):
        log_mel(waveform, FeatureConfig())


def test_features_can_carry_gradients_after_they_were_made_in_inference_mode():
    config = FeatureConfig(mels=17)
    with torch.inference_mode():
        features(noise(RATE), config)
    waveform = noise(RATE).requires_grad_()
    features(waveform, config).square().sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
