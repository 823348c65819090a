import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from inattention.audio.reader import AudioError, check_samples, load_audio, resample

RATE = 16_000


def tone(rate: int, hz: float = 440.0, seconds: float = 1.0) -> np.ndarray:
    return 0.4 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def loudest_hz(waveform: torch.Tensor, rate: int = RATE) -> float:
    spectrum = np.abs(np.fft.rfft(waveform.numpy() * np.hanning(len(waveform))))
    return float(spectrum.argmax() * rate / len(waveform))


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "opus", "aiff", "au", "caf", "w64"])
def test_every_kind_of_file_is_read(tmp_path: Path, suffix: str):
    path = tmp_path / f"tone.{suffix}"
    kind, subtype = ("OGG", "OPUS") if suffix == "opus" else (None, None)
    soundfile.write(path, tone(RATE), RATE, subtype, format=kind)
    waveform = load_audio(path, RATE)
    assert len(waveform) == RATE
    assert waveform.dtype == torch.float32
    assert loudest_hz(waveform) == pytest.approx(440, abs=1)
    assert waveform[4_000:12_000].abs().max() == pytest.approx(0.4, rel=0.05)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 44_101, 48_000, 96_000])
def test_a_tone_keeps_its_frequency_at_any_rate(tmp_path: Path, rate: int):
    soundfile.write(tmp_path / "tone.wav", tone(rate), rate)
    waveform = load_audio(tmp_path / "tone.wav", RATE)
    assert abs(len(waveform) - RATE) <= 1
    assert loudest_hz(waveform) == pytest.approx(440, abs=1)
    assert waveform[4_000:12_000].abs().max() == pytest.approx(0.4, rel=0.01)


def test_what_the_wanted_rate_cannot_hold_is_filtered_out():
    waveform = torch.from_numpy(tone(44_100, hz=12_000)).float()
    assert resample(waveform, 44_100, RATE)[2_000:-2_000].abs().max() < 0.01


def test_channels_are_averaged(tmp_path: Path):
    left, right = tone(RATE, 300), tone(RATE, 700)
    soundfile.write(tmp_path / "stereo.wav", np.stack([left, right], axis=1), RATE, subtype="FLOAT")
    expected = torch.from_numpy((left + right) / 2).float()
    torch.testing.assert_close(load_audio(tmp_path / "stereo.wav", RATE), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["with space.wav", "ünïcødé 日本語.wav", "line\nbreak.wav", b"no-utf-8-\xff.wav"])
def test_a_file_may_have_any_name(tmp_path: Path, name: str | bytes):
    soundfile.write(tmp_path / "plain.wav", tone(RATE), RATE)
    path = tmp_path / os.fsdecode(name)
    os.rename(tmp_path / "plain.wav", path)
    assert len(load_audio(path, RATE)) == RATE


def write_header_rate(path: Path, rate: int) -> None:
    soundfile.write(path, tone(RATE), RATE, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[24:28] = struct.pack("<I", rate)
    path.write_bytes(data)


@pytest.mark.parametrize("rate", [1, 999, 768_001, 2**31 - 1])
def test_a_rate_that_no_recording_has_is_refused(tmp_path: Path, rate: int):
    write_header_rate(tmp_path / "odd.wav", rate)
    with pytest.raises(AudioError, match=rf"odd.wav: its header says {rate} Hz"):
        load_audio(tmp_path / "odd.wav", RATE)
    with pytest.raises(AudioError, match=f"not {rate}"):
        resample(torch.zeros(10), rate, RATE)


def bad_files(folder: Path) -> dict[str, str]:
    """Write files that cannot be used; give the words that should say so."""
    (folder / "nothing.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no audio\n" * 100)
    (folder / "junk.mp3").write_bytes(np.random.default_rng(0).bytes(3_000))
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "constant.flac", np.full(RATE, 0.5), 44_100)
    soundfile.write(folder / "opposite.wav", np.stack([tone(RATE), -tone(RATE)], axis=1), RATE)
    dither = np.random.default_rng(0).integers(-1, 2, RATE) / 2**15
    soundfile.write(folder / "dither.wav", dither, RATE)
    for name, junk in (("nan", np.nan), ("infinite", np.inf)):
        samples = tone(RATE)
        samples[77] = junk
        soundfile.write(folder / f"{name}.wav", samples, RATE, subtype="FLOAT")
    soundfile.write(folder / "overflowing.wav", np.full((RATE, 2), 3e38), RATE, subtype="FLOAT")
    soundfile.write(folder / "whole.ogg", tone(RATE), RATE)
    (folder / "cut-off.ogg").write_bytes((folder / "whole.ogg").read_bytes()[:2_000])
    soundfile.write(folder / "long.flac", tone(RATE), RATE)
    data = bytearray((folder / "long.flac").read_bytes())
    data[21] |= 0x0F  # the header now speaks of 2^36 samples
    data[22:26] = b"\xff" * 4
    (folder / "long.flac").write_bytes(data)
    return {
        "missing.wav": "no such file",
        "nothing.wav": "cannot be read as audio",
        "text.wav": "cannot be read as audio",
        "junk.mp3": "cannot be read as audio",
        "empty.wav": "no samples",
        "silent.wav": r"is silent \(its samples lie between 0 and 0\)",
        "constant.flac": "is silent",
        "opposite.wav": "is silent",
        "dither.wav": "is silent",
        "nan.wav": "NaN or infinite",
        "infinite.wav": "NaN or infinite",
        "overflowing.wav": "NaN or infinite",
        "cut-off.ogg": "is truncated",
        "long.flac": "is truncated: 1.000 s of 4294967.296 s can be read",
    }


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path):
    for name, words in bad_files(tmp_path).items():
        with pytest.raises(AudioError, match=words) as caught:
            load_audio(tmp_path / name, RATE)
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}: ")
        assert "\n" not in message
        assert message.count(str(tmp_path)) == 1


def test_a_folder_is_no_file(tmp_path: Path):
    with pytest.raises(AudioError, match="no such file"):
        load_audio(tmp_path, RATE)


def test_quiet_speech_is_not_silence():
    check_samples(1e-3 * torch.randn(1000))
    with pytest.raises(AudioError, match="cut 7: is silent"):
        check_samples(1e-5 * torch.randn(1000), "cut 7")
