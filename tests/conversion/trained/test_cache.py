"""Outputs of a teacher that several conversions share."""

import json
import shutil
from pathlib import Path

import pytest

transformers = pytest.importorskip("transformers")

from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import Speech, convert_trained  # noqa: E402
from inattention.conversion.trained.whisper import WhisperTask  # noqa: E402

SHORT = {"steps": 1, "held_out": 1, "start_windows": 1, "examples": 2, "accumulate": 1, "head_report": False}


@pytest.fixture(scope="module")
def speech(recordings: Path) -> Speech:
    return open_speech(recordings, None)


def config(**settings: object) -> TrainedConversionConfig:
    return TrainedConversionConfig(**{**SHORT, **settings})  # ty: ignore[invalid-argument-type]


@pytest.fixture
def cache(whisper_folder: Path, speech: Speech, tmp_path: Path) -> Path:
    folder = tmp_path / "cache"
    convert_trained(
        str(whisper_folder), speech, tmp_path / "first", config(), teacher_cache=folder, progress=False, device="cpu"
    )
    return folder


def test_a_second_conversion_runs_no_teacher_and_ends_in_the_same_weights(
    whisper_folder: Path, speech: Speech, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(to="toeplitz@table@fresh")  # starts without the teacher's maps
    convert_trained(str(whisper_folder), speech, tmp_path / "alone", settings, progress=False)
    assert not (tmp_path / "alone" / "distillation" / "teacher").exists()
    monkeypatch.setattr(WhisperTask, "teacher_outputs", lambda *_: pytest.fail("the teacher ran again"))
    convert_trained(str(whisper_folder), speech, tmp_path / "shared", settings, teacher_cache=cache, progress=False)
    alone, shared = ((tmp_path / it / "model.safetensors").read_bytes() for it in ("alone", "shared"))
    assert alone == shared
    assert list((cache / "teacher").iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": 1}, "another seed"),
        ({"lengths": "own"}, "other lengths"),
        ({"language": "de"}, "another language"),
        ({"precision": "bf16"}, "another precision"),
    ],
)
def test_another_setting_is_refused(
    settings: dict, message: str, whisper_folder: Path, speech: Speech, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=message):
        convert_trained(
            str(whisper_folder), speech, tmp_path / "other", config(**settings), teacher_cache=cache, progress=False
        )


def test_another_text_beside_a_recording_is_refused(
    whisper_folder: Path, recordings: Path, cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "recordings"
    shutil.copytree(recordings, copy)
    (copy / "r1.txt").write_text("another text", encoding="utf-8")
    with pytest.raises(ValueError, match="texts"):
        convert_trained(
            str(whisper_folder), open_speech(copy, None), tmp_path / "other", config(), teacher_cache=cache,
            progress=False,
        )  # fmt: skip


def test_another_teacher_is_refused_even_if_only_its_settings_differ(
    whisper_folder: Path, speech: Speech, cache: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "teacher"
    shutil.copytree(whisper_folder, copy)
    generation = json.loads((copy / "generation_config.json").read_text())
    (copy / "generation_config.json").write_text(json.dumps({**generation, "max_length": 41}))
    with pytest.raises(ValueError, match="other settings of the teacher"):
        convert_trained(str(copy), speech, tmp_path / "other", config(), teacher_cache=cache, progress=False)


def test_a_folder_of_anything_else_is_refused(whisper_folder: Path, speech: Speech, tmp_path: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "letters.txt").write_text("dear all")
    with pytest.raises(ValueError, match="holds other files"):
        convert_trained(
            str(whisper_folder), speech, tmp_path / "out", config(), teacher_cache=tmp_path / "cache", progress=False
        )
