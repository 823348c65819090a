"""What an exported file says of itself, so that it stands alone: one JSON text in its metadata."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from inattention.export.blocks import blocks_metadata, mixing_reaches
from inattention.export.config import ExportConfig
from inattention.export.prepare import Prepared
from inattention.export.subject import Subject
from inattention.version import __version__

KEY = "inattention"
FORMAT = 1
QUANTISATION = ("dynamic", "static")
PACKAGES = ("torch", "onnx", "onnxruntime")


def output_names(states: Sequence[int]) -> list[str]:
    """Return the names of outputs.

    >>> output_names([0, 6])
    ['hidden_state_0', 'hidden_state_6']
    """
    return [f"hidden_state_{state}" for state in states]


def describe(
    subject: Subject,
    prepared: Prepared,
    config: ExportConfig,
    states: Sequence[int],
    tolerance: float,
    suffix: str,
) -> dict[str, Any]:
    """Return the metadata of a file as JSON data.

    Args:
        subject: the encoder.
        prepared: what is exported of it.
        config: settings of the export.
        states: numbers of the hidden states that the file returns.
        tolerance: greatest relative error against PyTorch that was allowed.
        suffix: of the file.
    """
    reaches = mixing_reaches(prepared.model)
    known = [it for it in reaches if it is not None]
    reach = None if len(known) < len(reaches) else (sum(it.back for it in known), sum(it.ahead for it in known))
    seconds = subject.source.step_seconds
    return {
        "format": FORMAT,
        "name": subject.source.name,
        "features": subject.features(),
        "frame_shift_seconds": seconds,
        "first_center_seconds": subject.source.first_center_seconds,
        "longest_frames": subject.longest,
        "width": subject.source.width,
        "layers": subject.source.layers,
        "outputs": dict(zip(output_names(states), states, strict=True)),
        "precision": config.precision,
        "quantisation": QUANTISATION[config.calibrate is not None] if config.precision == "int8" else None,
        "tolerance": tolerance,
        "band_bound": prepared.bound,
        "two_level_share": prepared.moved,
        "reach_frames": None if reach is None else list(reach),
        "reach_seconds": None if reach is None else [frames * seconds for frames in reach],
        **blocks_metadata(subject, prepared, suffix),
        "forms": {name: dict(Counter(it.form for it in forms)) for name, forms in prepared.forms.items()},
        "made_with": {"inattention": __version__, **{name: _version(name) for name in PACKAGES}},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
