import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from extractions import RATE, contents, extract, files_in, read, refuses, sound, write_bad_files, write_good_files
from inattention.encoders.extraction import run as extraction
from inattention.encoders.extraction.config import ExtractionConfig
from inattention.encoders.extraction.encoders import fingerprint
from inattention.encoders.extraction.folder import INDEX_FILE
from inattention.model.encoder import Encoder
from inattention.model.transformer import AudioTransformer, ModelFolderError
from small_models import SMALL_FEATURES, small_model


def test_every_recording_has_the_features_that_it_has_alone(model: str, tmp_path: Path):
    seconds = write_good_files(tmp_path / "in")
    summary = extract(model, tmp_path / "in", tmp_path / "out")
    assert files_in(tmp_path / "out") == sorted([INDEX_FILE, *(f"{name}.safetensors" for name in seconds)])
    encoder = AudioTransformer.from_pretrained(model)
    for name, length in seconds.items():
        features, times, metadata = read(tmp_path / "out" / f"{name}.safetensors")
        alone = encoder.extract(tmp_path / "in" / name)
        torch.testing.assert_close(features, alone.values, atol=2e-5, rtol=0)
        assert torch.equal(times, alone.times)
        assert features.dtype == torch.float32
        assert times.dtype == torch.float64
        assert len(features) == pytest.approx(length / 0.0375, abs=1.5)
        assert float(metadata["step_seconds"]) == SMALL_FEATURES.step_seconds
        assert float(metadata["first_center_seconds"]) == SMALL_FEATURES.first_center_seconds
        assert (metadata["layer"], metadata["model"], metadata["source"]) == ("2", model, name)
    assert (summary.files, summary.extracted, summary.done_before, summary.bad) == (7, 7, 0, 0)
    assert summary.audio_seconds == pytest.approx(12.0, abs=0.3)
    assert summary.audio_hours == pytest.approx(summary.audio_seconds / 3600)
    assert summary.audio_seconds_per_second == pytest.approx(summary.audio_seconds / summary.wall_seconds)


@pytest.mark.parametrize("batch_seconds", [0.001, 1.0, 1000.0])
def test_features_do_not_depend_on_the_batch_size(model: str, recordings: Path, tmp_path: Path, batch_seconds: float):
    extract(model, recordings, tmp_path / "one")
    extract(model, recordings, tmp_path / "two", batch_seconds=batch_seconds)
    for name in contents(tmp_path / "one"):
        one, two = (read(tmp_path / out / name)[0] for out in ("one", "two"))
        torch.testing.assert_close(one, two, atol=2e-5, rtol=0)


