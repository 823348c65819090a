"""Long recordings of a folder are encoded and written piece by piece."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import soundfile
import torch

from extractions import RATE, contents, extract, read, refuses, sound
from inattention.cli import main
from inattention.encoders.extraction import encoders
from inattention.encoders.extraction.file_formats import npy, npy_head, safetensors_head
from inattention.model.reach import UnlimitedReach
from inattention.model.transformer import AudioTransformer
from small_models import small_model


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("local")
    small_model(attention="local", max_length=48).save_pretrained(folder)
    return str(folder)


@pytest.fixture(autouse=True)
def short_recordings_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "LONG_SECONDS", 1.0)


def test_a_file_that_is_written_in_pieces_is_the_file_that_libraries_write() -> None:
    features = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    times, metadata = np.arange(7) * 0.1, {"source": 'a "b"\n日本.wav', "layer": "2"}
    expected = safetensors.numpy.save({"features": features, "times": times}, metadata=metadata)
    made = safetensors_head(times, 5, metadata) + features.tobytes()
    got = safetensors.numpy.load(made)
    assert np.array_equal(got["features"], features)
    assert np.array_equal(got["times"], times)
    assert len(made) == len(expected)
    assert made[-len(features.tobytes()) :] == expected[-len(features.tobytes()) :]
    assert npy_head(times, 5, {}) + features.tobytes() == npy(features)


@pytest.mark.parametrize("format", ["safetensors", "npy"])
def test_long_recordings_have_the_features_that_the_model_returns(
    model: str, recordings: Path, tmp_path: Path, format: str
) -> None:
    done = extract(model, recordings, tmp_path / "out", format=format)
    assert (done.extracted, done.bad, done.reach) == (7, 0, "")
    for name in ("long.wav", "deep/voice.mp3", "a.wav"):
        expected = AudioTransformer.from_pretrained(model).extract(recordings / name)
        if format == "npy":
            values, times = (np.load(tmp_path / "out" / f"{name}{end}") for end in (".npy", ".times.npy"))
            values, times = torch.from_numpy(values), torch.from_numpy(times)
        else:
            values, times, metadata = read(tmp_path / "out" / f"{name}.safetensors")
            assert "encoding" not in metadata
        torch.testing.assert_close(values, expected.values, atol=2e-5, rtol=0)
        assert torch.equal(times, expected.times)
    assert extract(model, recordings, tmp_path / "out", format=format).done_before == 7


def test_blocks_are_one_pass_and_another_extraction(local: str, recordings: Path, tmp_path: Path) -> None:
    done = extract(local, recordings, tmp_path / "out", block=1.5)
    assert (done.extracted, done.bad) == (7, 0)
    assert done.reach.startswith("0.54 s before the centre of a frame and 0.54 s behind it")
    model = AudioTransformer.from_pretrained(local)
    for name in ("long.wav", "a.wav"):
        values, _, metadata = read(tmp_path / "out" / f"{name}.safetensors")
        expected = model.extract(recordings / name, block_seconds=1000.0).values
        torch.testing.assert_close(values, expected, atol=1e-5, rtol=0)
        assert metadata["encoding"] == "one pass"
    assert extract(local, recordings, tmp_path / "out", block=3.0).done_before == 7  # the length changes nothing
    refuses(lambda: extract(local, recordings, tmp_path / "out"), r"another encoding .*one pass, not chunks")


def test_an_encoder_without_a_limited_reach_is_refused_before_anything_is_created(
    model: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuses(lambda: extract(model, recordings, tmp_path / "out", block=1.5), "layer 1 of 2: patterned", UnlimitedReach)
    assert main(["extract", model, str(recordings), "--out", str(tmp_path / "out"), "--block", "2"]) == 2
    assert "leave out --block to encode it in overlapping chunks" in capsys.readouterr().err.replace("\n", " ")
    assert not (tmp_path / "out").exists()


def test_the_command_states_what_a_frame_depends_on(
    local: str, recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["extract", local, str(recordings), "--out", str(tmp_path / "out"), "--block", "2"]) == 0
    assert "a frame depends on 0.54 s before" in capsys.readouterr().out


def test_a_long_recording_that_cannot_be_used_leaves_nothing_behind(model: str, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    soundfile.write(tmp_path / "in" / "silent.wav", np.zeros(3 * RATE), RATE)
    soundfile.write(tmp_path / "in" / "good.wav", sound(3.0), RATE)
    soundfile.write(tmp_path / "in" / "cut.wav", sound(3.0), RATE)
    cut = (tmp_path / "in" / "cut.wav").read_bytes()
    (tmp_path / "in" / "cut.wav").write_bytes(cut[:-9_000])
    done = extract(model, tmp_path / "in", tmp_path / "out")
    assert (done.extracted, sorted(done.bad_files)) == (1, ["cut.wav", "silent.wav"])
    assert list(contents(tmp_path / "out")) == ["good.wav.safetensors"]
    assert extract(model, tmp_path / "in", tmp_path / "out", truncated="keep").extracted == 1


def test_a_recording_that_shrinks_between_two_passes_is_refused(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "a.wav"
    soundfile.write(path, sound(9.0), RATE)
    original = encoders.OurExtractor.long

    def shrink(self: encoders.OurExtractor, *arguments: object, **options: object) -> encoders.LongFeatures:
        found = original(self, *arguments, **options)
        return encoders.LongFeatures(found.frames + 1, found.pieces)

    monkeypatch.setattr(encoders.OurExtractor, "long", shrink)
    done = extract(model, tmp_path / "in", tmp_path / "out")
    assert "has changed while it was read" in done.bad_files["a.wav"]


PROGRAM = """
import resource, sys
import torch
torch.set_num_threads(1)
from inattention.encoders.extraction.run import extract_folder
model, recording, out, block = sys.argv[1:]
extract_folder(model, recording, out, block=float(block) or None, progress=False)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(*arguments: object) -> int:
    """Return the peak memory of an extraction in a process of its own, in KiB."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, arguments)], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("block", [0, 60])
def test_a_quarter_of_an_hour_takes_no_more_memory_than_a_minute(local: str, tmp_path: Path, block: int) -> None:
    minute = sound(60.0).astype(np.float32)
    for minutes in (1, 15):
        with soundfile.SoundFile(tmp_path / f"{minutes}.flac", "w", RATE, 1) as file:
            for _ in range(minutes):
                file.write(minute)
    short, long = (peak(local, tmp_path / f"{it}.flac", tmp_path / f"out-{it}", block) for it in (1, 15))
    assert long < 1.2 * short
