"""The wheel of inattention-runtime stands alone: no PyTorch, nothing of inattention, and the same reader of audio."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from made_onnx import made_onnx

RUNTIME = Path(__file__).parents[2] / "runtime"
PROGRAM = """
import sys

class Refused:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "inattention", "scipy", "jaxtyping", "onnx", "transformers"):
            raise ModuleNotFoundError(f"{name} is not part of the runtime", name=name)

sys.meta_path.insert(0, Refused())
from inattention_runtime import AudioError, Encoder

encoder = Encoder(sys.argv[1], threads=1)
print(encoder.extract(sys.argv[2]).values.shape)
try:
    encoder.extract(sys.argv[3])
except AudioError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the contents of the wheel."""
    place = tmp_path_factory.mktemp("wheel")
    build = "import hatchling.build, sys; hatchling.build.build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(place)], cwd=RUNTIME, check=True, capture_output=True)
    (wheel,) = place.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(place / "unpacked")
    return place / "unpacked"


def test_the_wheel_reads_audio_without_pytorch(unpacked: Path, tmp_path: Path) -> None:
    wave = 0.1 * np.random.default_rng(0).standard_normal(44_100)
    soundfile.write(tmp_path / "a.flac", wave, 44_100)
    (tmp_path / "page.wav").write_text("<!DOCTYPE html><html></html>")
    made_onnx(tmp_path / "made.onnx")
    paths = [str(tmp_path / name) for name in ("made.onnx", "a.flac", "page.wav")]
    environment = {**os.environ, "PYTHONPATH": str(unpacked)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *paths], capture_output=True, text=True, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    shape, error = done.stdout.splitlines()
    assert shape == "(27, 24)"
    assert error.startswith(f"{paths[2]}: ")
    assert "web page" in error


def test_the_wheel_has_the_command_and_no_other_dependency(unpacked: Path) -> None:
    (about,) = unpacked.glob("*.dist-info/METADATA")
    needed = [
        line for line in about.read_text().splitlines() if line.startswith("Requires-Dist") and "extra" not in line
    ]
    assert [line.split()[1].split(">")[0] for line in needed] == ["numpy", "onnxruntime", "soundfile"]
    (entries,) = unpacked.glob("*.dist-info/entry_points.txt")
    assert "inattention-runtime = inattention_runtime.cli:main" in entries.read_text()
