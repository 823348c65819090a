"""Features in NumPy are those of inattention and of transformers."""

from dataclasses import asdict
from math import gcd
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import resample_poly

from inattention.audio.config import FeatureConfig
from inattention.audio.frames import features
from inattention.audio.log_mel import log_mel
from inattention_runtime import features as runtime
from inattention_runtime.resampling import resample

CONFIGS = (
    FeatureConfig(),
    FeatureConfig(fft_size=1024, mels=40, deltas=False, lowest_hz=50.0, highest_hz=7000.0),
    FeatureConfig(stack=1, normalise=False, delta_frames=5),
    FeatureConfig(sampling_rate=8000, window_seconds=0.025, hop_seconds=0.01),
)


def noise(samples: int, seed: int = 0) -> np.ndarray:
    """Return noise that swells and fades."""
    wave = np.random.default_rng(seed).standard_normal(samples)
    return (0.05 * wave * (1.2 + np.sin(np.arange(samples) / 4000))).astype(np.float32)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("samples", [3000, 40_001])
def test_log_mel_is_that_of_inattention(config: FeatureConfig, samples: int) -> None:
    wave = noise(samples)
    ours = log_mel(torch.from_numpy(wave), config).numpy()
    np.testing.assert_allclose(runtime.log_mel(wave, asdict(config)), ours, atol=1e-5)
    expected = features(torch.from_numpy(wave), config).numpy()
    np.testing.assert_allclose(runtime.frames_of(wave, asdict(config)), expected, atol=1e-5)


def test_a_long_recording_is_transformed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    wave, settings = noise(20_000), asdict(FeatureConfig())
    whole = runtime.log_mel(wave, settings)
    monkeypatch.setattr(runtime, "_BLOCK_FRAMES", 7)
    np.testing.assert_allclose(runtime.log_mel(wave, settings), whole, atol=1e-12)


def test_audio_that_makes_no_frame_is_named() -> None:
    with pytest.raises(runtime.TooShort, match=r"0\.0063 s make no frame of 0\.0375 s"):
        runtime.frames_of(noise(100), asdict(FeatureConfig()))


@pytest.mark.parametrize("samples", [1, 150, 16_000, 80_077, 479_900, 480_000, 500_000])
@pytest.mark.parametrize("mels", [80, 128])
def test_whisper_s_spectrum_is_that_of_transformers(samples: int, mels: int) -> None:
    from transformers import WhisperFeatureExtractor

    wave = noise(samples)
    expected = WhisperFeatureExtractor(feature_size=mels)(wave, sampling_rate=16_000, return_tensors="np")
    settings: dict[str, Any] = {"fft_size": 400, "hop_samples": 160, "mels": mels, "sampling_rate": 16_000}
    for frames in (2 * min(1500, -(-samples // 320) + 25), 3000):
        got = runtime.whisper_mel(wave, settings, frames, 3000)
        difference = np.abs(got - expected.input_features[0][:, :frames])
        # transformers computes in float32: a bin in which next to nothing is left may lose a digit more.
        assert (difference > 1e-5).mean() < 1e-4
        assert difference.max() < 1e-4


def test_normalised_waveforms_are_those_of_transformers() -> None:
    from transformers import Wav2Vec2FeatureExtractor

    wave = noise(5000) + 0.1
    expected = Wav2Vec2FeatureExtractor()(wave, sampling_rate=16_000, return_tensors="np").input_values[0]
    np.testing.assert_allclose(runtime.normalised(wave), expected, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 44_100, 48_000, 16_001, 96_000])
def test_resampling_is_scipy_s(rate: int) -> None:
    common = gcd(rate, 16_000)
    for samples in (1, 2, 100, 5000):
        wave = noise(samples, seed=rate)
        expected = resample_poly(wave, 16_000 // common, rate // common)
        got = resample(wave, rate, 16_000)
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, atol=1e-6)
