"""Exported files: run on real lengths against PyTorch, complete or absent, and described by their metadata."""

import json
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
import torch
from onnx import TensorProto

from hugging_face_models import speech, waveform_model, whisper_model
from inattention.cli import main
from inattention.encoders.converted import converted_copy
from inattention.encoders.converted_attention import Conversion, Replacement
from inattention.export import run as export_run
from inattention.export.config import ExportConfig, ExportError
from inattention.export.costs import Costs
from inattention.export.int8.quantiser import linear_layers
from inattention.export.run import export
from inattention.model.transformer import AudioTransformer
from small_models import small_model


@pytest.fixture(autouse=True)
def unchecked_shapes() -> Any:
    """Turn shape checks off, since they would compare the symbols of a graph with numbers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def saved(folder: Path, **settings: Any) -> AudioTransformer:
    model = small_model(**{"attention": "toeplitz", "layers": 1, **settings})
    model.save_pretrained(folder)
    return model


def run_file(path: Path, features: torch.Tensor, mask: torch.Tensor) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [np.asarray(it) for it in session.run(None, {"features": features.numpy(), "valid": mask.numpy()})]


@pytest.mark.slow
def test_a_file_computes_what_the_model_does_at_every_length(tmp_path: Path) -> None:
    model = saved(tmp_path / "model")
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(layers=(0, -1), form="band"))
    assert report.difference <= report.metadata["tolerance"]
    for time in (1, 2, 31, 48):
        features = torch.randn(1, time, model.config.input_size, generator=torch.Generator().manual_seed(time))
        with torch.no_grad():
            expected = model(features, output_hidden_states=True).hidden_states
        got = run_file(report.path, features, torch.ones(1, time, dtype=torch.bool))
        for one, other in zip(got, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=report.metadata["tolerance"])


@pytest.mark.slow
@pytest.mark.parametrize("form", ["dense", "two-level"])
def test_a_table_longer_than_blocks_keeps_every_length(form: Any, tmp_path: Path) -> None:
    options = {"attention": "toeplitz", "attention_options": {"form": "table"}, "max_length": 300}
    model = saved(tmp_path / "model", **options)
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(form=form))
    assert report.metadata["forms"] == {"mechanisms.0": {form: 12}}
    assert (report.metadata["two_level_share"] > 0) == (form == "two-level") == ("two levels" in report.summary())
    for time in (1, 2, 63, 65, 96, 300):
        features = torch.randn(2, time, model.config.input_size, generator=torch.Generator().manual_seed(time))
        mask = torch.arange(time) < torch.tensor([time, max(1, time // 3)])[:, None]
        with torch.no_grad():
            expected = model(features, mask).last_hidden_state
        (got,) = run_file(report.path, features, mask)
        error = np.linalg.norm(got[mask.numpy()] - expected[mask].numpy()) / np.linalg.norm(expected[mask].numpy())
        assert error < (1e-3 if form == "two-level" and time > 64 else 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fixed-encoder", "sparse-fixed", "sparse-strided", "toeplitz-free", "qk"])
def test_mechanisms_of_every_kind_take_every_length(name: str, tmp_path: Path) -> None:
    model = saved(tmp_path / "model", attention=name)
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx")
    for time in (1, 3, 48):
        features = torch.randn(2, time, model.config.input_size, generator=torch.Generator().manual_seed(time))
        mask = torch.arange(time) < torch.tensor([time, max(1, time // 2)])[:, None]
        with torch.no_grad():
            expected = model(features, mask).last_hidden_state
        (got,) = run_file(report.path, features, mask)
        np.testing.assert_allclose(got[mask.numpy()], expected[mask].numpy(), atol=1e-4)


@pytest.mark.slow
def test_a_file_stands_alone(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", attention="none")
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx")
    entries = {it.key: it.value for it in onnx.load(report.path).metadata_props}
    about = json.loads(entries["inattention"])
    assert about == json.loads(json.dumps(report.metadata))
    assert about["features"]["kind"] == "log-mel"
    assert about["features"]["mels"] == model.config.features.mels
    assert about["frame_shift_seconds"] == model.config.features.step_seconds
    assert (about["outputs"], about["longest_frames"]) == ({"hidden_state_1": 1}, 48)
    assert about["reach_seconds"] == [0.0, 0.0]
    assert str(tmp_path) not in json.dumps(entries)


def converted_folder(model: Any, folder: Path) -> None:
    layers = (Replacement(row="toeplitz"),) * model.config.num_hidden_layers
    converted_copy(model, Conversion(layers=layers, max_length=60)).save_pretrained(folder)


MAKERS: dict[str, Any] = {
    # Layers that share their weights, as by default: each product is of the same weights.
    "ours": lambda folder: saved(folder, layers=2, share_layers=True),
    "ours with queries and keys": lambda folder: saved(folder, layers=2, attention="qk", maps="per-layer"),
    "whisper": lambda folder: converted_folder(whisper_model(), folder),
    "hubert": lambda folder: converted_folder(waveform_model("hubert"), folder),
}
# Products with weights beside the four of each of two layers: the embedding or projection; queries and keys.
OTHERS = {"ours": 1, "ours with queries and keys": 1 + 4, "whisper": 0, "hubert": 1}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "calibrated"), [*((it, False) for it in MAKERS), ("ours", True), ("whisper", True)])
def test_int8_quantises_every_linear_layer_and_nothing_else(kind: str, calibrated: bool, tmp_path: Path) -> None:
    """The relative error of the random weights here is below 10 %, that of ranges from 3 recordings below 20 %."""
    MAKERS[kind](tmp_path / "model")
    (tmp_path / "in").mkdir()
    for number, wave in enumerate(speech(0.3, 0.6, 0.9)):
        soundfile.write(tmp_path / f"in/{number}.wav", wave.numpy(), 16_000)
    config = ExportConfig(precision="int8", seconds=0.1, calibrate=tmp_path / "in" if calibrated else None)
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", config, progress=False)
    assert 0 < report.relative_error < (0.2 if calibrated else 0.1)
    assert report.metadata["quantisation"] == ("static" if calibrated else "dynamic")
    assert report.metadata.get("calibration", {}).get("recordings") == (3 if calibrated else None)
    graph = onnx.load(report.path).graph
    weights = {it.name: it.data_type for it in graph.initializer}
    int8 = [it for it in graph.node if any(weights.get(name) == TensorProto.INT8 for name in it.input)]
    int8 = [it for it in int8 if it.op_type in ("MatMulInteger", "DequantizeLinear")]
    once = calibrated and kind.startswith("ours")  # one DequantizeLinear for the layers that share their weights
    assert len(int8) == 4 * (1 if once else 2) + OTHERS[kind]
    assert not linear_layers(graph)
    assert not any("ConvInteger" in it.op_type for it in graph.node)
    kinds = {it.op_type for it in graph.node}
    assert ("QuantizeLinear" in kinds, "DynamicQuantizeLinear" in kinds) == (calibrated, not calibrated)


@pytest.mark.slow
def test_encoders_of_waveforms_have_no_two_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MAKERS["hubert"](tmp_path / "model")
    with pytest.raises(ExportError, match="--form two-level: not of encoders that take waveforms"):
        export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(form="two-level"))
    cheap = Costs(dense=1.0, matrix=1.0, fft=9.0, two_level=1e-9, reaches=(1, 2999), bands=(9.0, 9.0), call=1.0)
    monkeypatch.setattr(export_run, "measure_costs", lambda *sizes: cheap)
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx", ExportConfig(precision="int8"))
    assert {form for forms in report.metadata["forms"].values() for form in forms} == {"dense"}


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_program_of_torch_export(tmp_path: Path, precision: Any) -> None:
    model = saved(tmp_path / "model", attention="patterned")
    report = export(str(tmp_path / "model"), tmp_path / "a.pt2", ExportConfig(precision=precision))
    files = {"inattention.json": ""}
    module = torch.export.load(report.path, extra_files=files).module()
    assert json.loads(files["inattention.json"])["precision"] == precision
    features = torch.randn(3, 7, model.config.input_size)
    with torch.no_grad():
        (got,) = module(features, torch.ones(3, 7, dtype=torch.bool))
        expected = model(features).last_hidden_state
    torch.testing.assert_close(got, expected, atol=1e-4 if precision == "float32" else 0.1, rtol=0)


@pytest.mark.slow
def test_whisper_takes_any_length_in_batches(tmp_path: Path) -> None:
    model = whisper_model()
    layers = (Replacement(row="toeplitz"), None)  # one layer keeps its queries and keys
    converted_copy(model, Conversion(layers=layers, max_length=50)).save_pretrained(tmp_path / "model")
    report = export(str(tmp_path / "model"), tmp_path / "a.onnx")
    assert report.metadata["reach_seconds"] is None
    subject = export_run.open_subject(str(tmp_path / "model"))
    waveforms = speech(0.9, 0.3, 0.02)
    features, mask, counts = subject.batch(waveforms)
    (got,) = run_file(report.path, features, mask)
    for row, (waveform, count) in enumerate(zip(waveforms, counts, strict=True)):
        np.testing.assert_allclose(got[row, :count], subject.reference(waveform, [2])[0].numpy(), atol=1e-3)


@pytest.mark.slow
def test_a_file_that_differs_is_an_error_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(tmp_path / "model", attention="none")
    monkeypatch.setattr(export_run, "tolerance", lambda *settings, exact: 1e-12)
    (tmp_path / "out").mkdir()
    assert main(["export", str(tmp_path / "model"), "--out", str(tmp_path / "out/a.onnx")]) == 2
    assert "has a relative error of" in capsys.readouterr().err
    assert list((tmp_path / "out").iterdir()) == []


def test_what_cannot_be_exported_is_refused_before_work(tmp_path: Path) -> None:
    saved(tmp_path / "model")
    for out, settings, reason in (
        ("a.bin", {}, "must end in .onnx or .pt2"),
        ("a.pt2", {"precision": "int8"}, "onnxruntime"),
        ("a.onnx", {"layers": (2,)}, "hidden states 0 to 1"),
        ("a.onnx", {"decoder": "int8"}, "no Whisper with a decoder"),
    ):
        with pytest.raises(ValueError, match=reason):
            export(str(tmp_path / "model"), tmp_path / out, ExportConfig(**settings))
    assert [it.name for it in tmp_path.iterdir()] == ["model"]


def test_an_encoder_whose_attention_is_biased_by_position_is_refused(tmp_path: Path) -> None:
    waveform_model("wavlm").save_pretrained(tmp_path / "model")
    with pytest.raises(ExportError, match="wavlm cannot be exported"):
        export(str(tmp_path / "model"), tmp_path / "a.onnx")
