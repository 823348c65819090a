from pathlib import Path

import numpy as np
import pytest
import soundfile
from lhotse import MonoCut, MultiCut, Recording
from lhotse.cut import Cut

from inattention.audio.reader import AudioError, cut_waveform

RATE = 16_000


def tone(rate: int, hz: float = 440.0, seconds: float = 2.0) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def recording(path: Path, samples: np.ndarray, rate: int = RATE, subtype: str | None = None) -> Recording:
    soundfile.write(path, samples, rate, subtype)
    return Recording.from_file(path, recording_id="r")


def loudest_hz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples * np.hanning(len(samples)))).argmax() * RATE / len(samples))


def kinds_of_cut(path: Path) -> dict[str, Cut]:
    stereo = recording(path / "stereo.wav", np.stack([tone(44_100), 0.5 * tone(44_100, 880)], axis=1), 44_100)
    left = MonoCut("left", 0.5, 1.0, 0, recording=stereo)
    return {
        "mono": left,
        "multi": MultiCut("both", 0.5, 1.0, [0, 1], recording=stereo),
        "mixed": left.mix(MonoCut("right", 0.5, 1.0, 1, recording=stereo), snr=20),
        "resampled": MonoCut("resampled", 0.5, 1.0, 0, recording=stereo.resample(8_000)),
    }


@pytest.mark.parametrize("kind", ["mono", "multi", "mixed", "resampled"])
def test_a_cut_of_any_kind_and_rate_becomes_one_channel_at_the_wanted_rate(tmp_path: Path, kind: str):
    waveform = cut_waveform(kinds_of_cut(tmp_path)[kind], RATE)
    assert waveform.shape == (RATE,)
    assert loudest_hz(waveform.numpy()) == pytest.approx(440, abs=2)


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (np.zeros(2 * RATE), "is silent"),
        (np.full(2 * RATE, 0.5), "is silent"),
        (np.where(np.arange(2 * RATE) == 9, np.nan, 0.1), "NaN or infinite"),
        (np.where(np.arange(2 * RATE) == 9, np.inf, 0.1), "NaN or infinite"),
    ],
    ids=["silent", "constant", "nan", "infinite"],
)
def test_audio_that_holds_nothing_is_refused_by_name(tmp_path: Path, samples: np.ndarray, words: str):
    cut = recording(tmp_path / "a.wav", samples, subtype="FLOAT").to_cut()
    with pytest.raises(AudioError, match=f"cut {cut.id}: .*{words}"):
        cut_waveform(cut, RATE)


def test_a_missing_or_unreadable_file_is_refused_by_name(tmp_path: Path):
    cut = recording(tmp_path / "a.wav", tone(RATE)).to_cut()
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioError, match=f"cut {cut.id}: .*a.wav cannot be read as audio"):
        cut_waveform(cut, RATE)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(AudioError, match=f"cut {cut.id}: its audio cannot be read"):
        cut_waveform(cut, RATE)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_a_file_of_another_rate_than_its_manifest_says_is_refused(tmp_path: Path, rate: int, mixed: bool):
    """At 8 kHz it has samples enough for the cut, and would come out an octave too high."""
    manifest = recording(tmp_path / "a.wav", tone(RATE))
    cut: Cut = MonoCut("c", 0.0, 1.0, 0, recording=manifest)
    if mixed:
        cut = cut.mix(recording(tmp_path / "b.wav", tone(RATE)).to_cut())
    soundfile.write(tmp_path / "a.wav", tone(rate, seconds=4.0), rate)
    with pytest.raises(AudioError, match=rf"a.wav has {rate} Hz, its manifest says {RATE} Hz"):
        cut_waveform(cut, RATE)
