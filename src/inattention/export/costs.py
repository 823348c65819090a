"""What one head costs in each form in ONNX Runtime on this machine.

Small graphs stand for the forms: a product with a matrix, blocks of a band, two Fourier transforms.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from inattention.attention.ops.banded import block_length
from inattention.export.forms import transform_length

_ROUNDS = 7
_CALLS = 3


@dataclass(frozen=True)
class Costs:
    """Measured times of one head, in seconds.

    Attributes:
        dense: of a product with a matrix.
        fft: of Fourier transforms.
        reaches: of bands of these numbers of keys, in ascending order.
        bands: times of those bands.
        call: of a band for next to no input: what each further group of heads costs.
    """

    dense: float
    fft: float
    reaches: tuple[int, ...]
    bands: tuple[float, ...]
    call: float

    def band(self, reach: int) -> float:
        """Return the time of a band, between those that were measured.

        >>> Costs(dense=1, fft=1, reaches=(1, 3), bands=(1.0, 2.0), call=0).band(2)
        1.5
        """
        return float(np.interp(reach, self.reaches, self.bands))


def measure_costs(longest: int, frames: int, head_dim: int) -> Costs:
    """Measure the forms on an input of this length, the graphs in turns.

    Args:
        longest: greatest number of frames of the input.
        frames: number of frames of the input that is measured.
        head_dim: features of a head.
    """
    reaches = tuple(sorted({1, *(reach for reach in (33, 129, 513, 2 * longest - 1) if reach < 2 * longest)}))
    graphs = [
        _dense_graph(frames, head_dim),
        _fft_graph(longest, frames, head_dim),
        *(_band_graph(reach, frames, head_dim) for reach in reaches),
        _band_graph(1, 1, head_dim),
    ]
    times = _times(graphs)
    return Costs(times[0], times[1], reaches, tuple(times[2:-1]), times[-1])


def _times(graphs: Sequence[tuple[Any, dict[str, np.ndarray]]]) -> list[float]:
    """Return the least time of each graph over several rounds: other work on the machine only adds to it."""
    import onnxruntime

    sessions = [(onnxruntime.InferenceSession(it.SerializeToString()), inputs) for it, inputs in graphs]
    best = [float("inf")] * len(sessions)
    for _ in range(_ROUNDS):
        for place, (session, inputs) in enumerate(sessions):
            began = perf_counter()
            for _ in range(_CALLS):
                session.run(None, inputs)
            best[place] = min(best[place], (perf_counter() - began) / _CALLS)
    return best


def _dense_graph(frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import helper

    matrix = np.ones((1, frames, frames), np.float32)
    return _graph([helper.make_node("MatMul", ["matrix", "x"], ["y"])], {"matrix": matrix}, frames, head_dim)


def _band_graph(reach: int, frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import helper

    block = block_length(0, reach - 1)
    keys, blocks = block + reach - 1, -(-frames // block)
    # What lies outside stands for padding: the last frame is read again.
    places = np.minimum(np.arange(blocks)[:, None] * block + np.arange(keys), frames - 1)
    constants = {"places": places, "matrix": np.ones((1, block, keys), np.float32)}
    nodes = [
        helper.make_node("Gather", ["x", "places"], ["windows"], axis=0),
        helper.make_node("MatMul", ["matrix", "windows"], ["y"]),
    ]
    return _graph(nodes, constants, frames, head_dim)


def _fft_graph(longest: int, frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import TensorProto, helper

    length = transform_length(longest)
    constants = {
        "pads": np.array([0, 0, 0, length - frames]),
        "shape": np.array([head_dim, length, 1]),
        "length": np.array(length),
        "axis": np.array(1),
    }
    nodes = [
        helper.make_node("Transpose", ["x"], ["turned"], perm=[1, 0]),
        helper.make_node("Cast", ["turned"], ["wide"], to=TensorProto.DOUBLE),
        helper.make_node("Pad", ["wide", "pads"], ["padded"]),
        helper.make_node("Reshape", ["padded", "shape"], ["signal"]),
        helper.make_node("DFT", ["signal", "length", "axis"], ["spectrum"]),
        helper.make_node("DFT", ["spectrum", "length", "axis"], ["back"], inverse=1),
        helper.make_node("Cast", ["back"], ["y"], to=TensorProto.FLOAT),
    ]
    return _graph(nodes, constants, frames, head_dim)


def _graph(
    nodes: Sequence[Any], constants: dict[str, np.ndarray], frames: int, head_dim: int
) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        list(nodes),
        "form",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [frames, head_dim])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model, {"x": np.ones((frames, head_dim), np.float32)}
