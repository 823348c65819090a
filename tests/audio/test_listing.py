import os
from pathlib import Path

import pytest

from containers import encode, noise
from inattention.audio.decoding import AudioError
from inattention.audio.listing import audio_files, list_audio

WAV = encode(noise(0.1))


def put(path: Path, data: bytes = WAV) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def test_the_audio_files_below_a_folder_are_listed_in_order(tmp_path: Path):
    for name in ("b.WAV", "a.flac", "deep/er/c.mp3", "deep/d.ogg", "no suffix"):
        put(tmp_path / "in" / name)
    put(tmp_path / "in" / "notes.txt", b"text")
    put(tmp_path / "elsewhere" / "e.wav")
    (tmp_path / "in" / "folder.wav").mkdir()
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    (tmp_path / "in" / "away").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "link.wav").symlink_to(tmp_path / "elsewhere" / "e.wav")
    (tmp_path / "in" / "broken.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "in" / "pipe.wav")
    found = list_audio(tmp_path / "in")
    names = [path.relative_to(tmp_path / "in").as_posix() for path in found.files]
    assert names == ["a.flac", "b.WAV", "deep/d.ogg", "deep/er/c.mp3", "link.wav", "no suffix"]
    assert not found.ignored
    assert {path.name: reason for path, reason in found.bad.items()} == {
        "broken.wav": f"is a link to {tmp_path / 'nowhere.wav'}, which does not exist",
        "pipe.wav": "is no plain file",
    }


def test_a_single_pipe_or_lost_link_is_described(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "lost").symlink_to("nowhere")
    for name, reason in {"pipe": "is no plain file", "lost": "is a link to nowhere, which does not exist"}.items():
        with pytest.raises(AudioError, match=reason):
            list_audio(tmp_path / name)


def test_litter_and_other_formats_are_counted(tmp_path: Path):
    for name in ("._a.wav", ".DS_Store", "__MACOSX/deep/._b.wav", "__MACOSX/c.wav", "@eaDir/d.wav"):
        put(tmp_path / name, b"\0\x05\x16\x07")
    put(tmp_path / "empty.wav", b"")
    for name in ("a.m4a", "b.m4a", "c.webm"):
        put(tmp_path / name, b"????")
    put(tmp_path / "a.wav")
    found = list_audio(tmp_path)
    assert found.files == [tmp_path / "a.wav"]
    assert found.ignored == {
        "macOS AppleDouble file": 1,
        "macOS file": 1,
        "file in a macOS folder": 2,
        "file in a NAS folder": 1,
        "empty file": 1,
        "MP4 or M4A: convert with `ffmpeg -i FILE FILE.wav`": 2,
        "Matroska or WebM: convert with `ffmpeg -i FILE FILE.wav`": 1,
    }


def test_a_single_file_is_listed_whatever_it_is(tmp_path: Path):
    put(tmp_path / "speech.txt")
    assert audio_files(tmp_path / "speech.txt") == [tmp_path / "speech.txt"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(AudioError, match="nowhere: there is no such folder"):
        audio_files(tmp_path / "nowhere")
