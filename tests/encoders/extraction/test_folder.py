import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

from extractions import RATE, contents, extract, files_in, read, refuses, sound
from inattention.encoders.extraction import encoders as extraction
from inattention.encoders.extraction.encoders import fingerprint
from inattention.encoders.extraction.folder import INDEX_FILE
from inattention.model.transformer import AudioTransformer
from small_models import SMALL_FEATURES, small_model


def test_finished_recordings_are_not_extracted_again(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    before = {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in contents(tmp_path / "out")}
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary.extracted, summary.done_before) == (0, 7)
    assert {name: (tmp_path / "out" / name).stat().st_mtime_ns for name in before} == before


def test_new_changed_and_missing_ones_are_extracted(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    soundfile.write(recordings / "new.wav", sound(1.0), RATE)
    soundfile.write(recordings / "a.wav", sound(2.0), RATE)
    (tmp_path / "out" / "a.flac.safetensors").unlink()
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary.extracted, summary.done_before) == (3, 5)
    assert len(read(tmp_path / "out" / "a.wav.safetensors")[0]) == 53


def test_an_interrupted_extraction_resumes(
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
    assert (summary.extracted, summary.done_before) == (7 - done, done)
    assert set(contents(tmp_path / "out")) == set(contents(tmp_path / "whole"))


def test_features_that_are_not_in_the_index_are_extracted_again(model: str, tmp_path: Path):
    """A killed run may have written more than its index says."""
    soundfile.write(tmp_path / "a.wav", sound(1.0), RATE)
    extract(model, tmp_path, tmp_path / "out")
    features = read(tmp_path / "out" / "a.wav.safetensors")[0]
    index = json.loads((tmp_path / "out" / INDEX_FILE).read_text())
    (tmp_path / "out" / INDEX_FILE).write_text(json.dumps({**index, "files": {}}))
    (tmp_path / "out" / "a.wav.safetensors").write_bytes(b"of another run")
    assert extract(model, tmp_path, tmp_path / "out").extracted == 1
    assert torch.equal(read(tmp_path / "out" / "a.wav.safetensors")[0], features)


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
    assert extract(other, recordings, out, overwrite=True).extracted == 7
    after = contents(out)
    assert set(before) == set(after)
    assert all(before[name] != after[name] for name in before)
    assert extract(other, recordings, out).done_before == 7


def test_a_copy_of_the_model_and_the_last_layer_s_number_are_the_same(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    AudioTransformer.from_pretrained(model).save_pretrained(tmp_path / "copy")
    summary = extract(str(tmp_path / "copy"), recordings, tmp_path / "out", layer=2)
    assert summary.done_before == 7


def test_an_interrupted_overwrite_leaves_no_mixture(
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
    assert extract(str(tmp_path / "other"), recordings, tmp_path / "out").extracted == 7


def test_a_folder_of_other_files_is_not_touched(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious.txt").write_text("mine")
    refuses(lambda: extract(model, recordings, tmp_path / "out"), "contains files that are no extraction")
    refuses(lambda: extract(model, recordings, recordings), "contains files that are no extraction")
    assert contents(tmp_path / "out") == {"precious.txt": b"mine"}


@pytest.mark.parametrize("index", ["", "{", "[]", "{}", '{"settings": {}, "files": {}}', "[" * 100_000])
def test_an_index_that_cannot_be_read_is_refused(model: str, recordings: Path, tmp_path: Path, index: str):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / INDEX_FILE).write_text(index)
    refuses(lambda: extract(model, recordings, tmp_path / "out"), "extraction.json: cannot be read")
    assert extract(model, recordings, tmp_path / "out", overwrite=True).extracted == 7


@pytest.mark.parametrize("existing", [False, True])
def test_an_extraction_of_nothing_usable_leaves_nothing(model: str, recordings: Path, tmp_path: Path, existing: bool):
    bad, out = tmp_path / "bad" / "deep", tmp_path / "new" / "out"
    bad.mkdir(parents=True)
    (bad / "a.wav").write_bytes(b"RIFF, not")
    (bad / f"{'n' * 250}.wav").write_bytes((recordings / "a.wav").read_bytes())
    if existing:
        out.mkdir(parents=True)
    assert extract(model, bad.parent, out).bad == 2
    assert out.exists() == out.parent.exists() == existing
    assert extract(model, recordings / "a.wav", out).extracted == 1


def test_an_extraction_without_new_features_keeps_the_earlier_ones(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings / "a.wav", tmp_path / "out")
    (recordings / "a.wav").write_bytes(b"RIFF, not")
    assert extract(model, recordings / "a.wav", tmp_path / "out").bad == 1
    assert files_in(tmp_path / "out") == ["a.wav.safetensors", INDEX_FILE]


def test_two_processes_do_not_share_a_folder(model: str, recordings: Path, tmp_path: Path):
    (tmp_path / "out").mkdir()
    held = os.open(tmp_path / "out", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    try:
        refuses(lambda: extract(model, recordings, tmp_path / "out"), "another process extracts to it")
    finally:
        os.close(held)
    assert extract(model, recordings, tmp_path / "out").extracted == 7


def test_a_full_disk_ends_the_run_in_one_line_and_keeps_finished_files(
    model: str, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    replace, calls = os.replace, []

    def full(source: Path, target: Path) -> None:
        calls.append(target)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("inattention.encoders.extraction.folder.os.replace", full)
    refuses(
        lambda: extract(model, recordings, tmp_path / "out"), r"out: cannot be written to \(No space left.*continues"
    )
    assert len(contents(tmp_path / "out")) == 2
    assert not list((tmp_path / "out").rglob("*.writing"))
    monkeypatch.undo()
    assert extract(model, recordings, tmp_path / "out").files == 7
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
    assert summary.bad_files.keys() == {"sub/b.wav"}
    assert "a link in" in capsys.readouterr().err
    assert set(contents(out)) == {"..b.wav.safetensors", "link.wav.safetensors", "fine/c.wav.safetensors"}
    assert not (out / "fine" / "c.wav.safetensors").is_symlink()


def test_names_that_cannot_be_file_names_are_reported(model: str, tmp_path: Path):
    recordings = tmp_path / "in"
    (recordings / "both.wav.safetensors").mkdir(parents=True)
    soundfile.write(recordings / "both.wav.safetensors" / "x.wav", sound(1.0), RATE)
    soundfile.write(recordings / "both.wav", sound(1.0), RATE)
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    os.rename(recordings / "plain.wav", recordings / ("n" * 251 + ".wav"))
    soundfile.write(recordings / "plain.wav", sound(1.0), RATE)
    summary = extract(model, recordings, tmp_path / "out")
    assert (summary.extracted, summary.bad) == (2, 2)
    assert "n" * 251 + ".wav" in summary.bad_files


def test_the_index_records_model_settings_and_files(model: str, recordings: Path, tmp_path: Path):
    extract(model, recordings, tmp_path / "out")
    index = json.loads((tmp_path / "out" / INDEX_FILE).read_text())
    assert index["settings"]["layer"] == 2
    assert index["settings"]["model"] == fingerprint(AudioTransformer.from_pretrained(model))
    assert index["model_name"] == model
    assert index["step_seconds"] == SMALL_FEATURES.step_seconds
    assert index["files"]["a.wav"]["steps"] == 21
    assert "torch" in index["made_with"]["packages"]
