"""A graph in ONNX Runtime. Its file may come from a stranger, so what it takes and what it returns is checked."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from inattention_runtime.metadata import ModelFileError, check_self_contained

INPUTS = {"features": "tensor(float)", "valid": "tensor(bool)"}
PLACE = "first_frame"  # a third input, with a default, of encoders that take parts of longer recordings
LARGEST_FILE = 2**31  # bytes; no ONNX file is larger
_ORT = b"ORTM"  # behind the first 4 bytes
_FATAL = 4  # of log levels: errors are raised


class Graph:
    """The graph of an exported file.

    Args:
        path: the ``.onnx`` file.
        threads: number of threads; None for one for each core.

    Attributes:
        metadata: texts of the file by their keys.
        outputs: names of the outputs.
        placed: whether it takes the position of the first frame.

    Raises:
        ModelFileError: if the file is no graph that ONNX Runtime can run, refers to other files, or takes and returns
            something else than an encoder.
    """

    def __init__(self, path: Path, threads: int | None) -> None:
        import onnxruntime

        self.path = path
        if path.is_dir():
            raise ModelFileError(f"{path}: is a folder; `inattention export` writes a file of a model's folder")
        if not path.is_file():
            raise ModelFileError(f"{path}: there is no such file")
        if path.stat().st_size > LARGEST_FILE:
            raise ModelFileError(f"{path}: is no ONNX file, as it is larger than 2 GiB")
        content = path.read_bytes()
        if content[4:8] == _ORT:
            raise ModelFileError(f"{path}: is a file of onnxruntime's own format, not an ONNX file")
        check_self_contained(str(path), content)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _FATAL
        if threads is not None:
            if threads < 1:
                raise ValueError(f"threads must be at least 1, not {threads}")
            options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # of many types, none of them public
            raise ModelFileError(f"{path}: is no ONNX file that onnxruntime can run ({_reason(error)})") from error
        if {it.name: it.type for it in self._session.get_inputs()} != INPUTS:
            raise ModelFileError(f"{path}: its graph does not take {' and '.join(INPUTS)}")
        outputs = self._session.get_outputs()
        if any(it.type != "tensor(float)" for it in outputs):
            raise ModelFileError(f"{path}: its graph returns something else than float32 hidden states")
        self.metadata: Mapping[str, str] = self._session.get_modelmeta().custom_metadata_map
        optional = {it.name: it.type for it in self._session.get_overridable_initializers()}
        self.placed = optional.get(PLACE) == "tensor(int64)"
        self.outputs = [it.name for it in outputs]

    def run(
        self,
        output: str,
        features: np.ndarray,
        valid: np.ndarray,
        shape: tuple[int, int, int],
        first_frame: int = 0,
    ) -> np.ndarray:
        """Return one output.

        Args:
            output: its name.
            features: (batch, ...).
            valid: (batch, ...), True at what is no padding.
            shape: of the output, (batch, time, width).
            first_frame: position of the first frame, in a part of a longer recording.

        Raises:
            ModelFileError: if the graph cannot be run, or the output has another shape.
        """
        fed = {"features": features, "valid": valid}
        if first_frame:
            fed[PLACE] = np.array(first_frame, np.int64)
        try:
            found = np.asarray(self._session.run([output], fed)[0])
        except Exception as error:  # of many types, none of them public
            raise ModelFileError(f"{self.path}: its graph cannot be run ({_reason(error)})") from error
        if found.shape != shape:
            raise ModelFileError(f"{self.path}: its graph returns {found.shape} where its metadata says {shape}")
        return found


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
