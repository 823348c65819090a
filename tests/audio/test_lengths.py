"""Headers that do not state a usable length: the length is what can be decoded, and a piece is a part of the whole."""

import io
from pathlib import Path

import numpy as np
import pytest

from containers import (
    decoded,
    encode,
    flac_of_unknown_length,
    frames_of_mp3,
    id3,
    noise,
    ogg_flac,
    page,
    pages,
    patched,
)
from inattention.audio.decoding import AudioError, open_audio, read_samples
from inattention.audio.reader import load_audio
from inattention.corpora.core.audio_facts import AudioJob
from inattention.corpora.core.audio_worker import read

SOUND = noise()
WAV, FLAC = encode(SOUND), encode(SOUND, "FLAC")
LIST = b"LIST\x04\0\0\0INFO"


def everything_agrees(data: bytes, folder: Path) -> np.ndarray:
    """Read a file in every way that commands do, and return its samples."""
    path = folder / "sound.any"
    path.write_bytes(data)
    whole, rate = read_samples(path)
    assert len(whole)
    for source in (path, str(path), io.BytesIO(data)):
        with open_audio(source) as audio:  # before anything is decoded
            assert audio.frames == len(whole)
            assert audio.damage == ""
    for first, count in ((0, 100), (5000, 3000), (len(whole) - 10, 100), (len(whole) + 5, 10), (0, 10**9)):
        np.testing.assert_array_equal(read_samples(path, first=first, count=count)[0], whole[first : first + count])
    for decode in (False, True):
        facts = read(AudioJob(path=str(path), decode=decode))
        assert (facts.samples, facts.rate, facts.channels) == (len(whole), rate, whole.shape[1])
    np.testing.assert_array_equal(load_audio(path, rate).numpy(), whole.mean(1))
    return whole


def wav(data_size: int, riff_size: int | None, tail: bytes = b"") -> bytes:
    data = patched(WAV, WAV.index(b"data") + 4, "<I", data_size)
    return (data if riff_size is None else patched(data, 4, "<I", riff_size)) + tail


@pytest.mark.parametrize("data_size", [0, 0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 0xFFFF_FFDB])
@pytest.mark.parametrize("riff_size", [None, 0, 36, 0xFFFF_FFFF])
def test_a_wav_from_a_pipe_lasts_as_long_as_its_samples(tmp_path: Path, data_size: int, riff_size: int | None):
    np.testing.assert_array_equal(everything_agrees(wav(data_size, riff_size), tmp_path), decoded(WAV))


@pytest.mark.parametrize("riff_size", [0, 36, 100, 10**9, 0xFFFF_FFFF])
def test_a_wrong_size_of_the_file_does_not_matter(tmp_path: Path, riff_size: int):
    data = patched(WAV, 4, "<I", riff_size) + LIST
    np.testing.assert_array_equal(everything_agrees(data, tmp_path), decoded(WAV))


def test_an_empty_wav_is_empty_whatever_follows(tmp_path: Path):
    for data in (encode(SOUND[:0]), encode(SOUND[:0]) + LIST):
        assert len(read_samples(io.BytesIO(data))[0]) == 0


@pytest.mark.parametrize("size", [0, 0x7FFF_FFFF, 0xFFFF_FFFF])
def test_au_and_aiff_of_unknown_length(tmp_path: Path, size: int):
    au, aiff = encode(SOUND, "AU"), encode(SOUND, "AIFF")
    np.testing.assert_array_equal(everything_agrees(patched(au, 8, ">I", size), tmp_path), decoded(au))
    unknown = patched(patched(aiff, aiff.index(b"SSND") + 4, ">I", size), aiff.index(b"COMM") + 10, ">I", size)
    np.testing.assert_array_equal(everything_agrees(unknown, tmp_path), decoded(aiff))


@pytest.mark.parametrize("size", [0, -1])
def test_caf_w64_and_rf64_of_unknown_length(tmp_path: Path, size: int):
    caf, w64, rf64 = (encode(SOUND, kind) for kind in ("CAF", "W64", "RF64"))
    for data, place, kind in (
        (caf, caf.index(b"data") + 4, ">q"),
        (w64, w64.index(b"data") + 16, "<q"),
        (rf64, rf64.index(b"ds64") + 16, "<q"),
    ):
        np.testing.assert_array_equal(everything_agrees(patched(data, place, kind, size), tmp_path), decoded(data))


def test_a_sphere_without_a_count_of_samples(tmp_path: Path):
    data = encode(SOUND, "NIST")
    without = data.replace(b"sample_count", b"xxmple_count")
    np.testing.assert_array_equal(everything_agrees(without, tmp_path), decoded(data))


@pytest.mark.parametrize("prefix", [b"", id3()])
@pytest.mark.parametrize("suffix", [b"", b"TAG" + bytes(125)])
def test_a_flac_of_unknown_length(tmp_path: Path, prefix: bytes, suffix: bytes):
    data = prefix + flac_of_unknown_length(FLAC) + suffix
    np.testing.assert_array_equal(everything_agrees(data, tmp_path), decoded(FLAC))
    np.testing.assert_array_equal(everything_agrees(prefix + FLAC + suffix, tmp_path), decoded(FLAC))


@pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("mode", ["CONSTANT", "VARIABLE"])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_without_a_header_of_its_length(tmp_path: Path, rate: int, mode: str, channels: int):
    sound = noise(1.5, rate, channels)
    sound[rate // 2 :] *= 0.001  # the first frames are larger than the others, by which libsndfile would estimate
    data = frames_of_mp3(sound, rate, bitrate_mode=mode)
    frame = 1152 if rate >= 32_000 else 576
    whole = everything_agrees(data, tmp_path)
    assert len(whole) % frame == 0
    assert 1.5 * rate <= len(whole) <= 1.5 * rate + 4 * frame


@pytest.mark.parametrize("size", [35, 300_000])
def test_tags_around_an_mp3_change_nothing(tmp_path: Path, size: int):
    ape = b"APETAGEX" + bytes(4) + (40).to_bytes(4, "little") + bytes(4) + b"\0\0\0\x80" + bytes(8)
    for mp3 in (frames_of_mp3(SOUND), encode(SOUND, "MP3")):
        expected = everything_agrees(mp3, tmp_path)
        for data in (
            id3(size) + mp3,
            id3(size, version=3) + id3(20) + mp3,
            mp3 + b"TAG" + bytes(125),
            mp3 + ape + b"TAG" + bytes(125),
            bytes(3_000) + mp3,
            b"junk" * 50 + mp3,
            mp3 + b"junk" * 50,
        ):
            np.testing.assert_array_equal(everything_agrees(data, tmp_path), expected)


def test_an_mp3_whose_header_states_the_length_is_read_as_libsndfile_does(tmp_path: Path):
    for rate in (16_000, 22_050, 44_100):
        data = encode(noise(2.0, rate), "MP3", rate=rate)
        np.testing.assert_array_equal(everything_agrees(data, tmp_path), decoded(data))


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_an_ogg_whose_positions_are_wrong(tmp_path: Path, subtype: str):
    data = encode(noise(3.0), "OGG", subtype)
    expected, own = everything_agrees(data, tmp_path), pages(data)
    np.testing.assert_array_equal(expected, decoded(data))
    for position in (-1, 0, 10**9):
        wrong = b"".join(own[:-1]) + page(own[-1], position=position)
        whole = everything_agrees(wrong, tmp_path)
        assert 0 <= len(whole) - len(expected) < 2048  # what the last block holds beyond the end
        np.testing.assert_array_equal(whole[: len(expected)], expected)
    later = [page(p, position=int.from_bytes(p[6:14], "little") + 10**6) if i > 1 else p for i, p in enumerate(own)]
    np.testing.assert_array_equal(everything_agrees(b"".join(later), tmp_path), expected)
    for odd in (b"junk" * 9 + data, data + b"junk" * 9, own[0] + own[1] + b"junk" + b"".join(own[2:])):
        np.testing.assert_array_equal(everything_agrees(odd, tmp_path), expected)


def test_flac_in_ogg_is_flac(tmp_path: Path):
    for data in (FLAC, flac_of_unknown_length(FLAC)):
        np.testing.assert_array_equal(everything_agrees(ogg_flac(data), tmp_path), decoded(FLAC))


@pytest.mark.parametrize("data", [WAV, encode(SOUND, "AIFF"), encode(SOUND, "OGG"), encode(SOUND, "AU")])
def test_a_tag_before_any_format_is_no_sound(tmp_path: Path, data: bytes):
    np.testing.assert_array_equal(everything_agrees(id3() + data, tmp_path), decoded(data))


def test_a_piece_of_any_codec_is_that_part_of_the_whole(tmp_path: Path):
    sound = noise(4.0)
    for kind, subtype in (
        ("WAV", "MS_ADPCM"),
        ("WAV", "IMA_ADPCM"),
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("CAF", "ALAC_16"),
        ("FLAC", "PCM_24"),
        ("OGG", "OPUS"),
        ("OGG", "VORBIS"),
        ("MP3", "MPEG_LAYER_III"),
    ):
        everything_agrees(encode(sound, kind, subtype), tmp_path)


def test_flac_streams_that_were_joined_are_read_to_the_end(tmp_path: Path):
    short = encode(noise(0.5), "FLAC")
    both = np.concatenate([decoded(FLAC), decoded(short)])
    tag = b"ID3\x04\0\0\0\0\x07\x68" + bytes(1000)
    for between in (b"", tag, b"TAG" + bytes(125)):
        np.testing.assert_array_equal(everything_agrees(FLAC + between + short, tmp_path), both)


def test_a_second_flac_stream_that_is_truncated_is_reported():
    with open_audio(io.BytesIO(FLAC + FLAC[: -len(FLAC) // 4])) as audio:
        assert len(SOUND) < audio.frames < 2 * len(SOUND)
        assert audio.damage.startswith("is truncated")
        assert f"of {2 * len(SOUND) / 16_000:.3f} s" in audio.damage


@pytest.mark.parametrize("kind", ["WAV", "RF64", "AIFF", "AU", "CAF", "W64", "NIST", "VOC"])
def test_other_files_that_were_joined_are_refused_with_the_reason(kind: str):
    data = encode(SOUND, kind)
    with pytest.raises(AudioError, match="another file was appended"), open_audio(io.BytesIO(data + data)):
        pass
    with pytest.raises(AudioError, match="another file was appended"), open_audio(io.BytesIO(FLAC + WAV)):
        pass
