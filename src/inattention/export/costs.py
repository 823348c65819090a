"""What one head costs in each form on this machine, in ONNX Runtime or in PyTorch.

In ONNX Runtime, small graphs stand for the forms: a product with a matrix, blocks of a band, two Fourier transforms.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from inattention.attention.ops.banded import block_length
from inattention.attention.ops.toeplitz_band import Band
from inattention.export.forms import BandForm, DenseForm, FftForm, transform_length

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
    """Measure the forms in ONNX Runtime on an input of this length.

    Args:
        longest: greatest number of frames of the input.
        frames: number of frames of the input that is measured.
        head_dim: features of a head.
    """
    reaches = _reaches(longest)
    graphs = [
        _dense_graph(frames, head_dim),
        _fft_graph(longest, frames, head_dim),
        *(_band_graph(reach, frames, head_dim) for reach in reaches),
        _band_graph(1, 1, head_dim),
    ]
    return _costs([_run(graph, inputs) for graph, inputs in graphs], reaches)


@torch.no_grad()
def measure_torch_costs(longest: int, frames: int, head_dim: int) -> Costs:
    """Measure the forms in PyTorch, see `measure_costs`."""
    reaches = _reaches(longest)
    taps = torch.ones(1, 2 * longest - 1, dtype=torch.float64)
    x = torch.ones(1, 1, frames, head_dim)

    def band(reach: int, x: torch.Tensor) -> Callable[[], Any]:
        form = BandForm(taps, [Band(-(reach // 2), reach - 1 - reach // 2, level=0.0, outside=0.0)])
        return lambda: form(x)

    dense, transform = DenseForm(taps), FftForm(taps)
    matrix = dense.prepare(frames)
    calls = [lambda: dense(x, matrix), lambda: transform(x), *(band(it, x) for it in reaches), band(1, x[:, :, :1])]
    return _costs(calls, reaches)


def _reaches(longest: int) -> tuple[int, ...]:
    return tuple(sorted({1, *(reach for reach in (33, 129, 513, 2 * longest - 1) if reach < 2 * longest)}))


def _costs(calls: Sequence[Callable[[], Any]], reaches: tuple[int, ...]) -> Costs:
    """Measure in turns; the least time of several rounds, as other work on the machine only adds to it."""
    best = [float("inf")] * len(calls)
    for _ in range(_ROUNDS):
        for place, call in enumerate(calls):
            began = perf_counter()
            for _ in range(_CALLS):
                call()
            best[place] = min(best[place], (perf_counter() - began) / _CALLS)
    return Costs(best[0], best[1], reaches, tuple(best[2:-1]), best[-1])


def _run(graph: Any, inputs: dict[str, np.ndarray]) -> Callable[[], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return lambda: session.run(None, inputs)


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
