"""Recordings for static int8: a bounded number, in an order that follows from their names, fed as to the encoder."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from inattention.encoders.ours import EncoderSource
from inattention.export.config import ExportConfig, ExportError
from inattention.export.int8 import calibration
from inattention.export.int8.calibration import Calibration
from inattention.export.int8.quantiser import quantise
from inattention.export.subject import OurSubject
from small_models import small_model


@pytest.fixture(scope="module")
def subject() -> OurSubject:
    return OurSubject(EncoderSource(small_model(attention="none", layers=1), "small"))


def recordings(folder: Path, count: int = 5, seconds: float = 0.5) -> Path:
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        wave = 0.1 * random.standard_normal(round(seconds * 16_000))
        soundfile.write(folder / f"{number}.wav", wave, 16_000, subtype="FLOAT")
    return folder


def test_inputs_are_what_the_encoder_hears(tmp_path: Path, subject: OurSubject) -> None:
    folder = recordings(tmp_path / "in", count=2, seconds=4.0)
    found = list(Calibration(folder, subject, progress=False))
    assert all(it["features"].shape == (1, *it["valid"].shape[1:], 48) for it in found)
    assert all(it["valid"].all() for it in found)  # no padding
    # Four chunks of each, as longer input than the model's is extracted in chunks.
    assert [it["features"].shape[1] for it in found] == [48] * 8
    wave, _ = soundfile.read(calibration.calibration_files(folder)[0], dtype="float32")
    import torch

    first, *_ = subject.parts(torch.from_numpy(wave))
    assert np.array_equal(found[0]["features"], first.features.numpy())


def test_the_number_of_recordings_and_their_length_are_bounded(
    tmp_path: Path, subject: OurSubject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "MOST_RECORDINGS", 3)
    monkeypatch.setattr(calibration, "MOST_SECONDS", 0.4)
    monkeypatch.setattr(calibration, "CHECKED_RECORDINGS", 2)
    made = Calibration(recordings(tmp_path / "in"), subject, progress=False)
    assert len(list(made)) == 3
    assert (made.recordings, made.seconds, made.skipped) == (3, pytest.approx(1.2), {})
    used = {path.name for path in made._files[:3]}
    assert len(made.checked()) == 2
    assert not used & {path.name for path in made._files[-2:]}


def test_the_order_follows_from_the_names(tmp_path: Path) -> None:
    recordings(tmp_path / "a")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    orders = [[it.name for it in calibration.calibration_files(tmp_path / name)] for name in ("a", "b")]
    assert orders[0] == orders[1] != sorted(orders[0])


def test_a_recording_that_cannot_be_used_is_reported_and_another_takes_its_place(
    tmp_path: Path, subject: OurSubject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(calibration, "MOST_RECORDINGS", 3)
    folder = recordings(tmp_path / "in")
    first, second, *_ = calibration.calibration_files(folder)
    first.write_text("no audio")
    soundfile.write(second, np.zeros(8000), 16_000)
    made = Calibration(folder, subject, progress=False)
    assert len(list(made)) == 3
    assert set(made.skipped) == {str(first), str(second)}
    assert f"skipped {second}: is silent" in capsys.readouterr().err


def test_a_folder_without_a_usable_recording_is_refused(tmp_path: Path, subject: OurSubject) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad/a.wav").write_text("no audio")
    for name, reason in (("empty", "contains no audio files"), ("none", "there is no such folder")):
        with pytest.raises(ExportError, match=f"--calibrate .*{name}: {reason}"):
            Calibration(tmp_path / name, subject)
    with pytest.raises(ExportError, match=r"none of 1 recordings can be used; the first, .*a\.wav: cannot be read"):
        list(Calibration(tmp_path / "bad", subject, progress=False))


def test_calibration_is_for_int8() -> None:
    with pytest.raises(ValueError, match="calibrate must come with precision int8, not bf16"):
        ExportConfig(precision="bf16", calibrate=Path("in"))


def small_graph(path: Path) -> Path:
    """Write a convolution, a linear layer, and a product of two results, as of weights over time and values."""
    random = np.random.default_rng(0)
    weights = {"kernel": random.standard_normal((8, 8, 3)), "weight": random.standard_normal((8, 8)) * 4}
    nodes = [
        helper.make_node("Conv", ["features", "kernel"], ["convolved"], pads=[1, 1]),
        helper.make_node("Transpose", ["convolved"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["turned", "weight"], ["hidden"], name="linear"),
        helper.make_node("MatMul", ["convolved", "hidden"], ["out"], name="mixing"),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 8, "time"])],
        [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 8, 8])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )
    return path


@pytest.mark.parametrize("static", [False, True])
def test_linear_layers_alone_are_quantised_with_a_scale_per_channel(tmp_path: Path, static: bool) -> None:
    source = small_graph(tmp_path / "a.onnx")
    random = np.random.default_rng(1)
    inputs = [{"features": random.standard_normal((1, 8, time)).astype(np.float32)} for time in (5, 9)]
    contents = []
    for name in ("b.onnx", "c.onnx"):
        quantise(source, tmp_path / name, inputs if static else None)
        contents.append((tmp_path / name).read_bytes())
    assert contents[0] == contents[1]
    graph = onnx.load(tmp_path / "b.onnx").graph
    kinds = [it.op_type for it in graph.node]
    assert "Conv" in kinds
    assert ("DynamicQuantizeLinear" in kinds) == (not static)
    assert kinds.count("MatMul") == (2 if static else 1)  # of static int8, between a DequantizeLinear and the result
    assert kinds.count("QuantizeLinear") == (1 if static else 0)
    scales = [it for it in graph.initializer if it.name == "weight_scale"]
    assert [list(it.dims) for it in scales] == [[8]]
    assert [it.data_type for it in graph.initializer if it.name == "weight_quantized"] == [TensorProto.INT8]
