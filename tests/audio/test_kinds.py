"""What recordings sound like and how they are stored: each kind is read with its true values, or refused by name."""

import io
from pathlib import Path

import numpy as np
import pytest

from containers import RATE, encode, noise
from inattention.audio.decoding import open_audio, read_samples
from inattention.audio.reader import AudioError, load_audio
from inattention.corpora.core.audio_facts import AudioJob
from inattention.corpora.core.audio_worker import read

SOUND = noise(0.5)


@pytest.mark.parametrize(
    ("kind", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 1e-2),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "PCM_32", 1e-6),
        ("WAV", "FLOAT", 1e-7),
        ("WAV", "DOUBLE", 1e-7),
        ("WAV", "ULAW", 2e-2),
        ("WAV", "ALAW", 2e-2),
        ("WAV", "MS_ADPCM", 0.4),
        ("WAV", "IMA_ADPCM", 0.4),
        ("WAVEX", "PCM_16", 1e-4),
        ("WAVEX", "FLOAT", 1e-7),
        ("RF64", "PCM_24", 1e-6),
        ("AIFF", "PCM_S8", 1e-2),
        ("AU", "ALAW", 2e-2),
        ("CAF", "ALAC_24", 1e-6),
        ("FLAC", "PCM_S8", 1e-2),
        ("FLAC", "PCM_24", 1e-6),
        ("NIST", "ULAW", 2e-2),
    ],
)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_samples_have_their_values(kind: str, subtype: str, error: float, channels: int):
    if "ADPCM" in subtype and channels > 2:
        pytest.skip("for one or two channels")
    sound = noise(0.25, channels=channels)
    found, rate = read_samples(io.BytesIO(encode(sound, kind, subtype)))
    assert rate == RATE
    assert found.shape[1] == channels
    np.testing.assert_allclose(found[: len(sound)], sound, atol=error)


@pytest.mark.parametrize("rate", [1_000, 7_999, 11_025, 44_100, 96_000, 384_000, 768_000])
def test_any_rate_of_a_recorder_is_read(tmp_path: Path, rate: int):
    (tmp_path / "a.wav").write_bytes(encode(noise(0.25, rate), rate=rate))
    assert read(AudioJob(path=str(tmp_path / "a.wav"), decode=True)).rate == rate
    assert len(load_audio(tmp_path / "a.wav", RATE)) == pytest.approx(RATE / 4, abs=2)


def test_an_offset_and_clipping_are_no_fault(tmp_path: Path):
    for name, sound in (("offset", 0.5 * SOUND + 0.4), ("clipped", (20 * SOUND).clip(-1, 1))):
        (tmp_path / name).write_bytes(encode(sound, "WAV", "FLOAT"))
        np.testing.assert_array_equal(load_audio(tmp_path / name, RATE).numpy(), sound[:, 0])
    assert read(AudioJob(path=str(tmp_path / "clipped"), decode=True)).clipped > 0.3


def test_silence_is_refused_and_a_single_sample_too(tmp_path: Path):
    for sound in (0 * SOUND, 0 * SOUND + 0.25, SOUND[:1]):
        (tmp_path / "a.flac").write_bytes(encode(sound, "FLAC"))
        with pytest.raises(AudioError, match="is silent"):
            load_audio(tmp_path / "a.flac", RATE)


def test_one_frame_of_each_codec_is_read():
    for kind, subtype in (("WAV", None), ("FLAC", None), ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", None)):
        data = encode(SOUND[:200], kind, subtype)
        with open_audio(io.BytesIO(data)) as audio:
            assert audio.frames >= 200
            assert audio.damage == ""
