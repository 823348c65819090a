"""Tiny exported files made by hand, whose hidden state is the input times a constant: no exporter is run."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from inattention.audio.config import FeatureConfig

FEATURES = {
    "kind": "log-mel",
    **{name: getattr(FeatureConfig(fft_size=1024, mels=4), name) for name in FeatureConfig.__dataclass_fields__},
}
ABOUT: dict[str, Any] = {
    "format": 1,
    "features": FEATURES,
    "frame_shift_seconds": 0.0375,
    "first_center_seconds": 0.0125,
    "longest_frames": 40,
    "width": 24,
    "layers": 3,
    "outputs": {"hidden_state_3": 3},
    "precision": "float32",
}


def made_onnx(
    path: Path, about: Any = ABOUT, *, scale: float = 2.0, inputs: tuple[str, str] = ("features", "valid")
) -> Path:
    """Write a file whose only output is the features, zeroed at padding, times a constant."""
    features, valid = inputs
    nodes = [
        helper.make_node("Cast", [valid], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "last"], ["mask"]),
        helper.make_node("Mul", [features, "mask"], ["clean"]),
        helper.make_node("Mul", ["clean", "scale"], ["hidden_state_3"]),
    ]
    constants = {"last": np.array([2]), "scale": np.array(scale, np.float32)}
    graph = helper.make_graph(
        nodes,
        "made",
        [
            helper.make_tensor_value_info(features, TensorProto.FLOAT, ["batch", "time", 24]),
            helper.make_tensor_value_info(valid, TensorProto.BOOL, ["batch", "time"]),
        ],
        [helper.make_tensor_value_info("hidden_state_3", TensorProto.FLOAT, ["batch", "time", 24])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    if about is not None:
        text = about if isinstance(about, str) else json.dumps(about)
        model.metadata_props.append(onnx.StringStringEntryProto(key="inattention", value=text))
    path.write_bytes(model.SerializeToString())
    return path


WHISPER_ABOUT: dict[str, Any] = {
    **ABOUT,
    "features": {
        "kind": "whisper",
        "sampling_rate": 16_000,
        "fft_size": 400,
        "hop_samples": 160,
        "mels": 8,
        "silence_frames": 25,
    },
    "frame_shift_seconds": 0.02,
    "first_center_seconds": 0.0,
    "longest_frames": 100,
    "width": 8,
}


def made_whisper(path: Path) -> Path:
    """Write a file whose only output is every other frame of the spectrum; its longest input is 2 s."""
    nodes = [
        helper.make_node("Transpose", ["features"], ["turned"], perm=[0, 2, 1]),
        helper.make_node("Slice", ["turned", "first", "last", "axis", "step"], ["every"]),
        helper.make_node("Cast", ["valid"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["numbers", "end"], ["mask"]),
        helper.make_node("Mul", ["every", "mask"], ["hidden_state_3"]),
    ]
    constants = {"first": [0], "last": [10_000], "axis": [1], "step": [2], "end": [2]}
    graph = helper.make_graph(
        nodes,
        "made",
        [
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["batch", 8, "frames"]),
            helper.make_tensor_value_info("valid", TensorProto.BOOL, ["batch", "time"]),
        ],
        [helper.make_tensor_value_info("hidden_state_3", TensorProto.FLOAT, ["batch", "time", 8])],
        [numpy_helper.from_array(np.array(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    model.metadata_props.append(onnx.StringStringEntryProto(key="inattention", value=json.dumps(WHISPER_ABOUT)))
    path.write_bytes(model.SerializeToString())
    return path
