"""Good and bad recordings, and extractions of them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors import safe_open

from inattention.encoders.extraction.folder import INDEX_FILE, ExtractionError
from inattention.encoders.extraction.run import ExtractionSummary, extract_folder

RATE = 16_000


def sound(seconds: float, rate: int = RATE, seed: int = 0) -> np.ndarray:
    draw = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    return 0.3 * np.sin(2 * np.pi * (200 + 100 * time) * time) + 0.05 * draw.standard_normal(len(time))


def write_good_files(folder: Path) -> dict[str, float]:
    """Write recordings of many kinds; return their durations by name."""
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
    """Write files that cannot be used; return a part of the expected reason by name."""
    (folder / "text.wav").write_text("this is no audio\n" * 100)
    soundfile.write(folder / "empty.wav", np.zeros(0), RATE)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(folder / "nan.wav", np.where(np.arange(RATE) == 9, np.nan, sound(1.0)), RATE, subtype="FLOAT")
    soundfile.write(folder / "short.wav", sound(0.01), RATE)
    return {
        "text.wav": "cannot be read",
        "empty.wav": "holds no samples",
        "silent.wav": "is silent",
        "nan.wav": "NaN",
        "short.wav": "too short",
    }


def extract(model: str, folder: Path, out: Path, **options: Any) -> ExtractionSummary:
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


def refuses(call: Callable[[], object], words: str, error: type[Exception] = ExtractionError) -> None:
    with pytest.raises(error, match=words):
        call()
