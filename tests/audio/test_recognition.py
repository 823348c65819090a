import io
from pathlib import Path

import pytest

from containers import encode, frames_of_mp3, id3, noise
from inattention.audio.decoding import AudioError, read_samples
from inattention.audio.recognition import Recognised, litter_folder, recognise

SOUND = noise(0.5)
PLAIN = ("WAV", "WAVEX", "RF64", "W64", "AIFF", "AU", "CAF", "FLAC", "MP3", "NIST", "VOC", "AVR")
SUBTYPES = {"OGG": "OPUS", "SVX": "PCM_16", "PAF": "PCM_16", "IRCAM": "PCM_16", "PVF": "PCM_16"}
AUDIO = {
    **{kind: encode(SOUND, kind, SUBTYPES.get(kind)) for kind in (*PLAIN, *SUBTYPES)},
    "plain MP3": frames_of_mp3(SOUND),
    "tagged MP3": id3(5_000) + frames_of_mp3(SOUND),
}


def of(folder: Path, name: str, data: bytes) -> Recognised:
    (folder / name).write_bytes(data)
    return recognise(folder / name, len(data))


@pytest.mark.parametrize("kind", AUDIO)
def test_audio_is_recognised_by_its_content_and_read_under_any_name(tmp_path: Path, kind: str):
    expected = read_samples(io.BytesIO(AUDIO[kind]))[0]
    assert len(expected) >= len(SOUND)
    for name in ("a.oga", "a.sph", "a.WAV", "a.mp3", "a", "a.snd", "a.gsm", "a.au", "1.5 seconds", "._a.wav"):
        assert of(tmp_path, name, AUDIO[kind]).kind == "audio"
        assert len(read_samples(tmp_path / name)[0]) == len(expected)


@pytest.mark.parametrize(
    ("name", "start", "what"),
    [
        ("a.m4a", b"\0\0\0\x20ftypM4A ", "MP4 or M4A"),
        ("a.wav", b"\0\0\0\x1cftypisom", "MP4 or M4A"),
        ("a.webm", b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
        ("a.opus", b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
        ("a.amr", b"#!AMR\n", "AMR"),
        ("a.wma", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
        ("a.aac", b"\xff\xf1\x50\x80", "AAC"),
        ("a.wv", b"wvpk", "WavPack"),
        ("a.gsm", b"\xd2\x44", "GSM 06.10"),
        ("a.3gp", b"", "MP4 or M4A"),
        ("a.MKV", b"?", "Matroska or WebM"),
        ("a.raw", b"\1\2", "headerless"),
        ("a.spx", b"OggS" + bytes(24) + b"Speex   ", "Speex"),
        ("a.sph", b"NIST_1A\n   1024\nsample_coding -s26 pcm,embedded-shorten-v2.00\n", "Shorten in SPHERE"),
    ],
)
def test_formats_for_other_programs_are_named_with_the_command(tmp_path: Path, name: str, start: bytes, what: str):
    found = of(tmp_path, name, start + bytes(300))
    assert (found.kind, found.what) == ("unsupported", what)
    assert "convert with `" in found.category


def test_reading_such_a_format_names_the_command_too(tmp_path: Path):
    (tmp_path / "a.wav").write_bytes(b"\0\0\0\x20ftypM4A " + bytes(200))
    with pytest.raises(AudioError, match=r"is MP4 or M4A, .*: convert with `ffmpeg -i FILE FILE.wav`"):
        read_samples(tmp_path / "a.wav")


@pytest.mark.parametrize(
    "name",
    [
        *("._a.wav", "._a.mp3", ".DS_Store", "Thumbs.db", "desktop.ini", "DESKTOP.INI", "Icon\r"),
        *("a.wav~", "#a.wav#", ".a.wav.swp", ".#a.wav", "~$a.wav", "a.wav.part", "a.mp3.crdownload", ".nfs000012"),
        "a.wav.reapeaks",
    ],
)
def test_litter_is_known_by_its_name(tmp_path: Path, name: str):
    found = of(tmp_path, name, b"\0\x05\x16\x07" + bytes(100))
    assert found.kind == "litter"
    assert found.category


def test_an_empty_file_is_litter_where_audio_is_expected(tmp_path: Path):
    for name in ("a.wav", "a.m4a", "a"):
        assert of(tmp_path, name, b"") == Recognised("litter", "empty file")
    assert of(tmp_path, "a.txt", b"").kind == "other"


def test_other_files_are_no_audio(tmp_path: Path):
    junk = bytes(range(256)) * 20
    for name, data in (
        ("a.txt", AUDIO["WAV"]),
        ("a.TextGrid", AUDIO["WAV"]),
        ("README", b"text\n" * 100),
        ("a.xyz", junk),
        ("utf-16", "text".encode("utf-16") * 100),
        ("ones", b"\xff" * 5000),
    ):
        assert of(tmp_path, name, data).kind == "other", name
    assert of(tmp_path, "a.wav", junk).kind == "audio"  # damaged: its reader says how


@pytest.mark.parametrize(
    "name", ["__MACOSX", "@eaDir", ".git", "$RECYCLE.BIN", ".Trash-1000", "System Volume Information"]
)
def test_folders_of_litter_are_known(name: str):
    assert litter_folder(name)
    assert not litter_folder(name + "s of speech")


def test_a_file_that_cannot_be_opened_is_judged_by_its_name(tmp_path: Path):
    assert recognise(tmp_path / "gone.wav", 100).kind == "audio"
    assert recognise(tmp_path / "gone", 100).kind == "other"