def test_no_batch_is_larger_than_requested(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes = []
    forward = Encoder.forward

    def spy(self: Encoder, features: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(features.shape[0] * features.shape[1] * SMALL_FEATURES.step_seconds)
        return forward(self, features, *rest, **options)

    monkeypatch.setattr(Encoder, "forward", spy)
    extract(model, recordings, tmp_path / "out", batch_seconds=4.0)
    assert max(sizes) <= 4.0
    assert len(sizes) < 7  # some have company


def test_recordings_of_similar_lengths_share_a_batch(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In their own order, each short one would be between two long ones, and none would share a batch."""
    for number in range(30):
        soundfile.write(tmp_path / f"{number:02d}.wav", sound(0.3 + 1.2 * (number % 2)), RATE)
    forward, sizes = Encoder.forward, []

    def spy(self: Encoder, features: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(len(features))
        return forward(self, features, *rest, **options)

    monkeypatch.setattr(Encoder, "forward", spy)
    extract(model, tmp_path, tmp_path / "out", batch_seconds=2.0)
    assert sum(sizes) == 30
    assert len(sizes) <= 15 + 5  # 15 long ones, and the short ones of two windows


def test_npy_is_two_files_per_recording(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "one")
    extract(model, recordings, tmp_path / "two", format="npy")
    names = [name.removesuffix(".safetensors") for name in contents(tmp_path / "one")]
    assert set(contents(tmp_path / "two")) == {f"{name}{kind}" for name in names for kind in (".npy", ".times.npy")}
    for name in names:
        features, times, _ = read(tmp_path / "one" / f"{name}.safetensors")
        np.testing.assert_array_equal(np.load(tmp_path / "two" / f"{name}.npy"), features.numpy())
        np.testing.assert_array_equal(np.load(tmp_path / "two" / f"{name}.times.npy"), times.numpy())


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_any_layer_can_be_extracted(model: str, tmp_path: Path, layer: int):
    soundfile.write(tmp_path / "a.wav", sound(1.0), RATE)
    extract(model, tmp_path, tmp_path / "out", layer=layer)
    features, _, metadata = read(tmp_path / "out" / "a.wav.safetensors")
    expected = AudioTransformer.from_pretrained(model).extract(tmp_path / "a.wav", layer=layer).values
    torch.testing.assert_close(features, expected, atol=2e-5, rtol=0)
    assert metadata["layer"] == str(layer % 3)


def test_bad_files_are_reported_and_counted_and_affect_no_other(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bad = write_bad_files(recordings)
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary.files, summary.extracted, summary.bad) == (12, 7, 5)
    assert set(summary.bad_files) == set(bad)
    reported = capsys.readouterr().err.splitlines()
    for name, words in bad.items():
        (line,) = [line for line in reported if name in line]
        assert line.startswith(f"skipped {recordings / name}: ")
        assert words in line
        assert words in summary.bad_files[name]
    assert len(contents(tmp_path / "out")) == 7
    assert json.loads((tmp_path / "out" / INDEX_FILE).read_text())["bad_files"] == summary.bad_files


def test_a_repaired_file_is_extracted(model: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_text("not yet")
    assert extract(model, tmp_path / "in", tmp_path / "out").bad == 1
    soundfile.write(tmp_path / "in" / "a.wav", sound(1.0), RATE)
    summary = extract(model, tmp_path / "in", tmp_path / "out")
    assert (summary.extracted, summary.bad) == (1, 0)
    assert json.loads((tmp_path / "out" / INDEX_FILE).read_text())["bad_files"] == {}


def test_a_name_may_contain_line_breaks_and_invalid_encodings(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    odd = recordings / os.fsdecode(b"odd\n\xff.wav")
    os.rename(recordings / "plain.wav", odd)
    (recordings / "bad\n.wav").write_text("no audio")
    assert extract(model, recordings, tmp_path / "out").extracted == 1
    assert extract(model, recordings, tmp_path / "out").done_before == 1
    (path,) = (tmp_path / "out").glob("odd*")
    os.rename(path, tmp_path / "plain.safetensors")  # safetensors opens no other names
    assert read(tmp_path / "plain.safetensors")[2]["source"] == r"odd\n\xff.wav"
    assert len(capsys.readouterr().err.splitlines()) == 2


def test_nan_features_are_reported_for_each_file(tmp_path: Path, recordings: Path):
    model = small_model()
    with torch.no_grad():
        model.encoder.embed.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "model")
    summary = extract(str(tmp_path / "model"), recordings, tmp_path / "out")
    assert (summary.extracted, summary.bad) == (0, 7)
    assert all("NaN or infinite" in reason for reason in summary.bad_files.values())


def test_extractions_without_possible_result_are_refused(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    refuses(lambda: extract(model, tmp_path / "empty", out), "empty: contains no audio files")
    refuses(lambda: extract(model, tmp_path / "none", out), "none: there is no such folder", ValueError)
    refuses(lambda: extract(str(tmp_path / "none"), recordings, out), "there is no such folder", ModelFolderError)
    refuses(lambda: extract(model, recordings, out, layer=3), "no layer 3", ValueError)
    refuses(lambda: extract(model, recordings, out, batch_seconds=0.0), "batch_seconds", ValueError)
    refuses(lambda: extract(model, recordings, out, device="teapot"), "device 'teapot' cannot be used")
    refuses(lambda: extract(model, recordings, recordings / "a.wav"), "cannot be written to")
    assert not out.exists()


def test_a_fingerprint_is_of_settings_and_weights():
    one = fingerprint(small_model())
    assert one == fingerprint(small_model())
    assert one != fingerprint(small_model(seed=1))
    assert one != fingerprint(small_model(dropout=0.1))
    assert fingerprint(small_model().bfloat16()) != one


def test_progress_goes_to_stderr_alone(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("inattention.progress.SECONDS_BETWEEN_LINES", 0.0)
    extract(model, recordings, tmp_path / "out", progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "7 of 7 files" in captured.err
    assert "s of audio a second" in captured.err
    extract(model, recordings, tmp_path / "out", progress=True)
    assert capsys.readouterr().err == ""


def test_memory_does_not_grow_with_the_folder(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At most a window of recordings, and a few that are read ahead, are in memory at once."""
    (tmp_path / "in").mkdir()
    for number in range(60):
        soundfile.write(tmp_path / "in" / f"{number:02d}.wav", sound(0.5, seed=number), RATE)
    read_one, write, held, most = extraction._read, extraction.ExtractionFolder.write, [0], [0]

    def reading(*arguments: Any) -> torch.Tensor:
        steps = read_one(*arguments)
        held[0] += 1
        most[0] = max(most[0], held[0])
        return steps

    def writing(*arguments: Any) -> None:
        held[0] -= 1
        write(*arguments)

    monkeypatch.setattr(extraction, "_read", reading)
    monkeypatch.setattr(extraction.ExtractionFolder, "write", writing)
    summary = extract(model, tmp_path / "in", tmp_path / "out", batch_seconds=1.0)
    assert summary.extracted == 60
    assert most[0] <= 8 * 2 + 1 + 5


def test_the_settings_of_the_command_are_those_of_the_function():
    assert ExtractionConfig() == ExtractionConfig(
        layer=-1, format="safetensors", batch_seconds=120.0, device="auto", overwrite=False
    )
    with pytest.raises(ValueError, match="batch_seconds must be above 0"):
        ExtractionConfig(batch_seconds=float("nan"))


def test_a_single_file_is_extracted_as_in_a_folder(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "all")
    summary = extract(model, recordings / "a.wav", tmp_path / "one")
    assert (summary.files, summary.extracted) == (1, 1)
    one, two = (read(tmp_path / out / "a.wav.safetensors")[0] for out in ("one", "all"))
    torch.testing.assert_close(one, two, atol=2e-5, rtol=0)


def test_truncated_files_are_skipped_or_kept_and_litter_is_counted(model: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "a.wav", sound(2.0), RATE)
    (tmp_path / "in" / "a.wav").write_bytes((tmp_path / "in" / "a.wav").read_bytes()[:40_000])
    for name in ("._a.wav", "b.m4a"):
        (tmp_path / "in" / name).write_bytes(b"????")
    skipped = extract(model, tmp_path / "in", tmp_path / "out")
    assert "is truncated: 1.249 s of 2.000 s can be read" in skipped.bad_files["a.wav"]
    assert skipped.ignored == {
        "macOS AppleDouble file": 1,
        "MP4 or M4A: convert with `ffmpeg -i FILE FILE.wav`": 1,
    }
    kept = extract(model, tmp_path / "in", tmp_path / "out", truncated="keep")
    assert (kept.extracted, kept.bad) == (1, 0)
    assert kept.audio_seconds == pytest.approx(1.249, abs=0.05)


def test_pipes_and_links_to_nowhere_are_reported(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (recordings / "deep" / "lost.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(recordings / "pipe.mp3")
    for _ in range(2):  # extracted, then done before
        summary = extract(model, recordings, tmp_path / "out")
        assert (summary.files, summary.extracted + summary.done_before, summary.bad) == (9, 7, 2)
        errors = capsys.readouterr().err
        assert "pipe.mp3: is no plain file" in errors
        assert "lost.wav: is a link to" in errors
    assert set(summary.bad_files) == {"pipe.mp3", "deep/lost.wav"}
