"""Attention maps of a teacher and its student on one example, small enough to be shown on a page."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float
from safetensors.numpy import save
from torch import Tensor, nn

from inattention.analysis.map_images import shrink
from inattention.conversion.trained.speech import Example
from inattention.conversion.trained.starts import attention_inputs, maps_or_none
from inattention.conversion.trained.task import Task
from inattention.conversion.trained.teacher import TeacherOutputs
from inattention.encoders.attention_handles import attention_handles
from inattention.files import write_bytes
from inattention.model.chunks import evaluating

SIDE = 96  # pixels
MOST_MAPS = 96  # heads that are kept of each model
_FRAMES = 250  # of the example that is preferred

Item = TypeVar("Item")
Maps = dict[int, Float[np.ndarray, "heads side side"]]


def save_maps(
    path: Path,
    task: Task,
    models: Mapping[str, nn.Module],
    held_out: Sequence[tuple[Example, TeacherOutputs]],
    layers: Sequence[int],
    longest: int,
) -> None:
    """Write the maps of some layers on one held-out example.

    Args:
        path: the file, with one tensor ``NAME.LAYER`` of (heads, side, side) for each model and layer.
        task: runs the models.
        models: teacher and student, by name.
        held_out: examples to choose from; the one whose length suits an image best is used.
        layers: layers to keep; evenly spaced ones if these are too many.
        longest: greatest number of frames of the teacher's input.
    """
    example, outputs = min(held_out, key=lambda it: (abs(it[1].frames - _FRAMES), it[0].index))
    heads = attention_handles(models["teacher"])[0].heads
    kept = spaced(layers, max(1, MOST_MAPS // heads))
    tensors: dict[str, np.ndarray] = {"frames": np.array([outputs.frames])}
    for name, model in models.items():
        frames = longest if name == "teacher" else outputs.frames
        found = _maps(model, lambda model=model, frames=frames: task.hidden(model, example, frames), kept)
        for layer, maps in found.items():
            cropped = maps[:, : outputs.frames, : outputs.frames]
            tensors[f"{name}.{layer}"] = np.stack([shrink(it, SIDE) for it in cropped]).astype(np.float16)
    write_bytes(path, save(tensors))


def spaced(items: Sequence[Item], most: int) -> tuple[Item, ...]:
    """Return at most so many items, evenly spaced, the first and the last among them.

    >>> spaced(range(12), 4), spaced(range(3), 4)
    ((0, 4, 7, 11), (0, 1, 2))
    """
    if len(items) <= most:
        return tuple(items)
    return tuple(items[round(place)] for place in np.linspace(0, len(items) - 1, most))


@torch.no_grad()
def _maps(model: nn.Module, run: Callable[[], object], layers: Sequence[int]) -> Maps:
    """Return the maps of layers in one run; none of a mechanism without any."""
    found: Maps = {}

    def record(layer: int, module: nn.Module, hidden: Tensor) -> None:
        maps = maps_or_none(module, hidden)
        if maps is not None:
            found[layer] = maps[0].float().cpu().numpy()

    with attention_inputs(model, layers, record), evaluating(model):
        run()
    return found
