"""`Encoder`: recordings of any rate and length, alone and in batches; files that are no encoder are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import soundfile
from onnx import TensorProto, numpy_helper

from inattention_runtime import AudioError, Encoder, ModelFileError
from inattention_runtime.features import frames_of
from made_onnx import ABOUT, FEATURES, WHISPER_ABOUT, made_onnx


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


def of_whisper(longest: int = 100, **fields: Any) -> dict[str, Any]:
    return {**WHISPER_ABOUT, "longest_frames": longest, "features": {**WHISPER_ABOUT["features"], **fields}}


def of_waveforms(kernels: list[Any], strides: list[Any], **fields: Any) -> dict[str, Any]:
    features = {"kind": "waveform", "sampling_rate": 16_000, "normalise": True, "kernels": kernels, "strides": strides}
    return changed(features=features, **fields)


# Of each kind of value: what no export writes, and what would fill the memory or the time of a stranger's victim.
NO_NUMBERS = {
    "text": "24",
    "other digits": "\u0662\u0664",
    "true": True,
    "null": None,
    "list": [24],
    "object": {"24": 24},
    "negative": -1,
    "NaN": float("nan"),
    "infinite": float("inf"),
    "of 400 digits": 10**400,
}
HOSTILE = {
    "nothing": None,
    "no JSON": "{",
    "deep": "[" * 100_000,
    "a number of 5000 digits": '{"format": ' + "1" * 5000 + "}",
    "huge": json.dumps(changed(name="x" * 2**21)),
    "a list": [],
    "text": json.dumps("encoder"),
    "another format": changed(format=2),
    "truth for a format": changed(format=True),
    "no frames": changed(longest_frames=0),
    "half a frame": changed(longest_frames=40.5),
    "a precision of its own": changed(precision="../../etc/passwd"),
    "other outputs": changed(outputs={"hidden_state_9": 3}),
    "outputs like paths": changed(outputs={"../../hidden_state_3": 3}),
    "outputs as a list": changed(outputs=["hidden_state_3"]),
    "a layer too many": changed(outputs={"hidden_state_3": 4}),
    "a layer below 0": changed(outputs={"hidden_state_3": -1}),
    "truth for a layer": changed(outputs={"hidden_state_3": True}),
    "unknown features": with_features(kind="cepstra"),
    "a name of features without end": with_features(kind="x" * 2**19),
    "kind is a list": with_features(kind=[]),
    "no features": changed(features=None),
    "features as a list": changed(features=[FEATURES]),
    "a transform that fills the memory": with_features(fft_size=2**40),
    "mel filters that fill the memory": with_features(fft_size=2**16, mels=4096),
    "frames that fill the memory": with_features(hop_seconds=1 / 16_000, mels=512),
    "no hop": with_features(hop_seconds=1e-5),
    "a window beyond the transform": with_features(window_seconds=1.0),
    "bands beyond half the rate": with_features(highest_hz=9000.0),
    "a delta without a middle": with_features(delta_frames=4),
    "kernels without strides": of_waveforms([2, 2], [1]),
    "no kernels": of_waveforms([], []),
    "a kernel as text": of_waveforms(["2"], [1]),
    "a stride of nothing": of_waveforms([2], [0]),
    "strides beyond any number": of_waveforms([1] * 32, [4096] * 32),
    "pieces longer than any recording": of_waveforms([10], [4096], longest_frames=1_000_000),
    "a window of weeks": of_whisper(longest=1_000_000, hop_samples=2**16),
    "spectra that fill the memory": of_whisper(longest=10_000, fft_size=2**16),
    "too many bands of Whisper": of_whisper(mels=4096, fft_size=2**16),
    **{f"{kind} for a width": changed(width=value) for kind, value in NO_NUMBERS.items()},
    **{f"{kind} for a frame shift": changed(frame_shift_seconds=value) for kind, value in NO_NUMBERS.items()},
    **{f"{kind} for a hop": with_features(hop_seconds=value) for kind, value in NO_NUMBERS.items()},
    **{f"{kind} for a stack": with_features(stack=value) for kind, value in NO_NUMBERS.items()},
    **{f"{kind} for silence": of_whisper(silence_frames=value) for kind, value in NO_NUMBERS.items() if kind != "null"},
    **{f"no {key}": {name: value for name, value in ABOUT.items() if name != key} for key in ABOUT},
    **{
        f"no {key} of {about['features']['kind']}": {
            **about,
            "features": {name: value for name, value in about["features"].items() if name != key},
        }
        for about in (ABOUT, WHISPER_ABOUT, of_waveforms([2], [1]))
        for key in about["features"]
    },
}


@pytest.mark.parametrize("about", HOSTILE.values(), ids=HOSTILE.keys())
def test_metadata_that_no_export_wrote_is_refused(about: Any, tmp_path: Path) -> None:
    text = about if isinstance(about, str) or about is None else json.dumps(about)
    with pytest.raises(ModelFileError, match=r"made\.onnx: ") as refused:
        Encoder(made_onnx(tmp_path / "made.onnx", text))
    assert len(str(refused.value)) < 300 + len(str(tmp_path))
    assert str(refused.value).isascii()


def retyped(model: onnx.ModelProto) -> None:
    model.graph.input[1].type.tensor_type.elem_type = TensorProto.FLOAT
    model.graph.node[0].attribute[0].i = TensorProto.FLOAT


def as_text(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = "numbers_of_it"
    model.graph.node.append(onnx.helper.make_node("Cast", ["numbers_of_it"], ["hidden_state_3"], to=TensorProto.STRING))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING


def of_another_operator_set(model: onnx.ModelProto) -> None:
    model.graph.node[-1].domain = "of.a.stranger"
    model.opset_import.append(onnx.helper.make_opsetid("of.a.stranger", 1))


def with_a_huge_tensor(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims.extend([2**40])


def with_a_negative_dimension(model: onnx.ModelProto) -> None:
    model.graph.initializer[1].dims.extend([-1])


GRAPHS = {
    "a mask of numbers": (retyped, "does not take features and valid"),
    "text": (as_text, "something else than float32"),
    "operators of a stranger": (of_another_operator_set, "is no ONNX file that onnxruntime can run"),
    "a huge tensor": (with_a_huge_tensor, "is no ONNX file that onnxruntime can run"),
    "a negative dimension": (with_a_negative_dimension, "is no ONNX file that onnxruntime can run"),
}


@pytest.mark.parametrize(("change", "reason"), GRAPHS.values(), ids=GRAPHS.keys())
def test_graphs_that_are_no_encoder_are_refused(change: Any, reason: str, tmp_path: Path) -> None:
    model = onnx.load(made_onnx(tmp_path / "made.onnx"))
    change(model)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match=rf"made\.onnx: .*{reason}"):
        Encoder(tmp_path / "made.onnx")


def turned(model: onnx.ModelProto) -> None:
    replaced(model, onnx.helper.make_node("Transpose", ["before"], ["hidden_state_3"], perm=[0, 2, 1]))


def summed(model: onnx.ModelProto) -> None:
    replaced(model, onnx.helper.make_node("ReduceSum", ["before"], ["hidden_state_3"], keepdims=0))


def enlarged(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.array([2**40]), "shape"))
    model.graph.node.append(onnx.helper.make_node("ConstantOfShape", ["shape"], ["zeros"]))
    model.graph.node.append(onnx.helper.make_node("ReduceSum", ["zeros"], ["zero"], keepdims=0))
    replaced(model, onnx.helper.make_node("Add", ["before", "zero"], ["hidden_state_3"]))


def replaced(model: onnx.ModelProto, last: onnx.NodeProto) -> None:
    model.graph.node[3].output[0] = "before"
    model.graph.node.append(last)
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    if last.op_type != "ReduceSum":
        model.graph.output[0].type.tensor_type.ClearField("shape")


RUNS = {
    "another shape": (turned, r"returns \(1, 24, 27\) where its metadata says \(1, 27, 24\)"),
    "a single number": (summed, r"returns \(\) where"),
    "more memory than there is": (enlarged, "cannot be run"),
}


@pytest.mark.parametrize(("change", "reason"), RUNS.values(), ids=RUNS.keys())
def test_graphs_that_do_not_return_what_they_say_are_errors(change: Any, reason: str, tmp_path: Path) -> None:
    model = onnx.load(made_onnx(tmp_path / "made.onnx"))
    change(model)
    (tmp_path / "made.onnx").write_bytes(model.SerializeToString())
    encoder = Encoder(tmp_path / "made.onnx", threads=1)
    with pytest.raises(ModelFileError, match=rf"made\.onnx: .*{reason}"):
        encoder.extract(noise(1), sampling_rate=16_000)


def test_a_graph_for_other_features_than_its_metadata_s_is_an_error(tmp_path: Path) -> None:
    encoder = Encoder(made_onnx(tmp_path / "made.onnx", with_features(mels=5)), threads=1)
    with pytest.raises(ModelFileError, match=r"made\.onnx: its graph cannot be run .*Got: 30 Expected: 24"):
        encoder.extract(noise(1), sampling_rate=16_000)


def test_files_that_are_no_encoder_are_refused(tmp_path: Path) -> None:
    whole = made_onnx(tmp_path / "made.onnx").read_bytes()
    own_format = b"\x14\x00\x00\x00ORTM"
    for name, content in (("empty", b""), ("text", b"hello"), ("cut", whole[: len(whole) // 2]), ("ort", own_format)):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ModelFileError, match=name):
            Encoder(tmp_path / name)
    with pytest.raises(ModelFileError, match="is a folder"):
        Encoder(tmp_path)
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
