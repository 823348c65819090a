import fcntl
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open

from inattention.model import extraction
from inattention.model.extraction import extract_folder, fingerprint, printable, summary_text
from inattention.model.extraction_config import ExtractionConfig
from inattention.model.extraction_folder import INDEX_FILE, ExtractionError
from inattention.model.transformer import AudioTransformer, ModelFolderError
from small_models import SMALL_FEATURES, small_model

RATE = 16_000


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time) + 0.05 * draw.standard_normal(len(time))


def write_good_files(folder: Path) -> dict[str, float]:
    """Write recordings of many kinds; give their seconds by name."""
    (folder / "deep" / "er").mkdir(parents=True)
    soundfile.write(folder / "stereo.wav", np.stack([sound(1.0, 44_100)] * 2, axis=1), 44_100)
    soundfile.write(folder / "a.wav", sound(0.8), RATE)
    soundfile.write(folder / "a.flac", sound(1.2, seed=1), RATE)
    soundfile.write(folder / "deep" / "voice.mp3", sound(2.0, 22_050), 22_050)
    soundfile.write(folder / "deep" / "er" / "voice.ogg", sound(1.5, 48_000), 48_000)
    soundfile.write(folder / "ünï cødé 日本.wav", sound(0.5), RATE)
    soundfile.write(folder / "long.wav", sound(5.0), RATE)
    names = ["stereo.wav", "a.wav", "a.flac", "deep/voice.mp3", "deep/er/voice.ogg", "ünï cødé 日本.wav", "long.wav"]
    return dict(zip(names, [1.0, 0.8, 1.2, 2.0, 1.5, 0.5, 5.0], strict=True))


