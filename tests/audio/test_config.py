from typing import Any

import pytest

from inattention.audio.config import FeatureConfig


def test_the_defaults_are_the_paper_s():
    config = FeatureConfig()
    assert (config.hop_samples, config.window_samples, config.fft_size) == (200, 800, 2048)
    assert (config.frame_size, config.size) == (160, 480)
    assert config.step_seconds == pytest.approx(0.0375)
    assert config.first_center_seconds == pytest.approx(0.0125)


def test_without_stacking_the_first_step_is_centred_at_zero():
    assert FeatureConfig(stack=1).first_center_seconds == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"sampling_rate": 11_025}, "whole number of samples"),
        ({"sampling_rate": 0}, "whole number of samples"),
        ({"hop_seconds": 0.0}, "whole number of samples"),
        ({"hop_seconds": -0.0125}, "whole number of samples"),
        ({"hop_seconds": float("inf")}, "hop_seconds must be a finite number"),
        ({"hop_seconds": float("nan")}, "hop_seconds must be a finite number"),
        ({"window_seconds": 0.2}, "1 to fft_size=2048 samples"),
        ({"window_seconds": 0.0}, "1 to fft_size"),
        ({"window_seconds": float("inf")}, "window_seconds must be a finite number"),
        ({"delta_frames": 8}, "odd"),
        ({"delta_frames": 1}, "at least 3"),
        ({"mels": 0}, "mels"),
        ({"stack": 0}, "stack"),
        ({"log_floor": 0.0}, "log_floor"),
        ({"log_floor": float("nan")}, "log_floor must be a finite number"),
        ({"highest_hz": 8_001.0}, "half the sampling rate"),
        ({"lowest_hz": 8_000.0}, "half the sampling rate"),
        ({"lowest_hz": -1.0}, "between 0 Hz"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], words: str):
    with pytest.raises(ValueError, match=words):
        FeatureConfig(**settings)
