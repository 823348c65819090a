"""Contents of the page, read from the folders of a conversion and of its measurements."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

RECORD, MEASUREMENTS, DIFFERING = "conversion.json", "measurements.json", "transcripts-differing.json"
MAPS = "maps.safetensors"
_CURVE = "distillation/curve.jsonl"


@dataclass(frozen=True)
class LayerMaps:
    """Attention maps of one layer on one example.

    Attributes:
        layer: its number, from 0.
        teacher: map of each head.
        student: map of each head; None of a mechanism without maps.
        replaced: whether each head was replaced.
    """

    layer: int
    teacher: Float[np.ndarray, "heads side side"]
    student: Float[np.ndarray, "heads side side"] | None
    replaced: tuple[bool, ...]


@dataclass(frozen=True)
class Sources:
    """Contents of the page.

    Attributes:
        record: ``conversion.json``.
        curve: held-out error at some steps.
        maps: attention maps by layer.
        map_frames: number of frames of these maps.
        measurements: ``measurements.json`` if it is about this very model.
        differing: the transcripts that differ most, with their audio.
    """

    record: dict[str, Any]
    curve: list[dict[str, float]]
    maps: list[LayerMaps]
    map_frames: int
    measurements: dict[str, Any] | None
    differing: list[dict[str, Any]]


def read_sources(converted: Path, measured: Path) -> Sources:
    """Read the contents of the page.

    Args:
        converted: folder of a converted model.
        measured: folder of its measurements, if there are any.

    Raises:
        ValueError: if the folder of the model has no ``conversion.json``, or a damaged one.
    """
    record = _read(converted / RECORD)
    if not isinstance(record, dict) or "relative_error" not in record:
        raise ValueError(f"{converted / RECORD} is not the record of a conversion")
    measurements = _read(measured / MEASUREMENTS) if (measured / MEASUREMENTS).is_file() else None
    digest = record.get("model", {}).get("digest")
    if not isinstance(measurements, dict) or digest is None or measurements.get("model", {}).get("digest") != digest:
        measurements = None
    found = _read(measured / DIFFERING) if measurements and (measured / DIFFERING).is_file() else None
    differing = found["utterances"] if isinstance(found, dict) and found.get("digest") == digest else []
    maps, frames = _maps(converted / MAPS, record)
    return Sources(record, record.get("curve") or _curve(converted / _CURVE), maps, frames, measurements, differing)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _curve(path: Path) -> list[dict[str, float]]:
    """Return the curve of a conversion of the version that did not record it."""
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _maps(path: Path, record: dict[str, Any]) -> tuple[list[LayerMaps], int]:
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError):
        return [], 0
    found = []
    for layer, replacement in enumerate(record["conversion"]["layers"]):
        teacher = tensors.get(f"teacher.{layer}")
        if teacher is None or replacement is None:
            continue
        student = tensors.get(f"student.{layer}")
        heads = replacement["heads"]
        replaced = tuple(heads is None or head in heads for head in range(len(teacher)))
        maps = None if student is None else student.astype(np.float32)
        found.append(LayerMaps(layer, teacher.astype(np.float32), maps, replaced))
    return found, int(tensors["frames"][0]) if "frames" in tensors else 0
