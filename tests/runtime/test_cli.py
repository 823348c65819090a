"""``inattention-runtime extract``: resumable, and bad files are reported and counted."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from inattention_runtime.cli import main
from made_onnx import ABOUT, made_onnx


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with an encoder and three files, one of them silent."""
    made_onnx(tmp_path / "made.onnx")
    (tmp_path / "in/deep").mkdir(parents=True)
    wave = 0.1 * np.random.default_rng(0).standard_normal(16_000)
    soundfile.write(tmp_path / "in/a.wav", wave, 16_000)
    soundfile.write(tmp_path / "in/deep/b.flac", wave, 8_000)
    soundfile.write(tmp_path / "in/silent.wav", 0 * wave, 16_000)
    (tmp_path / "in/notes.txt").write_text("no audio")
    return tmp_path


def extract(folder: Path, *options: str) -> int:
    words = ["extract", str(folder / "made.onnx"), str(folder / "in"), "--out", str(folder / "out"), *options]
    return main([*words, "--threads", "1"])


def test_every_recording_and_a_count_of_what_could_not_be_used(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert extract(folder) == 1
    out, err = capsys.readouterr()
    assert "2 of 3 files extracted, 0 were done before, 1 could not be used" in out
    assert "silent.wav: is silent" in err
    assert np.load(folder / "out/a.wav.npy").shape == (27, 24)
    assert np.load(folder / "out/deep/b.flac.times.npy").shape == np.load(folder / "out/deep/b.flac.npy").shape[:1]
    assert not list(folder.rglob("*.writing"))


def test_run_again_it_resumes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(folder)
    (folder / "out/a.wav.npy").unlink()
    (folder / "in/silent.wav").unlink()
    capsys.readouterr()
    assert extract(folder) == 0
    assert "1 of 2 files extracted, 1 were done before" in capsys.readouterr().out
    assert (folder / "out/a.wav.npy").is_file()


def test_another_encoder_does_not_continue_in_the_same_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extract(folder)
    made_onnx(folder / "made.onnx", scale=3.0)
    assert extract(folder) == 2
    assert "features of another encoder" in capsys.readouterr().err
    assert extract(folder, "--overwrite") == 1


def test_mistakes_end_with_the_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other").mkdir()
    (folder / "other/x").write_text("x")
    made_onnx(folder / "bad.onnx", {**ABOUT, "format": 9})
    for words, reason in (
        (["made.onnx", "nowhere", "--out", "out"], "there is no such folder"),
        (["made.onnx", "in", "--out", "other"], "no extraction"),
        (["made.onnx", "in", "--out", "out", "--layer", "1"], "no hidden state 1"),
        (["bad.onnx", "in", "--out", "out"], "format 9"),
        (["made.onnx", "other", "--out", "out"], "no audio files"),
    ):
        places = [word if word.startswith("--") or word == "1" else str(folder / word) for word in words]
        assert main(["extract", *places]) == 2
        assert reason in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_a_link_does_not_lead_out_of_the_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "elsewhere").mkdir()
    extract(folder)
    for path in (folder / "out/deep").iterdir():
        path.unlink()
    (folder / "out/deep").rmdir()
    (folder / "out/deep").symlink_to(folder / "elsewhere")
    assert extract(folder) == 1
    assert "leads out of it" in capsys.readouterr().err
    assert not list((folder / "elsewhere").iterdir())
