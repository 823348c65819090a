"""The runtime returns what the model returns in PyTorch, for recordings of any rate and length."""

from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import soundfile
import torch

from hugging_face_models import waveform_model, whisper_model
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.open import open_features
from inattention.export.config import ExportConfig
from inattention.export.run import export
from inattention_runtime import Encoder
from small_models import small_model

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def unchecked_shapes() -> Any:
    """Turn shape checks off, since they would compare the symbols of a graph with numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def noise(seconds: float, rate: int = 16_000) -> np.ndarray:
    wave = np.random.default_rng(1).standard_normal(round(seconds * rate))
    return (0.1 * wave * (1.1 + np.sin(np.arange(len(wave)) / rate * 20))).astype(np.float32)


def converted(model: Any, folder: Path) -> None:
    layers = (Replacement(row="toeplitz"),) * model.config.num_hidden_layers
    converted_copy(model, Conversion(layers=layers, max_length=50)).save_pretrained(folder)


def test_ours(tmp_path: Path) -> None:
    model = small_model(attention="toeplitz", layers=1)
    model.save_pretrained(tmp_path / "model")
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(bound=1e-6, layers=(0, -1)))
    encoder = Encoder(report.path, threads=1)
    soundfile.write(tmp_path / "a.flac", noise(1.5, 44_100), 44_100)
    for audio, options in (
        (tmp_path / "a.flac", {}),
        (noise(0.05), {"sampling_rate": 16_000}),
        (noise(9, 8000), {"sampling_rate": 8000}),  # several chunks
    ):
        for layer in (0, -1):
            expected = model.extract(audio, layer=layer, **options)
            got = encoder.extract(audio, layer=layer, **options)
            np.testing.assert_allclose(got.values, expected.values.numpy(), atol=1e-4)
            np.testing.assert_allclose(got.times, expected.times.numpy())


@pytest.mark.parametrize("family", ["hubert", "wav2vec2-layer"])
def test_waveform_encoders(family: str, tmp_path: Path) -> None:
    converted(waveform_model(family), tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(bound=1e-6, seconds=0.1))
    encoder, source = Encoder(tmp_path / "a.onnx", threads=1), open_features(str(tmp_path / "model"))
    waves = [noise(0.05), noise(0.02), noise(0.0016)]  # the last one makes a single frame
    for wave, got in zip(waves, encoder.extract_batch(waves, sampling_rate=16_000), strict=True):
        (expected,) = source.features([torch.from_numpy(wave)])
        np.testing.assert_allclose(got.values, expected.numpy(), atol=5e-4)


def test_whisper(tmp_path: Path) -> None:
    converted(whisper_model(), tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(bound=1e-6, seconds=0.5))
    encoder, source = Encoder(tmp_path / "a.onnx", whole_window=True), open_features(str(tmp_path / "model"))
    for wave in (noise(0.3), noise(2.4)):  # one window, and three
        (expected,) = source.features([torch.from_numpy(wave)])
        got = encoder.extract(wave, sampling_rate=16_000).values
        np.testing.assert_allclose(got, expected.numpy(), atol=5e-4)
    own = Encoder(tmp_path / "a.onnx").extract(noise(0.3), sampling_rate=16_000)
    assert own.values.shape == (15, 24)
