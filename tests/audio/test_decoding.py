import subprocess
import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import soundfile

from inattention.audio.decoding import AudioError, open_audio, read_samples, resample_array

RATE = 16_000


@pytest.fixture
def ramp(tmp_path: Path) -> Path:
    samples = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
    soundfile.write(tmp_path / "ramp.wav", np.stack([samples, -samples], axis=1), RATE, "FLOAT")
    return tmp_path / "ramp.wav"


def test_a_piece_is_that_part_of_the_whole(ramp: Path):
    whole, rate = read_samples(ramp)
    piece, _ = read_samples(ramp, first=100, count=50)
    assert (whole.shape, rate) == ((1000, 2), RATE)
    np.testing.assert_array_equal(piece, whole[100:150])
    assert len(read_samples(ramp, first=990, count=50)[0]) == 10
    assert len(read_samples(ramp, first=5000, count=50)[0]) == 0


def test_paths_and_open_files_give_the_same(ramp: Path):
    expected = read_samples(ramp)[0]
    for file in (str(ramp), BytesIO(ramp.read_bytes())):
        np.testing.assert_array_equal(read_samples(file)[0], expected)


def test_errors_do_not_repeat_the_path(tmp_path: Path):
    (tmp_path / "text.wav").write_text("no audio")
    for name in ("text.wav", "missing.wav"):
        with pytest.raises(AudioError, match=r"^cannot be read as audio") as caught:
            read_samples(tmp_path / name)
        assert str(tmp_path) not in str(caught.value)


def test_what_is_wrong_with_open_audio_keeps_its_own_words(ramp: Path):
    with pytest.raises(AudioError, match=r"^is too loud$"), open_audio(ramp):
        raise AudioError("is too loud")
    with pytest.raises(AudioError, match=r"^cannot be read as audio \(lost sync\)$"), open_audio(ramp):
        raise RuntimeError("lost\nsync")


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
def test_resampling_keeps_a_tone_and_its_time(rate: int):
    old_rate, seconds = 22_050, 0.5
    old = np.sin(2 * np.pi * 440 * np.arange(int(old_rate * seconds)) / old_rate)
    new = resample_array(old, old_rate, rate)
    assert len(new) == pytest.approx(rate * seconds, abs=1)
    middle = np.arange(rate // 10, rate // 3)
    np.testing.assert_allclose(new[middle], np.sin(2 * np.pi * 440 * middle / rate), atol=0.01)


def test_resampling_to_the_same_rate_changes_nothing():
    wave = np.random.default_rng(0).standard_normal(99)
    assert resample_array(wave, RATE, RATE) is wave
    assert len(resample_array(wave, RATE, 2 * RATE)) == 198


def test_workers_that_decode_load_neither_pytorch_nor_lhotse():
    code = (
        "import sys, inattention.corpora.core.audio_worker\n"
        "print([name for name in ('torch', 'lhotse', 'scipy', 'tqdm') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
