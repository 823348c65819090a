"""What one head costs in each form on this machine, in ONNX Runtime or in PyTorch.

In ONNX Runtime, small graphs stand for the forms: a product with a matrix, blocks of a band, two Fourier transforms,
blocks of near frames with sums of far ones.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import torch

from inattention.attention.ops.banded import block_length
from inattention.attention.ops.toeplitz_band import Band
from inattention.export.forms import PANEL, BandForm, DenseForm, FftForm, transform_length
from inattention.export.two_level import BLOCK, KEYS, QUERIES, REACH, TwoLevelForm

_ROUNDS = 7
_CALLS = 3
_LEAST = 1e-9  # seconds
_HOPELESS = 100.0  # times as slow as the fastest


@dataclass(frozen=True)
class Costs:
    """Measured times of one head, in seconds: what a head adds to a call that is made for other heads anyway.

    Attributes:
        dense: of a product with a matrix.
        matrix: of making the matrix, which is done once in a pass for all layers that share a mechanism.
        fft: of Fourier transforms.
        two_level: of near frames one by one and far frames in blocks.
        reaches: of bands of these numbers of keys, in ascending order.
        bands: times of those bands, each in a call of its own.
        call: of a band for next to no input: what each further group of heads costs.
    """

    dense: float
    matrix: float
    fft: float
    two_level: float
    reaches: tuple[int, ...]
    bands: tuple[float, ...]
    call: float

    def band(self, reach: int) -> float:
        """Return the time of a band, between those that were measured.

        >>> Costs(dense=1, matrix=1, fft=1, two_level=1, reaches=(1, 3), bands=(1.0, 2.0), call=0).band(2)
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
    graphs = [_fft_graph(longest, frames, head_dim)]
    for length, bands in ((frames, reaches), (1, (1,))):
        graphs += [
            _dense_graph(length, head_dim),
            _matrix_graph(length, head_dim),
            _two_level_graph(length, head_dim),
            *(_band_graph(reach, length, head_dim) for reach in bands),
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

    def others(x: torch.Tensor) -> list[Callable[[], Any]]:
        dense, levels, time = DenseForm(taps), TwoLevelForm(taps), x.shape[2]
        matrix, blocks = dense.prepare(time), levels.prepare(time)
        return [lambda: dense(x, matrix), lambda: dense.prepare(time), lambda: levels(x, blocks)]

    empty, transform = x[:, :, :1], FftForm(taps)
    bands = [band(reach, x) for reach in reaches]
    return _costs([lambda: transform(x), *others(x), *bands, *others(empty), band(1, empty)], reaches)


def _reaches(longest: int) -> tuple[int, ...]:
    return tuple(sorted({1, *(reach for reach in (33, 129, 513, 2 * longest - 1) if reach < 2 * longest)}))


def _costs(calls: Sequence[Callable[[], Any]], reaches: tuple[int, ...]) -> Costs:
    """Measure in turns; the least time of several rounds, as other work on the machine only adds to it.

    What is far slower than another form is measured once.

    Args:
        calls: fft, dense, matrix, two_level and the bands; then dense, matrix, two_level and a band of one frame.
        reaches: numbers of keys of the bands.
    """
    best = [float("inf")] * len(calls)
    forms = 4 + len(reaches)
    for _ in range(_ROUNDS):
        hopeless = _HOPELESS * min(best[:forms])
        for place, call in enumerate(calls):
            if hopeless < best[place] < float("inf"):
                continue
            began = perf_counter()
            for _ in range(_CALLS):
                call()
            best[place] = min(best[place], (perf_counter() - began) / _CALLS)
    full, empty = best[:forms], best[forms:]
    # Not of fft: transforms of one frame take as long.
    dense, matrix, two_level = (max(it - call, _LEAST) for it, call in zip(full[1:4], empty[:3], strict=True))
    return Costs(dense, matrix, full[0], two_level, reaches, tuple(full[4:]), empty[3])


def _run(graph: Any, inputs: dict[str, np.ndarray]) -> Callable[[], Any]:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph.SerializeToString())
    return lambda: session.run(None, inputs)


def _dense_graph(frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import helper

    matrix = np.ones((1, frames, frames), np.float32)
    return _graph([helper.make_node("MatMul", ["matrix", "x"], ["y"])], {"matrix": matrix}, frames, head_dim)


def _matrix_graph(frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import helper

    count = -(-frames // PANEL)
    first = (count - 1) * PANEL
    constants = {
        "zero": np.array(0),
        "one": np.array(1),
        "shifts": first - np.arange(count) * PANEL,
        "panel": np.ones((frames + first, PANEL), np.float32),
    }
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"], start=0, end=1),
        helper.make_node("Squeeze", ["shape"], ["length"]),
        helper.make_node("Range", ["zero", "length", "one"], ["keys"]),
        helper.make_node("Unsqueeze", ["keys", "one"], ["rows"]),
        helper.make_node("Add", ["rows", "shifts"], ["places"]),
        helper.make_node("Gather", ["panel", "places"], ["y"], axis=0),
    ]
    return _graph(nodes, constants, frames, head_dim, free=True)


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


def _two_level_graph(frames: int, head_dim: int) -> tuple[Any, dict[str, np.ndarray]]:
    from onnx import helper

    count, each = -(-frames // QUERIES), QUERIES // BLOCK
    blocks = count * each
    # What lies outside stands for padding: the last frame is read again.
    constants = {
        "places": np.minimum(np.arange(count)[:, None] * QUERIES + np.arange(KEYS), frames - 1),
        "inside": np.arange(REACH, REACH + QUERIES),
        "near": np.ones((1, QUERIES, KEYS), np.float32),
        "far": np.ones((blocks, blocks), np.float32),
        "by block": np.array([blocks, BLOCK, head_dim]),
        "one row each": np.array([blocks, 1, head_dim]),
        "axis": np.array([1]),
    }
    nodes = [
        helper.make_node("Gather", ["x", "places"], ["windows"], axis=0),
        helper.make_node("Gather", ["windows", "inside"], ["middle"], axis=1),
        helper.make_node("Reshape", ["middle", "by block"], ["blocks"]),
        helper.make_node("ReduceSum", ["blocks", "axis"], ["sums"], keepdims=0),
        helper.make_node("MatMul", ["far", "sums"], ["far away"]),
        helper.make_node("Reshape", ["far away", "one row each"], ["of each block"]),
        helper.make_node("MatMul", ["near", "windows"], ["close by"]),
        helper.make_node("Reshape", ["close by", "by block"], ["of each frame"]),
        helper.make_node("Add", ["of each frame", "of each block"], ["y"]),
    ]
    return _graph(nodes, constants, frames, head_dim)


def _graph(
    nodes: Sequence[Any], constants: dict[str, np.ndarray], frames: int, head_dim: int, *, free: bool = False
) -> tuple[Any, dict[str, np.ndarray]]:
    """Return a graph and its input; of any length if free, so that what follows from the length is not precomputed."""
    from onnx import TensorProto, helper, numpy_helper

    length = "frames" if free else frames
    graph = helper.make_graph(
        list(nodes),
        "form",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [length, head_dim])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return model, {"x": np.ones((frames, head_dim), np.float32)}
