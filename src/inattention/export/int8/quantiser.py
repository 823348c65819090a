"""Linear layers in int8 by ONNX Runtime's quantiser; convolutions and mixing over time stay in float32.

Weights have one scale per output channel. Activations are quantised with the range of each input as it comes
(dynamic), or with ranges that were measured beforehand on recordings (static).
"""

import logging
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

LINEAR = ["MatMul", "Gemm"]
Inputs = dict[str, np.ndarray]


def quantise(source: Path, target: Path, calibration: Iterable[Inputs] | None = None) -> None:
    """Write an ONNX model with linear layers in int8.

    Args:
        source: the model in float32.
        target: the file to write.
        calibration: inputs on which the ranges of activations are measured; None to measure those of each input when
            the file is run.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic, quantize_static

    common: dict[str, Any] = {
        "op_types_to_quantize": LINEAR,
        "nodes_to_quantize": linear_layers(onnx.load(source).graph),
        "per_channel": True,
        "weight_type": QuantType.QInt8,
    }
    with _quiet():
        if calibration is None:
            quantize_dynamic(source, target, **common)
            return
        reader: Any = _Reader(iter(calibration))
        # Results stay in float32: what follows is computed in float32, and a second rounding would double the error.
        options = {"OpTypesToExcludeOutputQuantization": LINEAR}
        quantize_static(source, target, reader, activation_type=QuantType.QUInt8, **common, extra_options=options)


def linear_layers(graph: Any) -> list[str]:
    """Return the names of an ONNX graph's products with weights; mixing over time has none on its right side."""
    weights = {it.name for it in graph.initializer}
    return [it.name for it in graph.node if it.op_type in LINEAR and it.input[1] in weights]


class _Reader:
    """Inputs as the quantiser asks for them."""

    def __init__(self, inputs: Iterator[Inputs]) -> None:
        self._inputs = inputs

    def get_next(self) -> Inputs | None:
        """Return the next input; None at the end."""
        return next(self._inputs, None)


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress the quantiser's recommendation of a step that its own documentation calls optional."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
