"""Writing converted models: every file is complete or absent, and a disk that is full is reported as such."""

import errno
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from inattention.encoders.converted import ConvertedModel
from inattention.encoders.trained import TrainedModel
from inattention.files import replacing
from inattention.pretraining.stopping import RunError, writing

_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
_LITTLE_SPACE = 2**20  # bytes; PyTorch hides the reason why it could not write


@contextmanager
def saving(folder: Path) -> Generator[None]:
    """Turn errors about a folder that cannot be written into a RunError that says what to do, whoever raised them.

    Raises:
        RunError: if the disk is full, or the folder may not be written.
    """
    with writing(folder):
        try:
            yield
        except SafetensorError as error:
            found = _SYSTEM_ERROR.search(str(error))
            if found is None:
                raise
            raise OSError(int(found[1]), os.strerror(int(found[1]))) from error
        except RuntimeError as error:
            # PyTorch reports a failed write without its reason.
            if "write" not in str(error).lower() or shutil.disk_usage(folder).free > _LITTLE_SPACE:
                raise
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error


def make_folder(folder: Path) -> None:
    """Create a folder, and those above it.

    Raises:
        RunError: if this is impossible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{folder} cannot be made a folder: {error.strerror}; choose another one, or change the permissions"
        ) from error


def save_state(path: Path, state: dict[str, Any]) -> None:
    """Write tensors with `torch.save`, all or nothing."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def save_model(student: ConvertedModel, loaded: TrainedModel, out: Path, work: Path) -> None:
    """Write a converted model with the teacher's feature extractor and tokenizer, each file all or nothing.

    Args:
        student: the converted model.
        loaded: its teacher.
        out: folder of the converted model.
        work: folder on the same disk for files that are not complete yet.
    """
    incomplete = work / "saving"
    shutil.rmtree(incomplete, ignore_errors=True)
    student.save_pretrained(incomplete)
    loaded.extractor.save_pretrained(incomplete)
    if loaded.tokenizer is not None:
        loaded.tokenizer.save_pretrained(incomplete)
    for path in sorted(incomplete.iterdir()):
        os.replace(path, out / path.name)
    incomplete.rmdir()