def write_bad_files(folder: Path) -> dict[str, str]:
    """Write files that cannot be used; give the words that should say so."""
    (folder / "nothing.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is no audio\n" * 100)
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "nan.wav", np.where(np.arange(RATE) == 9, np.nan, sound(1.0)), RATE, subtype="FLOAT")
    soundfile.write(folder / "short.wav", sound(0.01), RATE)
    return {
        "nothing.wav": "cannot be read",
        "text.wav": "cannot be read",
        "empty.wav": "holds no samples",
        "silent.wav": "is silent",
        "nan.wav": "NaN",
        "short.wav": "too short",
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    small_model(max_length=48).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    write_good_files(tmp_path / "in")
    return tmp_path / "in"


def extract(model: str, folder: Path, out: Path, **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {"batch_seconds": 4.0, "progress": False, **options}
    return extract_folder(model, folder, out, **settings)


def files_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files_in(folder) if name != INDEX_FILE}


def read(path: Path) -> tuple[torch.Tensor, torch.Tensor, dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == {"features", "times"}
        return file.get_tensor("features").clone(), file.get_tensor("times").clone(), file.metadata()


def test_every_recording_has_the_features_that_the_model_gives_alone(model: str, tmp_path: Path):
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
    assert (summary["files"], summary["extracted"], summary["done_before"], summary["bad"]) == (7, 7, 0, 0)
    assert summary["audio_seconds"] == pytest.approx(12.0, abs=0.3)
    assert summary["audio_hours"] == pytest.approx(summary["audio_seconds"] / 3600)
    assert summary["audio_seconds_per_second"] == pytest.approx(summary["audio_seconds"] / summary["wall_seconds"])


@pytest.mark.parametrize("batch_seconds", [0.001, 1.0, 1000.0])
def test_batches_of_any_size_give_the_same(model: str, recordings: Path, tmp_path: Path, batch_seconds: float):
    extract(model, recordings, tmp_path / "one")
    extract(model, recordings, tmp_path / "two", batch_seconds=batch_seconds)
    for name in contents(tmp_path / "one"):
        one, two = (read(tmp_path / out / name)[0] for out in ("one", "two"))
        torch.testing.assert_close(one, two, atol=2e-5, rtol=0)


def test_no_batch_is_larger_than_asked_for(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    sizes = []
    forward = AudioTransformer.forward

    def spy(self: AudioTransformer, features: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(features.shape[0] * features.shape[1] * SMALL_FEATURES.step_seconds)
        return forward(self, features, *rest, **options)

    monkeypatch.setattr(AudioTransformer, "forward", spy)
    extract(model, recordings, tmp_path / "out", batch_seconds=4.0)
    assert max(sizes) <= 4.0
    assert len(sizes) < 7  # some have company


def test_recordings_of_like_lengths_go_together(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As they come, each short one would stand between two long ones, and all would go alone."""
    for number in range(30):
        soundfile.write(tmp_path / f"{number:02d}.wav", sound(0.3 + 1.2 * (number % 2)), RATE)
    forward, sizes = AudioTransformer.forward, []

    def spy(self: AudioTransformer, features: torch.Tensor, *rest: Any, **options: Any) -> Any:
        sizes.append(len(features))
        return forward(self, features, *rest, **options)

    monkeypatch.setattr(AudioTransformer, "forward", spy)
    extract(model, tmp_path, tmp_path / "out", batch_seconds=2.0)
    assert sum(sizes) == 30
    assert len(sizes) <= 15 + 5  # 15 long ones, and the short ones of two windows


def test_npy_is_two_files_a_recording(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "one")
    extract(model, recordings, tmp_path / "two", format="npy")
    names = [name.removesuffix(".safetensors") for name in contents(tmp_path / "one")]
    assert set(contents(tmp_path / "two")) == {f"{name}{kind}" for name in names for kind in (".npy", ".times.npy")}
    for name in names:
        features, times, _ = read(tmp_path / "one" / f"{name}.safetensors")
        np.testing.assert_array_equal(np.load(tmp_path / "two" / f"{name}.npy"), features.numpy())
        np.testing.assert_array_equal(np.load(tmp_path / "two" / f"{name}.times.npy"), times.numpy())


@pytest.mark.parametrize("layer", [0, 1, -2])
def test_any_layer_can_be_asked_for(model: str, tmp_path: Path, layer: int):
    soundfile.write(tmp_path / "a.wav", sound(1.0), RATE)
    extract(model, tmp_path, tmp_path / "out", layer=layer)
    features, _, metadata = read(tmp_path / "out" / "a.wav.safetensors")
    expected = AudioTransformer.from_pretrained(model).extract(tmp_path / "a.wav", layer=layer).values
    torch.testing.assert_close(features, expected, atol=2e-5, rtol=0)
    assert metadata["layer"] == str(layer % 3)


def test_bad_files_are_told_counted_and_cost_no_other(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    bad = write_bad_files(recordings)
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary["files"], summary["extracted"], summary["bad"]) == (13, 7, 6)
    assert set(summary["bad_files"]) == set(bad)
    told = capsys.readouterr().err.splitlines()
    for name, words in bad.items():
        (line,) = [line for line in told if name in line]
        assert line.startswith(f"skipped {recordings / name}: ")
        assert words in line
        assert words in summary["bad_files"][name]
    assert len(contents(tmp_path / "out")) == 7
    assert json.loads((tmp_path / "out" / INDEX_FILE).read_text())["bad_files"] == summary["bad_files"]


def test_a_bad_file_that_was_mended_is_taken_up(model: str, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.wav").write_text("not yet")
    assert extract(model, tmp_path / "in", tmp_path / "out")["bad"] == 1
    soundfile.write(tmp_path / "in" / "a.wav", sound(1.0), RATE)
    summary = extract(model, tmp_path / "in", tmp_path / "out")
    assert (summary["extracted"], summary["bad"]) == (1, 0)
    assert json.loads((tmp_path / "out" / INDEX_FILE).read_text())["bad_files"] == {}


def test_what_is_done_is_not_done_again(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in contents(tmp_path / "out")}
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary["extracted"], summary["done_before"]) == (0, 7)
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before


def test_new_changed_and_lost_ones_are_done(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    soundfile.write(recordings / "new.wav", sound(1.0), RATE)
    soundfile.write(recordings / "a.wav", sound(2.0), RATE)
    (tmp_path / "out" / "a.flac.safetensors").unlink()
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary["extracted"], summary["done_before"]) == (3, 5)
    assert len(read(tmp_path / "out" / "a.wav.safetensors")[0]) == 53


def test_an_interrupted_extraction_goes_on(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    extract(model, recordings, tmp_path / "whole")
    encode, calls = extraction.encode, []

    def interrupted(*arguments: Any, **options: Any) -> list[torch.Tensor]:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return encode(*arguments, **options)

    monkeypatch.setattr(extraction, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(model, recordings, tmp_path / "out")
    done = len(contents(tmp_path / "out"))
    assert 0 < done < 7
    monkeypatch.setattr(extraction, "encode", encode)
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary["extracted"], summary["done_before"]) == (7 - done, done)
    assert set(contents(tmp_path / "out")) == set(contents(tmp_path / "whole"))


def test_features_that_the_index_does_not_know_are_made_anew(model: str, tmp_path: Path):
    """A killed run may have written more than its index says."""
    soundfile.write(tmp_path / "a.wav", sound(1.0), RATE)
    extract(model, tmp_path, tmp_path / "out")
    features = read(tmp_path / "out" / "a.wav.safetensors")[0]
    index = json.loads((tmp_path / "out" / INDEX_FILE).read_text())
    (tmp_path / "out" / INDEX_FILE).write_text(json.dumps({**index, "files": {}}))
    (tmp_path / "out" / "a.wav.safetensors").write_bytes(b"of another run")
    assert extract(model, tmp_path, tmp_path / "out")["extracted"] == 1
    assert torch.equal(read(tmp_path / "out" / "a.wav.safetensors")[0], features)


def refuses(call: Callable[[], object], words: str, error: type[Exception] = ExtractionError) -> None:
    with pytest.raises(error, match=words):
        call()


def test_another_extraction_in_the_same_folder_is_refused(model: str, recordings: Path, tmp_path: Path):
    out, other = tmp_path / "out", str(tmp_path / "other-model")
    extract(model, recordings, out)
    small_model(seed=9, max_length=48).save_pretrained(other)
    (tmp_path / "elsewhere").mkdir()
    soundfile.write(tmp_path / "elsewhere" / "a.wav", sound(1.0, seed=9), RATE)
    refuses(lambda: extract(other, recordings, out), f"features of another model .{model}.; .* or --overwrite")
    refuses(lambda: extract(model, recordings, out, layer=1), "features of layer 2, not 1")
    refuses(lambda: extract(model, recordings, out, format="npy"), "the format safetensors, not npy")
    refuses(lambda: extract(model, tmp_path / "elsewhere", out), f"another folder .{recordings}")
    refuses(lambda: extract(other, recordings, out, layer=0), "another model .* and layer 2, not 0")
    before = contents(out)
    assert extract(other, recordings, out, overwrite=True)["extracted"] == 7
    after = contents(out)
    assert set(before) == set(after)
    assert all(before[name] != after[name] for name in before)
    assert extract(other, recordings, out)["done_before"] == 7


def test_a_copy_of_the_model_and_the_last_layer_s_number_are_the_same(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    AudioTransformer.from_pretrained(model).save_pretrained(tmp_path / "copy")
    summary = extract(str(tmp_path / "copy"), recordings, tmp_path / "out", layer=2)
    assert summary["done_before"] == 7


def test_an_overwriting_that_was_interrupted_leaves_no_mixture(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    small_model(seed=9, max_length=48).save_pretrained(tmp_path / "other")
    extract(model, recordings, tmp_path / "out")

    def interrupted(*_: Any, **__: Any) -> list[torch.Tensor]:
        raise KeyboardInterrupt

    monkeypatch.setattr(extraction, "encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        extract(str(tmp_path / "other"), recordings, tmp_path / "out", overwrite=True)
    monkeypatch.undo()
    assert extract(str(tmp_path / "other"), recordings, tmp_path / "out")["extracted"] == 7


def test_a_folder_of_other_things_is_left_alone(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    refuses(lambda: extract(model, recordings, tmp_path / "out"), "holds something that is no extraction")
    refuses(lambda: extract(model, recordings, recordings), "holds something that is no extraction")
    assert contents(tmp_path / "out") == {"precious.txt": b"mine"}


@pytest.mark.parametrize("index", ["", "{", "[]", "{}", '{"settings": {}, "files": {}}', "[" * 100_000])
def test_an_index_that_cannot_be_read_is_refused(model: str, recordings: Path, tmp_path: Path, index: str):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / INDEX_FILE).write_text(index)
    refuses(lambda: extract(model, recordings, tmp_path / "out"), "extraction.json: cannot be read")
    assert extract(model, recordings, tmp_path / "out", overwrite=True)["extracted"] == 7


def test_two_processes_do_not_share_a_folder(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    held = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        refuses(lambda: extract(model, recordings, tmp_path / "out"), "another process extracts to it")
    finally:
        os.close(held)
    assert extract(model, recordings, tmp_path / "out")["extracted"] == 7


def test_a_full_disk_ends_the_run_in_a_line_and_keeps_what_is_done(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    replace, calls = os.replace, []

    def full(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("inattention.model.extraction_folder.os.replace", full)
    refuses(lambda: extract(model, recordings, tmp_path / "out"), r"out: cannot be written to \(No space left.*goes on")
    assert len(contents(tmp_path / "out")) == 2
    assert not list((tmp_path / "out").rglob("*.writing"))
    monkeypatch.undo()
    assert extract(model, recordings, tmp_path / "out")["files"] == 7
    assert len(contents(tmp_path / "out")) == 7


def test_nothing_is_written_outside_of_the_folder(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recordings, out, outside = tmp_path / "in", tmp_path / "out", tmp_path / "outside"
    for folder in (recordings / "sub", recordings / "fine", out, outside):
        folder.mkdir(parents=True)
    soundfile.write(outside / "secret.wav", sound(1.0), RATE)
    (recordings / "away").symlink_to(outside)
    (recordings / "link.wav").symlink_to(outside / "secret.wav")
    for name in ("..b.wav", "sub/b.wav", "fine/c.wav"):
        soundfile.write(recordings / name, sound(1.0), RATE)
    extract(model, recordings, out, overwrite=True)
    (out / "sub" / "b.wav.safetensors").unlink()
    (out / "sub").rmdir()
    (out / "sub").symlink_to(outside)
    (out / "fine" / "c.wav.safetensors").unlink()
    (out / "fine" / "c.wav.safetensors").symlink_to(outside / "target")
    summary = extract(model, recordings, out)
    assert files_in(outside) == ["secret.wav"]
    assert summary["bad_files"].keys() == {"sub/b.wav"}
    assert "a link in" in capsys.readouterr().err
    assert set(contents(out)) == {"..b.wav.safetensors", "link.wav.safetensors", "fine/c.wav.safetensors"}
    assert not (out / "fine" / "c.wav.safetensors").is_symlink()


def test_names_that_cannot_be_a_file_s_are_told(model: str, tmp_path: Path):
    recordings = tmp_path / "in"
    (recordings / "both.wav.safetensors").mkdir(parents=True)
    soundfile.write(recordings / "both.wav.safetensors" / "x.wav", sound(1.0), RATE)
    soundfile.write(recordings / "both.wav", sound(1.0), RATE)
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    os.rename(recordings / "plain.wav", recordings / ("n" * 251 + ".wav"))
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary["extracted"], summary["bad"]) == (2, 2)
    assert "n" * 251 + ".wav" in summary["bad_files"]


def test_a_name_may_hold_what_breaks_lines_and_encodings(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    recordings = tmp_path / "in"
    recordings.mkdir()
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    odd = recordings / os.fsdecode(b"odd\n\xff.wav")
    os.rename(recordings / "plain.wav", odd)
    (recordings / "bad\n.wav").write_text("no audio")
    assert extract(model, recordings, tmp_path / "out")["extracted"] == 1
    assert extract(model, recordings, tmp_path / "out")["done_before"] == 1
    (path,) = (tmp_path / "out").glob("odd*")
    os.rename(path, tmp_path / "plain.safetensors")  # safetensors opens no other names
    assert read(tmp_path / "plain.safetensors")[2]["source"] == r"odd\n\udcff.wav"
    assert len(capsys.readouterr().err.splitlines()) == 2
    assert printable("ü 日本\t") == r"ü 日本\t"


def test_a_model_that_gives_nan_is_told_of_each_file(tmp_path: Path, recordings: Path):
    model = small_model()
    with torch.no_grad():
        model.encoder.embed.weight[0, 0] = float("nan")
    model.save_pretrained(tmp_path / "model")
    summary = extract(str(tmp_path / "model"), recordings, tmp_path / "out")
    assert (summary["extracted"], summary["bad"]) == (0, 7)
    assert all("NaN or infinite features" in reason for reason in summary["bad_files"].values())


def test_what_cannot_be_extracted_at_all_is_refused(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    refuses(lambda: extract(model, tmp_path / "empty", out), "empty: holds no audio files")
    refuses(lambda: extract(model, tmp_path / "none", out), "none: there is no such folder", ValueError)
    refuses(lambda: extract(str(tmp_path / "none"), recordings, out), "there is no such folder", ModelFolderError)
    refuses(lambda: extract(model, recordings, out, layer=3), "no layer 3", ValueError)
    refuses(lambda: extract(model, recordings, out, batch_seconds=0.0), "batch_seconds", ValueError)
    refuses(lambda: extract(model, recordings, out, device="teapot"), "device 'teapot' cannot be used")
    refuses(lambda: extract(model, recordings, recordings / "a.wav"), "cannot be written to")
    assert not out.exists()


def test_the_index_says_what_was_done_with_what(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    index = json.loads((tmp_path / "out" / INDEX_FILE).read_text())
    assert index["settings"]["layer"] == 2
    assert index["settings"]["model"] == fingerprint(AudioTransformer.from_pretrained(model))
    assert index["model_name"] == model
    assert index["step_seconds"] == SMALL_FEATURES.step_seconds
    assert index["files"]["a.wav"]["steps"] == 21
    assert "torch" in index["made_with"]["packages"]


def test_a_fingerprint_is_of_settings_and_weights():
    one = fingerprint(small_model())
    assert one == fingerprint(small_model())
    assert one != fingerprint(small_model(seed=1))
    assert one != fingerprint(small_model(dropout=0.1))
    assert fingerprint(small_model().bfloat16()) != one


def test_progress_goes_to_stderr_alone(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    summary = extract(model, recordings, tmp_path / "out", progress=True)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "7/7" in captured.err
    assert "s of audio a second" in captured.err
    assert summary_text(summary).startswith("7 files: 7 extracted (0.00 hours of audio in")
    extract(model, recordings, tmp_path / "out", progress=True)
    assert capsys.readouterr().err == ""


def test_memory_does_not_grow_with_the_folder(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """No more than a window of recordings, and the few that are read ahead, are held at once."""
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
    assert summary["extracted"] == 60
    assert most[0] <= 8 * 2 + 1 + 5


def test_the_settings_of_the_command_are_those_of_the_function():
    assert ExtractionConfig() == ExtractionConfig(
        layer=-1, format="safetensors", batch_seconds=120.0, device="auto", overwrite=False
    )
    with pytest.raises(ValueError, match="batch_seconds must be above 0"):
        ExtractionConfig(batch_seconds=float("nan"))
