"""Graphs as files: ONNX and `torch.export`, in float32 or bf16."""

import io
import json
import logging
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from inattention.export.config import ExportError
from inattention.export.metadata import KEY

INPUTS = ("features", "valid")
METADATA_FILE = "inattention.json"  # in a .pt2 file


class Bf16Linear(nn.Module):
    """A linear layer whose product is in bf16, between float32 inputs and outputs.

    Args:
        linear: the layer in float32.
    """

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().bfloat16())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().bfloat16())

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer."""
        return F.linear(x.bfloat16(), self.weight, self.bias).to(x.dtype)


def to_bf16(model: nn.Module) -> None:
    """Replace the linear layers of a model, in place."""
    for name, module in list(model.named_modules()):
        if type(module) is nn.Linear:
            model.set_submodule(name, Bf16Linear(module))


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress what PyTorch's exporter prints: errors are raised."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def lower(graph: nn.Module, inputs: tuple[Tensor, Tensor], shapes: Any, name: str) -> torch.export.ExportedProgram:
    """Return a graph of a model for every batch, length and padding.

    Args:
        graph: the model as a function of features and a padding mask.
        inputs: an example.
        shapes: dynamic dimensions of both.
        name: of the model, for errors.

    Raises:
        ExportError: if a mechanism cannot be exported.
    """
    try:
        with _quiet():
            return torch.export.export(graph.eval(), inputs, dynamic_shapes=shapes, strict=False)
    except Exception as error:  # a mechanism may do whatever a graph cannot hold
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{name}: cannot be exported, as PyTorch makes no graph of it ({reason})") from error


def to_onnx(program: torch.export.ExportedProgram, outputs: Sequence[str], name: str) -> Any:
    """Return a graph as an ONNX model.

    Raises:
        ExportError: if ONNX has no operation for a part of it.
    """
    try:
        with _quiet():
            made = torch.onnx.export(
                program, dynamo=True, input_names=list(INPUTS), output_names=list(outputs), verbose=False
            )
            assert made is not None
            model = made.model_proto
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise ExportError(f"{name}: cannot be exported to ONNX ({reason}); --out encoder.pt2 may work") from error
    _fold_transposes(model.graph)
    return model


def _fold_transposes(graph: Any) -> None:
    """Replace transposes of weights by transposed weights.

    PyTorch's exporter folds only those of weights that are used once. Where layers share their weights, every product
    would be with the result of a node, which is no weight for a quantiser.
    """
    from onnx import numpy_helper

    weights = {it.name: it for it in graph.initializer}
    for node in [it for it in graph.node if it.op_type == "Transpose" and it.input[0] in weights]:
        values = numpy_helper.to_array(weights[node.input[0]])
        order = next((list(it.ints) for it in node.attribute if it.name == "perm"), None)
        graph.initializer.append(numpy_helper.from_array(values.transpose(order).copy(), node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input} | {it.name for it in graph.output}
    for weight in [it for it in graph.initializer if it.name not in used]:
        graph.initializer.remove(weight)


def write_onnx(model: Any, metadata: dict[str, Any], path: Path) -> None:
    """Write an ONNX model with its metadata.

    Raises:
        ExportError: if it is larger than a single ONNX file can be.
    """
    from google.protobuf.message import EncodeError

    del model.metadata_props[:]
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(metadata)
    try:
        content = model.SerializeToString()
    except (EncodeError, ValueError) as error:
        raise ExportError(
            "the encoder is larger than 2 GiB, which one ONNX file cannot hold; use an --out that ends in .pt2"
        ) from error
    path.write_bytes(content)


def write_program(program: torch.export.ExportedProgram, metadata: dict[str, Any], path: Path) -> None:
    """Write a `torch.export` program with its metadata."""
    with _quiet(), path.open("wb") as file:
        torch.export.save(program, file, extra_files={METADATA_FILE: json.dumps(metadata)})
