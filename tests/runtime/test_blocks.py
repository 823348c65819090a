"""Exported encoders of limited reach run in blocks: the features of one pass over the whole, in bounded memory."""

import json
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import soundfile
import torch

from hugging_face_models import waveform_model
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.encoders.open import open_features
from inattention.export.config import ExportConfig
from inattention.export.run import export
from inattention.model.transformer import AudioTransformer
from inattention_runtime import Encoder, ModelFileError
from inattention_runtime import encoder as runtime_encoder
from inattention_runtime.cli import main
from inattention_runtime.features import frames_of
from inattention_runtime.long_input import feature_stream
from inattention_runtime.reader import long_audio
from made_onnx import ABOUT, FEATURES, made_onnx, made_whisper
from small_models import small_model

RATE = 16_000
BLOCKS = {"back": 2, "ahead": 1, "grid": 1, "longest_frames": 30, "left_out": 0.0}


@pytest.fixture(autouse=True)
def unchecked_shapes() -> Any:
    """Turn shape checks off, since they would compare the symbols of a graph with numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def noise(seconds: float, rate: int = RATE) -> np.ndarray:
    wave = np.random.default_rng(1).standard_normal(round(seconds * rate))
    return (0.1 * wave * (1.1 + np.sin(np.arange(len(wave)) / rate * 20))).astype(np.float32)


@pytest.mark.parametrize("seconds", [0.03, 1.0, 9.7])
@pytest.mark.parametrize("changes", [{}, {"normalise": False}, {"deltas": False}])
def test_features_are_computed_block_by_block_with_the_same_values(seconds: float, changes: dict[str, Any]) -> None:
    settings, wave = {**FEATURES, **changes}, noise(seconds, 22_050)
    audio = long_audio(wave, RATE, rate=22_050)
    stream = feature_stream(audio, audio.check(), settings)
    got = np.concatenate(list(stream.inputs()))
    from inattention_runtime.resampling import resample

    np.testing.assert_allclose(got, frames_of(resample(wave, 22_050, RATE), settings), atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options", "form"),
    [
        ("local", {"window": 3}, "auto"),
        ("none", {}, "auto"),
        ("sparse-fixed", {"head_split": 12, "stride": 7}, "auto"),
        ("toeplitz", {"form": "table"}, "limited"),
    ],
)
def test_blocks_are_what_pytorch_returns_in_one_pass(
    name: str, options: dict[str, Any], form: Any, tmp_path: Path
) -> None:
    model = small_model(attention=name, attention_options=options)
    model.save_pretrained(tmp_path / "model")
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(form=form, bound=1e-6))
    assert "blocks of long recordings: yes" in report.summary()
    encoder = Encoder(report.path, threads=1)
    for frames in (1, 9, 10, 11, 20, 101):
        wave = noise((3 * frames - 1) * 0.0125)
        expected = model.extract(wave, sampling_rate=RATE, block_seconds=100.0)
        got = encoder.extract(wave, sampling_rate=RATE, block_seconds=10 * 0.0375)
        np.testing.assert_allclose(got.values, expected.values.numpy(), atol=1e-4)
        np.testing.assert_allclose(got.times, expected.times.numpy())


@pytest.mark.slow
def test_positions_are_those_of_pytorch_an_hour_into_a_recording(tmp_path: Path) -> None:
    model = small_model(attention="none")
    model.save_pretrained(tmp_path / "model")
    encoder = Encoder(export(str(tmp_path / "model"), tmp_path / "a.onnx").path, threads=1)
    features = torch.randn(1, 20, model.config.input_size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = model.encoder(features, first_frame=96_000).last_hidden_state
    (got,) = encoder._run([features[0].numpy()], "hidden_state_2", 96_000)
    np.testing.assert_allclose(got, expected[0].numpy(), atol=1e-4)


@pytest.mark.slow
def test_blocks_of_a_converted_encoder_of_waveforms(tmp_path: Path) -> None:
    layers = (Replacement(row="local@window=2"),) * 2
    converted_copy(waveform_model("wav2vec2-layer"), Conversion(layers=layers, max_length=50)).save_pretrained(
        tmp_path / "model"
    )
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(seconds=0.1))
    encoder, source = Encoder(report.path, threads=1), open_features(str(tmp_path / "model"))
    wave = noise(0.1)
    (expected,) = source.features([torch.from_numpy(wave)])
    got = encoder.extract(wave, sampling_rate=RATE, block_seconds=20 * source.step_seconds)
    np.testing.assert_allclose(got.values, expected.numpy(), atol=5e-4)


@pytest.mark.slow
def test_a_file_of_unlimited_reach_says_why(tmp_path: Path) -> None:
    small_model(attention="toeplitz", attention_options={"form": "table"}).save_pretrained(tmp_path / "table")
    small_model(attention="qk").save_pretrained(tmp_path / "qk")
    for name, form, reason in (
        ("qk", "auto", "layer 1 of 2: qk has no limited reach"),
        ("table", "dense", "layer 1: its heads were exported in forms that see all of the input"),
    ):
        report = export(str(tmp_path / name), tmp_path / "a.onnx", ExportConfig(form=form))  # ty: ignore[invalid-argument-type]
        assert f"no: {reason}" in report.summary()
        with pytest.raises(ValueError, match=f"cannot be run in blocks: {reason}"):
            Encoder(report.path).extract(noise(1), sampling_rate=RATE, block_seconds=1.0)


def test_a_long_recording_is_read_piece_by_piece_with_the_same_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = Encoder(made_onnx(tmp_path / "made.onnx"), threads=1)
    soundfile.write(tmp_path / "a.flac", noise(30, 44_100), 44_100)
    whole = encoder.extract(tmp_path / "a.flac")
    monkeypatch.setattr(runtime_encoder, "LONG_SECONDS", 1.0)
    for audio, options in ((tmp_path / "a.flac", {}), (noise(30, 44_100), {"sampling_rate": 44_100})):
        got = encoder.extract(audio, **options)
        np.testing.assert_allclose(got.values, whole.values, atol=1e-3)
        frames, pieces = encoder.extract_blocks(audio, **options)
        assert frames == sum(map(len, pieces)) == len(whole.values)


def test_windows_of_whisper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = Encoder(made_whisper(tmp_path / "made.onnx"), threads=1)
    wave = noise(7.3)  # windows of 2 s
    whole = encoder.extract(wave, sampling_rate=RATE)
    for seconds in (None, 2.0):
        monkeypatch.setattr(runtime_encoder, "LONG_SECONDS", 1.0)
        got = encoder.extract(wave, sampling_rate=RATE, block_seconds=seconds)
        np.testing.assert_allclose(got.values, whole.values, atol=1e-5)
    assert len(encoder.extract(wave, sampling_rate=RATE, block_seconds=1.0).values) == len(whole.values)
    with pytest.raises(ValueError, match="at most every 2 s, not every 3 s"):
        encoder.extract(wave, sampling_rate=RATE, block_seconds=3.0)


def hostile(**fields: Any) -> dict[str, Any]:
    return {**ABOUT, "blocks": {**BLOCKS, **fields}}


@pytest.mark.parametrize(
    ("about", "reason"),
    [
        ({**ABOUT, "blocks": []}, "no usable blocks"),
        ({**ABOUT, "blocks": {}}, "no usable back"),
        (hostile(back=-1), "no usable back"),
        (hostile(back=2.5), "no usable back"),
        (hostile(ahead=2**40), "no usable ahead"),
        (hostile(ahead=True), "no usable ahead"),
        (hostile(grid=0), "no usable grid"),
        (hostile(longest_frames="many"), "no usable longest_frames"),
        (hostile(left_out=float("nan")), "no usable left_out"),
        (hostile(back=40), "a reach that is longer than what is encoded at once"),
        (hostile(grid=29), "a reach that is longer than what is encoded at once"),
        (hostile(), "no input first_frame in its graph"),
    ],
)
def test_a_reach_that_no_export_wrote_is_refused(about: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=rf"made\.onnx.*{reason}"):
        Encoder(made_onnx(tmp_path / "made.onnx", json.dumps(about)))


def test_a_reason_of_a_stranger_is_cut_and_one_of_an_old_file_is_made_up(tmp_path: Path) -> None:
    for reason, expected in (("x" * 10_000, 500), (None, None), (7, None)):
        encoder = Encoder(made_onnx(tmp_path / "made.onnx", {**ABOUT, "unlimited": reason}))
        with pytest.raises(ValueError, match="cannot be run in blocks") as error:
            encoder.extract(noise(1), sampling_rate=RATE, block_seconds=1.0)
        if expected is None:
            assert "did not record its reach" in str(error.value)
        else:
            assert len(str(error.value)) < expected + 200


def test_the_command_refuses_blocks_before_it_creates_anything(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_onnx(tmp_path / "made.onnx")
    soundfile.write(tmp_path / "a.wav", noise(1), RATE)
    words = ["extract", str(tmp_path / "made.onnx"), str(tmp_path / "a.wav"), "--out", str(tmp_path / "out")]
    assert main([*words, "--block", "5"]) == 2
    assert "cannot be run in blocks" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_writes_the_features_of_blocks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_model(attention="local", attention_options={"window": 3}).save_pretrained(tmp_path / "model")
    export(str(tmp_path / "model"), tmp_path / "a.onnx")
    soundfile.write(tmp_path / "a.wav", noise(8), RATE)
    words = ["extract", str(tmp_path / "a.onnx"), str(tmp_path / "a.wav"), "--out", str(tmp_path / "out")]
    assert main([*words, "--block", "1", "--threads", "1"]) == 0
    assert "a frame depends on 0.31 s before the centre of a frame" in capsys.readouterr().out
    model = AudioTransformer.from_pretrained(tmp_path / "model")
    expected = model.extract(tmp_path / "a.wav", block_seconds=100.0).values.numpy()
    np.testing.assert_allclose(np.load(tmp_path / "out/a.wav.npy"), expected, atol=1e-4)
    assert main([*words, "--threads", "1"]) == 2  # chunks are another encoding
    assert "another encoding" in capsys.readouterr().err
