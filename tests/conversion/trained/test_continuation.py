"""Conversions that go on from a finished one."""

import json
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")

from inattention import cli  # noqa: E402
from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import Speech, convert_trained  # noqa: E402
from inattention.pretraining.stopping import RunError  # noqa: E402

SHORT = {"held_out": 2, "start_windows": 1, "examples": 4, "accumulate": 2, "head_report": False}


def config(steps: int, **settings: object) -> TrainedConversionConfig:
    return TrainedConversionConfig(**{**SHORT, "minutes": 0, "steps": steps, **settings})  # ty: ignore[invalid-argument-type]


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Speech:
    return open_speech(recordings, None)


@pytest.fixture(scope="module")
def first(whisper_folder: Path, speech: Speech, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first")
    convert_trained(str(whisper_folder), speech, folder, config(3), progress=False)
    return folder


def test_a_conversion_goes_on_from_the_student_of_another(
    whisper_folder: Path, speech: Speech, first: Path, tmp_path: Path
) -> None:
    before = (first / "model.safetensors").read_bytes()
    same = convert_trained(
        str(whisper_folder), speech, tmp_path / "same", config(0), continue_from=first, progress=False
    )
    assert (tmp_path / "same/model.safetensors").read_bytes() == before
    further = convert_trained(
        str(whisper_folder), speech, tmp_path / "further", config(2), continue_from=first, progress=False
    )
    assert (tmp_path / "further/model.safetensors").read_bytes() != before
    assert (first / "model.safetensors").read_bytes() == before
    reached = json.loads((first / "conversion.json").read_text())["relative_error"]["after"]
    assert same.record["relative_error"]["start"] == further.record["relative_error"]["start"] == reached
    assert further.record["continues"]["steps"] == 3
    assert "after 2 steps (3 before)" in further.summary()
    once_more = convert_trained(
        str(whisper_folder), speech, tmp_path / "more", config(1), continue_from=tmp_path / "further", progress=False
    )
    assert once_more.record["continues"]["steps"] == 5


def test_the_command_goes_on_and_says_what_it_cannot_go_on_from(
    whisper_folder: Path, recordings: Path, speech: Speech, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    def convert(out: str, *options: str, start: Path = first) -> int:
        words = [
            "convert", str(whisper_folder), "--recordings", str(recordings), "--out", str(tmp_path / out),
            "--steps", "1", "--held-out", "2", "--start-windows", "1", "--no-head-report",
            "--continue-from", str(start), *options,
        ]  # fmt: skip
        return cli.main(words)

    assert convert("a") == 0
    assert "after 1 steps (3 before)" in capsys.readouterr().out
    assert convert("b", "--to", "toeplitz") == 2
    assert "--to, --layers and --heads must be the same" in capsys.readouterr().err
    assert convert("c", "--order", "last-first") == 2
    assert "without --order and --until" in capsys.readouterr().err
    assert convert("d", start=tmp_path / "nowhere") == 2
    assert "there is no finished conversion" in capsys.readouterr().err
    broken = tmp_path / "broken"
    broken.mkdir()
    for text, why in (("{", "cannot be read"), ("[]", "cannot be read"), ("{}", "cannot be read")):
        (broken / "conversion.json").write_text(text)
        assert convert("e", start=broken) == 2
        assert why in capsys.readouterr().err
    record = json.loads((first / "conversion.json").read_text())
    record["teacher"]["digest"] = "0" * 64
    (broken / "conversion.json").write_text(json.dumps(record))
    assert convert("f", start=broken) == 2
    assert "a conversion of another model" in capsys.readouterr().err
    assert {it.name for it in tmp_path.iterdir()} == {"a", "broken"}


def test_a_folder_keeps_what_it_goes_on_from(whisper_folder: Path, speech: Speech, first: Path, tmp_path: Path) -> None:
    convert_trained(str(whisper_folder), speech, tmp_path / "a", config(1), continue_from=first, progress=False)
    with pytest.raises(RunError, match="another"):
        convert_trained(str(whisper_folder), speech, tmp_path / "a", config(1), progress=False)
