"""Beginnings of files of features, whose frames follow as they are computed: .npy and safetensors."""

import json
from collections.abc import Mapping
from io import BytesIO

import numpy as np
from jaxtyping import Float


def npy(array: np.ndarray) -> bytes:
    """Return an array as the content of a .npy file."""
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def npy_head(times: Float[np.ndarray, " time"], width: int, metadata: Mapping[str, str]) -> bytes:
    """Return the beginning of a .npy file of features in float32; it has no metadata."""
    buffer = BytesIO()
    head = {"descr": "<f4", "fortran_order": False, "shape": (len(times), width)}
    np.lib.format.write_array_header_1_0(buffer, head)
    return buffer.getvalue()


def safetensors_head(times: Float[np.ndarray, " time"], width: int, metadata: Mapping[str, str]) -> bytes:
    """Return the beginning of a safetensors file, up to the features in float32, the last of its tensors.

    The times in float64 come first, as the library stores wider types first.
    """
    end, frames = 8 * len(times), len(times)
    tensors = {
        "__metadata__": dict(metadata),
        "times": {"dtype": "F64", "shape": [frames], "data_offsets": [0, end]},
        "features": {"dtype": "F32", "shape": [frames, width], "data_offsets": [end, end + 4 * frames * width]},
    }
    head = json.dumps(tensors, ensure_ascii=False, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + times.astype("<f8").tobytes()
