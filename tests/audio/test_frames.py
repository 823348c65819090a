from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.signal import savgol_filter

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import delta, features, stack, statistics, steps_of, with_deltas
from inattention.audio.log_mel import log_mel
from signals import RATE, noise, speechlike


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


@pytest.mark.parametrize(
    ("waveform", "words"),
    [
        (torch.zeros(0), "no samples"),
        (torch.zeros(RATE), "is silent"),
        (torch.full((RATE,), 0.25), "is silent"),
        (torch.cat([torch.ones(RATE), torch.tensor([float("nan")])]), "NaN or infinite"),
        (torch.cat([torch.ones(RATE), torch.tensor([float("inf")])]), "NaN or infinite"),
        (1e25 * torch.randn(RATE), "absurdly large"),
        (torch.randn(399), "too short: 0.0249 s make no frame of 0.0375 s"),
    ],
    ids=["empty", "silent", "constant", "nan", "infinite", "huge", "short"],
)
def test_what_cannot_be_heard_is_refused(waveform: torch.Tensor, words: str):
    with pytest.raises(ValueError, match=words):
        features(waveform, FeatureConfig())


def test_features_can_carry_gradients_after_they_were_made_in_inference_mode():
    config = FeatureConfig(mels=17)
    with torch.inference_mode():
        features(noise(RATE), config)
    waveform = noise(RATE).requires_grad_()
    features(waveform, config).square().sum().backward()
    assert waveform.grad is not None
    assert waveform.grad.isfinite().all()
