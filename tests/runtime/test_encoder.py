"""`Encoder`: recordings of any rate and length, alone and in batches; files that are no encoder are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto

from inattention_runtime import AudioError, Encoder, ModelFileError
from inattention_runtime.features import frames_of
from made_onnx import ABOUT, FEATURES, made_onnx


def noise(seconds: float, rate: int = 16_000) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(round(seconds * rate))).astype(np.float32)


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    return Encoder(made_onnx(tmp_path / "made.onnx"), threads=1)


def test_features_of_a_file_and_their_times(encoder: Encoder, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(1), 16_000, subtype="FLOAT")
    got = encoder.extract(tmp_path / "a.wav")
    np.testing.assert_allclose(got.values, 2 * frames_of(noise(1), FEATURES), atol=1e-6)
    assert got.times[:2].tolist() == pytest.approx([0.0125, 0.05])


def test_other_rates_and_channels(encoder: Encoder, tmp_path: Path) -> None:
    wave = noise(1, 44_100)
    soundfile.write(tmp_path / "a.flac", np.stack([wave, wave], 1), 44_100)
    assert encoder.extract(str(tmp_path / "a.flac")).values.shape == (27, 24)
    assert encoder.extract(wave, sampling_rate=44_100).values.shape == (27, 24)


def test_a_long_recording_is_encoded_in_chunks(encoder: Encoder) -> None:
    wave = noise(12)
    np.testing.assert_allclose(
        encoder.extract(wave, sampling_rate=16_000).values, 2 * frames_of(wave, FEATURES), atol=1e-6
    )


def test_a_batch_is_each_alone(encoder: Encoder) -> None:
    waves = [noise(0.3), noise(4), noise(1)]
    for wave, got in zip(waves, encoder.extract_batch(waves, sampling_rate=16_000), strict=True):
        assert np.array_equal(got.values, encoder.extract(wave, sampling_rate=16_000).values)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros(16_000, np.float32), "is silent"),
        (np.full(16_000, np.nan, np.float32), "NaN or infinite"),
        (np.zeros(0, np.float32), "holds no samples"),
        (np.zeros((2, 100), np.float32), "one channel of floating-point numbers"),
        (np.zeros(100, np.int16), "one channel of floating-point numbers"),
        (noise(0.01), "too short"),
    ],
)
def test_samples_that_cannot_be_used(encoder: Encoder, samples: np.ndarray, reason: str) -> None:
    with pytest.raises(AudioError, match=reason):
        encoder.extract(samples, sampling_rate=16_000)


def test_files_that_cannot_be_used_are_named(encoder: Encoder, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no audio at all")
    soundfile.write(tmp_path / "cut.wav", noise(1), 16_000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "cut.wav").read_bytes()[:20_000])
    for name, reason in (("text.wav", "text.wav: "), ("cut.wav", "truncated"), ("none.wav", "no such file")):
        with pytest.raises(AudioError, match=reason):
            encoder.extract(tmp_path / name)
    assert len(encoder.extract(tmp_path / "cut.wav", truncated="keep").values)


def test_a_layer_that_the_file_does_not_have(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match="no hidden state 1: it was exported with 3"):
        encoder.extract(noise(1), layer=1, sampling_rate=16_000)
    assert np.array_equal(
        encoder.extract(noise(1), layer=3, sampling_rate=16_000).values,
        encoder.extract(noise(1), sampling_rate=16_000).values,
    )


def changed(**fields: Any) -> dict[str, Any]:
    return {**ABOUT, **fields}


def with_features(**fields: Any) -> dict[str, Any]:
    return changed(features={**FEATURES, **fields})


HOSTILE = {
    "nothing": None,
    "no JSON": "{",
    "deep": "[" * 100_000,
    "huge": json.dumps(changed(name="x" * 2**21)),
    "a list": [],
    "another format": changed(format=2),
    "a number as text": changed(width="24"),
    "infinite": json.dumps(changed(frame_shift_seconds=float("inf"))),
    "not a number": json.dumps(changed(frame_shift_seconds=float("nan"))),
    "no frames": changed(longest_frames=0),
    "truth for a number": changed(layers=True),
    "other outputs": changed(outputs={"hidden_state_9": 3}),
    "a layer too many": changed(outputs={"hidden_state_3": 4}),
    "unknown features": with_features(kind="cepstra"),
    "kind is a list": with_features(kind=[]),
    "no features": changed(features=None),
    "a transform that fills the memory": with_features(fft_size=2**40),
    "no hop": with_features(hop_seconds=1e-5),
    "a window beyond the transform": with_features(window_seconds=1.0),
    "bands beyond half the rate": with_features(highest_hz=9000.0),
    "kernels without strides": changed(
        features={"kind": "waveform", "sampling_rate": 16_000, "normalise": True, "kernels": [2, 2], "strides": [1]}
    ),
}


@pytest.mark.parametrize("about", HOSTILE.values(), ids=HOSTILE.keys())
def test_metadata_that_no_export_wrote_is_refused(about: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"made\.onnx"):
        Encoder(made_onnx(tmp_path / "made.onnx", about))


def test_files_that_are_no_encoder_are_refused(tmp_path: Path) -> None:
    whole = made_onnx(tmp_path / "made.onnx").read_bytes()
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            Encoder(tmp_path / name)
    with pytest.raises(ModelFileError, match="no such file"):
        Encoder(tmp_path / "absent.onnx")
    with pytest.raises(ModelFileError, match="does not take features and valid"):
        Encoder(made_onnx(tmp_path / "other.onnx", inputs=("x", "y")))


def test_weights_in_other_files_are_refused(tmp_path: Path) -> None:
    model = onnx.load(made_onnx(tmp_path / "made.onnx"))
    tensor = model.graph.initializer[1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="/etc/passwd"))
    content = model.SerializeToString()
    entry = b"\x0a\x08location\x12\x0b/etc/passwd"
    assert entry in content
    # Protocol buffers allow fields in any order, and numbers with bytes that they do not need.
    for other in (
        entry,
        b"\x12\x0b/etc/passwd\x0a\x08location",
        b"\x0a\x88\x00location\x12\x0b/etc/passwd",
        b"\x8a\x80\x00\x88\x80\x80\x00location\x12\x0b/etc/passwd",
    ):
        (tmp_path / "made.onnx").write_bytes(content.replace(entry, other))
        with pytest.raises(ModelFileError, match="weights in other files"):
            Encoder(tmp_path / "made.onnx")
