"""The pair of files, an encoder for ONNX Runtime and a decoder for CTranslate2, transcribes as PyTorch does."""

from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("ctranslate2", reason="CTranslate2, which decodes, is not installed")
pytest.importorskip("transformers")

from hugging_face_models import write_whisper
from inattention.conversion.measure.transcripts import transcribe
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.trained import load_trained
from inattention.export.config import ExportConfig, ExportError
from inattention.export.run import export
from inattention_runtime import ModelFileError, Whisper
from inattention_runtime.cli import main

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def unchecked_shapes() -> Any:
    """Turn shape checks off, since they would compare the symbols of a graph with numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    wave = np.random.default_rng(seed).standard_normal(round(16_000 * seconds))
    return (0.1 * wave * (1.1 + np.sin(np.arange(len(wave)) / 700))).astype(np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a converted Whisper, `model`, its encoder, `w.onnx`, and its decoder."""
    folder = tmp_path_factory.mktemp("pair")
    write_whisper(folder / "trained", seconds=2)
    trained = load_trained(str(folder / "trained"))
    conversion = Conversion(layers=(Replacement(row="toeplitz"),) * 2, max_length=100)
    converted_copy(trained.model, conversion).save_pretrained(folder / "model")
    for path in (folder / "trained").iterdir():
        if not (folder / "model" / path.name).exists():
            (folder / "model" / path.name).write_bytes(path.read_bytes())
    export(str(folder / "model"), folder / "w.onnx", ExportConfig(decoder="float32", bound=1e-6, seconds=0.5))
    return folder


def test_transcripts_are_those_of_pytorch(folder: Path) -> None:
    loaded, whisper = load_trained(str(folder / "model")), Whisper(folder / "w.onnx", threads=1)
    different = set()
    for seed in range(4):
        wave = noise(0.4 + 0.3 * seed, seed)
        text, loop = transcribe(loaded, torch.from_numpy(wave), "own")
        assert whisper.transcribe(wave, sampling_rate=16_000).text == text
        different.add((text, loop))
    assert len(different) > 1
    assert any(loop for _, loop in different)  # as many tokens of a transcript that does not end


def test_long_recordings_are_transcribed_in_windows(folder: Path) -> None:
    wave = noise(2.7)
    found = Whisper(folder / "w.onnx", threads=1).transcribe(wave, sampling_rate=16_000)
    assert [(start, round(end, 3)) for start, end, _ in found.windows] == [(0.0, 2.0), (2.0, 2.7)]
    assert found.text == " ".join(text for _, _, text in found.windows if text)


def test_the_command_transcribes(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    soundfile.write(tmp_path / "a.wav", noise(0.5), 16_000, subtype="FLOAT")
    assert main(["transcribe", str(folder / "w.onnx"), str(tmp_path / "a.wav"), "--threads", "1"]) == 0
    expected = Whisper(folder / "w.onnx", threads=1).transcribe(noise(0.5), sampling_rate=16_000).text
    assert capsys.readouterr().out.rstrip("\n") == expected


def test_a_decoder_of_another_width_is_an_error(folder: Path) -> None:
    whisper = Whisper(folder / "w.onnx", threads=1)
    with pytest.raises(ModelFileError, match=r"w\.decoder: cannot decode what .*w\.onnx returns"):
        whisper._decoded(np.zeros((10, 16), np.float32), [0], 1, 5)


def test_a_decoder_that_is_cut_off_is_refused(folder: Path, tmp_path: Path) -> None:
    for name in ("model.bin", "config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((folder / "w.decoder" / name).read_bytes())
    whole = (tmp_path / "model.bin").read_bytes()
    for content in (b"", b"no model", whole[: len(whole) // 2]):
        (tmp_path / "model.bin").write_bytes(content)
        with pytest.raises(ModelFileError, match="cannot be loaded"):
            Whisper(folder / "w.onnx", tmp_path)


def test_a_folder_that_is_no_decoder_is_not_replaced(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "w.decoder").mkdir()
    (tmp_path / "w.decoder/mine.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"w\.decoder is in the way"):
        export(str(folder / "model"), tmp_path / "w.onnx", ExportConfig(decoder="float32"))
    assert (tmp_path / "w.decoder/mine.txt").read_text() == "mine"
