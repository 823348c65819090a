"""Folders that cannot be written, and processes that are killed."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

transformers = pytest.importorskip("transformers")

from safetensors import SafetensorError  # noqa: E402

from inattention.cli.convert import open_speech  # noqa: E402
from inattention.conversion.trained.config import TrainedConversionConfig  # noqa: E402
from inattention.conversion.trained.convert import convert_trained  # noqa: E402
from inattention.conversion.trained.saving import make_folder, save_state, saving  # noqa: E402
from inattention.pretraining.stopping import RunError  # noqa: E402

TESTS = Path(__file__).parents[2]
CONFIG = TrainedConversionConfig(steps=1, held_out=1, start_windows=1, examples=2, accumulate=1, head_report=False)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is always full")
def test_a_checkpoint_on_a_full_disk_raises_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_file = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *mode: open_file(Path("/dev/full"), *mode))
    with pytest.raises(RunError, match=r"No space left on device.*free space"), saving(tmp_path):
        save_state(tmp_path / "checkpoint.pt", {"weights": torch.zeros(100_000)})
    monkeypatch.undo()
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_recognised_in_errors_of_safetensors(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="free space on the disk, and run the same command again"), saving(tmp_path):
        raise SafetensorError(f"Error while serializing: I/O error: No space (os error {errno.ENOSPC})")


def test_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="shapes"), saving(tmp_path):
        raise RuntimeError("shapes differ")


def test_a_folder_below_a_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/out cannot be made a folder.*choose another"):
        make_folder(tmp_path / "file" / "out")


def test_a_conversion_on_a_full_disk_resumes_when_there_is_space(
    whisper_folder: Path, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inattention.conversion.trained import distillation

    def full(path: Path, state: dict) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    arguments = (str(whisper_folder), open_speech(recordings, None), tmp_path, CONFIG)
    with monkeypatch.context() as patched:
        patched.setattr(distillation, "save_state", full)
        with pytest.raises(RunError, match="run the same command again"):
            convert_trained(*arguments, progress=False)
    assert convert_trained(*arguments, progress=False).record["steps"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--stages",)], ids=["together", "in stages"])
def test_a_killed_conversion_resumes_to_the_same_bits(
    options: tuple[str, ...], whisper_folder: Path, recordings: Path
) -> None:
    done = subprocess.run(
        [sys.executable, TESTS / "kill_conversions.py", whisper_folder, recordings, "3", *options],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["killed_before"]) >= 3
