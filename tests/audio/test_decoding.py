"""Reading and resampling samples without PyTorch."""

import numpy as np
import pytest

from inattention.audio.decoding import resample_array

RATE = 22_050


@pytest.mark.parametrize("rate", [16000, 8000, 22050, 44100])
def test_resampling_keeps_a_tone_and_its_time(rate):
    seconds = 0.5
    old = np.sin(2 * np.pi * 440 * np.arange(int(RATE * seconds)) / RATE)
    new = resample_array(old, RATE, rate)
    assert len(new) == pytest.approx(rate * seconds, abs=1)
    middle = np.arange(rate // 10, rate // 3)
    np.testing.assert_allclose(new[middle], np.sin(2 * np.pi * 440 * middle / rate), atol=0.01)
