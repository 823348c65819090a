"""Files that end too early, and files that were appended to each other."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from containers import (
    RATE,
    decoded,
    encode,
    flac_of_unknown_length,
    frames_of_mp3,
    id3,
    noise,
    ogg_flac,
    page,
    pages,
)
from inattention.audio.decoding import AudioError, open_audio, read_samples
from inattention.audio.reader import load_audio
from inattention.corpora.core.audio_facts import AudioJob
from inattention.corpora.core.audio_worker import read

SOUND = noise(2.0)
# With the seconds that the header promises; None where the format states none.
FORMATS = {
    "wav": (encode(SOUND), 2.0),
    "wavex": (encode(SOUND, "WAVEX", "PCM_24"), 2.0),
    "wav-float": (encode(SOUND, "WAV", "FLOAT"), 2.0),
    "wav-ulaw": (encode(SOUND, "WAV", "ULAW"), 2.0),
    "rf64": (encode(SOUND, "RF64"), 2.0),
    "w64": (encode(SOUND, "W64"), 2.0),
    "aiff": (encode(SOUND, "AIFF"), 2.0),
    "au": (encode(SOUND, "AU"), 2.0),
    "caf": (encode(SOUND, "CAF"), 2.0),
    "sphere": (encode(SOUND, "NIST"), 2.0),
    "voc": (encode(SOUND, "VOC"), 2.0),
    "svx": (encode(SOUND, "SVX", "PCM_16"), 2.0),
    "flac": (encode(SOUND, "FLAC"), 2.0),
    "ogg-flac": (ogg_flac(encode(SOUND, "FLAC")), 2.0),
    "mp3": (encode(SOUND, "MP3"), 2.0),
    "mp3-plain": (frames_of_mp3(SOUND), None),
    "vorbis": (encode(SOUND, "OGG", "VORBIS"), None),
    "opus": (encode(SOUND, "OGG", "OPUS"), None),
    "tagged-wav": (id3() + encode(SOUND), 2.0),
}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.75, 0.95])
def test_a_truncated_file_is_refused_with_its_seconds_or_kept_as_far_as_it_goes(
    tmp_path: Path, name: str, share: float
):
    data, promised = FORMATS[name]
    path = tmp_path / "cut.any"
    path.write_bytes(data[: round(share * len(data)) + 51])
    with pytest.raises(AudioError, match=r"cut.any: is truncated: .*; --truncated keep uses what is there") as caught:
        load_audio(path, RATE)
    found = re.search(r"truncated: ([0-9.]+) s(?: of ([0-9.]+) s)? can be read", str(caught.value))
    assert found is not None
    for decode in (False, True):
        with pytest.raises(AudioError, match=re.escape(found[0])):
            read(AudioJob(path=str(path), decode=decode))
    assert (found[2] is None) == (promised is None)
    if promised is not None:
        assert float(found[2]) == pytest.approx(promised, abs=0.02)
    kept = load_audio(path, RATE, truncated="keep")
    assert len(kept) / RATE == pytest.approx(float(found[1]), abs=0.001)
    whole = read_samples(io.BytesIO(data))[0]
    assert 0.15 * len(whole) < len(kept) < len(whole)
    torch.testing.assert_close(kept, torch.from_numpy(whole[: len(kept), 0]), atol=1e-6, rtol=0)
    for decode in (False, True):
        facts = read(AudioJob(path=str(path), decode=decode, truncated="keep"))
        assert facts.samples == len(kept)
        assert facts.damage.startswith("is truncated")
    np.testing.assert_array_equal(read_samples(path, first=1000, count=2000)[0][:, 0], kept[1000:3000].numpy())


@pytest.mark.parametrize("name", FORMATS)
def test_what_holds_nothing_is_refused_in_any_case(tmp_path: Path, name: str):
    for length in (1, 10, 20):
        (tmp_path / "cut.any").write_bytes(FORMATS[name][0][:length])
        with pytest.raises(AudioError):
            load_audio(tmp_path / "cut.any", RATE, truncated="keep")


def test_a_flac_of_unknown_length_that_ends_within_a_frame_is_truncated():
    data = flac_of_unknown_length(encode(SOUND, "FLAC"))
    with open_audio(io.BytesIO(data[:-5000])) as audio:
        assert audio.damage.startswith("is truncated: 1.792 s can be read")
    assert len(read_samples(io.BytesIO(data[:-5000]))[0]) == 28_672  # whole frames of 4096


def test_pages_that_are_missing_or_damaged_are_reported():
    data = encode(noise(4.0), "OGG", "VORBIS")
    own = pages(data)
    broken = bytearray(own[3])
    broken[200] ^= 1
    for odd in (own[:3] + own[4:], [*own[:3], bytes(broken), *own[4:]]):
        with open_audio(io.BytesIO(b"".join(odd))) as audio:
            assert "1 of its pages are missing or damaged" in audio.damage
    unmarked = [*own[:-1], page(own[-1], flags=0)]
    with open_audio(io.BytesIO(b"".join(unmarked))) as audio:
        assert audio.frames == 64_000
        assert "its last page is missing" in audio.damage


def test_a_wav_whose_header_counts_itself_is_whole():
    data = encode(SOUND)
    place = data.index(b"data") + 4
    longer = data[:place] + (len(data) - 8).to_bytes(4, "little") + data[place + 4 :]
    with open_audio(io.BytesIO(longer)) as audio:
        assert (audio.frames, audio.damage) == (32_000, "")


FIRST, SECOND = noise(0.7, seed=1), noise(0.9, seed=2)


@pytest.mark.parametrize(
    ("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("OGG", "FLAC")]
)
def test_all_parts_of_a_chain_are_read(tmp_path: Path, kind: str, subtype: str):
    def made(samples: np.ndarray) -> bytes:
        return ogg_flac(encode(samples, "FLAC")) if subtype == "FLAC" else encode(samples, kind, subtype)

    parts = [made(FIRST), made(SECOND), made(FIRST)]
    expected = np.concatenate([read_samples(io.BytesIO(part))[0] for part in parts])
    assert len(expected) == pytest.approx(2.3 * RATE, abs=10)
    path = tmp_path / "chain"
    path.write_bytes(b"".join(parts))
    np.testing.assert_array_equal(read_samples(path)[0], expected)
    np.testing.assert_array_equal(read_samples(path, first=9_000, count=20_000)[0], expected[9_000:29_000])
    for decode in (False, True):
        assert read(AudioJob(path=str(path), decode=decode)).samples == len(expected)
    path.write_bytes(b"".join(parts)[: -len(parts[-1]) // 3])
    with pytest.raises(AudioError, match="is truncated"):
        load_audio(path, RATE)


def test_mp3_frames_and_tags_may_follow_each_other_in_any_order():
    one, two = frames_of_mp3(FIRST), encode(SECOND, "MP3")
    expected = np.concatenate([read_samples(io.BytesIO(part))[0] for part in (one, two)])
    for between in (b"", id3(), b"TAG" + bytes(125), id3() + id3(2_000)):
        whole = read_samples(io.BytesIO(id3(100) + one + between + two))[0]
        np.testing.assert_array_equal(whole, expected)
    assert len(read_samples(io.BytesIO(one + one))[0]) == 2 * len(read_samples(io.BytesIO(one))[0])


@pytest.mark.parametrize("kind", ["OGG", "MP3"])
def test_parts_that_differ_in_rate_or_channels_are_refused(kind: str):
    part = encode(FIRST, kind)
    for other in (encode(noise(0.5, 44_100), kind, rate=44_100), encode(noise(0.5, channels=2), kind)):
        with pytest.raises(AudioError, match="has parts that differ: 1 channels at 16000 Hz, then"):
            read_samples(io.BytesIO(part + other))


def test_two_codecs_in_one_chain_are_joined():
    data = encode(FIRST, "OGG", "VORBIS") + encode(SECOND, "OGG", "OPUS")
    assert len(read_samples(io.BytesIO(data))[0]) == len(FIRST) + len(SECOND)
    assert len(decoded(data)) == len(FIRST)  # what libsndfile makes of it


PLAIN = ["FLAC", "MP3", "OGG", "AU", "CAF", "W64", "RF64", "NIST", "VOC", "SVX", "PAF", "WAVEX"]
HEADERS = [
    *(("WAV", kind) for kind in ("PCM_16", "IMA_ADPCM", "GSM610")),
    *(("AIFF", kind) for kind in ("PCM_16", "IMA_ADPCM")),
    *((kind, None) for kind in PLAIN),
]


@pytest.mark.parametrize(("kind", "subtype"), HEADERS)
@pytest.mark.parametrize("size", [4, 10, 20])
def test_a_file_that_ends_within_its_headers_is_truncated(kind: str, subtype: str | None, size: int):
    file = io.BytesIO()
    soundfile.write(file, noise(0.5), 16_000, format=kind, subtype=subtype)
    start = io.BytesIO(file.getvalue()[:size])
    with pytest.raises(AudioError, match="is truncated: nothing of it can be read"), open_audio(start):
        pass


@pytest.mark.parametrize("size", [4, 30, 100, 143])
def test_mp3_that_ends_within_its_first_frame_leaves_no_warning_of_the_decoder(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], size: int
):
    file = io.BytesIO()
    soundfile.write(file, noise(0.5), 16_000, format="MP3")
    tag = b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)
    for data in (file.getvalue()[:size], tag + file.getvalue()[:size], tag[:15]):
        (tmp_path / "a.mp3").write_bytes(data)
        with pytest.raises(AudioError, match="it ends within its headers"), open_audio(tmp_path / "a.mp3"):
            pass
    assert not capfd.readouterr().err


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\0\x05\x16\x07" + bytes(200), "is a macOS AppleDouble file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "is a web page"),
        ("texts".encode("utf-16"), "is text in UTF-16"),
        (b"RIFF\x04\0\0\0WAVE", "is truncated"),
        (b"RIFF\x2c\0\0\0WAVEJUNK\x20\0\0\0" + bytes(32), "cannot be read as audio"),
    ],
)
def test_what_stands_in_the_place_of_audio_is_named(tmp_path: Path, data: bytes, words: str):
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(AudioError, match=words), open_audio(tmp_path / "a.wav"):
        pass
