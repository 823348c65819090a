"""Distillation in bfloat16: close to float32, resumable, and float32 in all that is kept."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import convert_trained  # noqa: E402
from inattention.conversion.trained.setup import task_of  # noqa: E402
from inattention.conversion.trained.speech import Examples  # noqa: E402
from inattention.encoders.trained import load_trained  # noqa: E402

SHORT = {
    "held_out": 2, "start_windows": 1, "examples": 4, "accumulate": 1, "head_report": False,
    "to": "toeplitz@table@fresh", "learning_rate": 3e-3,
}  # fmt: skip


def config(**settings: object) -> TrainedConversionConfig:
    return TrainedConversionConfig(**{**SHORT, **settings})  # ty: ignore[invalid-argument-type]


@pytest.fixture(params=["whisper_folder", "hubert_folder"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_targets_and_loss_are_close_to_those_of_float32_and_not_the_same(folder: Path, recordings: Path) -> None:
    teacher = load_trained(str(folder))
    example = Examples(open_speech(recordings, None).train, 0, "own")[0]
    tasks = [task_of(teacher, config(precision=precision)) for precision in ("float32", "bf16")]
    whole, mixed = (task.teacher_outputs(example) for task in tasks)
    assert mixed.hidden.dtype == torch.float16
    error = (mixed.hidden.float() - whole.hidden.float()).square().mean() / whole.hidden.float().var()
    assert 0 < error < 1e-3
    # The teacher as its own student, against the targets of the other precision.
    assert 0 < tasks[0].loss(teacher.model, example, mixed).total < 1e-2
    assert 0 < tasks[1].loss(teacher.model, example, whole).total < 1e-2


def test_it_reduces_the_error_and_keeps_float32_weights(folder: Path, recordings: Path, tmp_path: Path) -> None:
    settings = config(precision="bf16", steps=30)
    record = convert_trained(str(folder), open_speech(recordings, None), tmp_path, settings, progress=False).record
    assert record["config"]["precision"] == "bf16"
    assert record["relative_error"]["after"] < 0.8 * record["relative_error"]["start"]
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} == {torch.float32}


def test_folders_in_float32_are_those_of_before() -> None:
    assert "precision" not in config().identity()
    assert config(precision="bf16").identity()["precision"] == "bf16"
