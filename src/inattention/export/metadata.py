"""What an exported file says of itself, so that it stands alone: one JSON text in its metadata."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from torch import nn

from inattention.attention import AttentionMechanism
from inattention.attention.mechanisms.none import NoMixing
from inattention.encoders.attention_handles import attention_handles
from inattention.encoders.converted_attention import ConvertedAttention
from inattention.export.config import ExportConfig
from inattention.export.forms import BandForm
from inattention.export.mixing import ExportedMixing
from inattention.export.prepare import Prepared
from inattention.export.subject import Subject
from inattention.model.encoder import Encoder
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
    subject: Subject, prepared: Prepared, config: ExportConfig, states: Sequence[int], tolerance: float
) -> dict[str, Any]:
    """Return the metadata of a file as JSON data.

    Args:
        subject: the encoder.
        prepared: what is exported of it.
        config: settings of the export.
        states: numbers of the hidden states that the file returns.
        tolerance: greatest difference from PyTorch that was allowed, or the greatest relative error of int8 and bf16.
    """
    reach = mixing_reach(prepared.model, subject.source.layers)
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
        "reach_frames": None if reach is None else list(reach),
        "reach_seconds": None if reach is None else [frames * seconds for frames in reach],
        "forms": {name: dict(Counter(it.form for it in forms)) for name, forms in prepared.forms.items()},
        "made_with": {"inattention": __version__, **{name: _version(name) for name in PACKAGES}},
    }


def mixing_reach(model: nn.Module, layers: int) -> tuple[int, int] | None:
    """Return how many frames to the left and to the right of a frame its mixing over all layers takes in.

    Args:
        model: the encoder, prepared for export.
        layers: number of layers.

    Returns:
        None if a mechanism has no limit. Convolutions before the layers are not counted.
    """
    if isinstance(model, Encoder):
        mechanisms = [mechanism for _, mechanism in model.depth()]
    else:
        modules = [handle.module for handle in attention_handles(model)]
        mechanisms = [it.mechanism for it in modules if isinstance(it, ConvertedAttention) and not it.kept]
    reaches = [_reach(mechanism) for mechanism in mechanisms]
    known = [it for it in reaches if it is not None]
    if len(known) < layers:
        return None
    return sum(left for left, _ in known), sum(right for _, right in known)


def _reach(mechanism: AttentionMechanism) -> tuple[int, int] | None:
    if isinstance(mechanism, NoMixing):
        return 0, 0
    if not isinstance(mechanism, ExportedMixing):
        return None
    bands = [form for form in mechanism.forms if isinstance(form, BandForm) and form.level is None]
    if len(bands) < len(mechanism.forms):
        return None
    kernel = 0 if mechanism.kernel is None else mechanism.kernel.shape[2] // 2
    return max(kernel, *(-it.low for it in bands)), max(kernel, *(it.high for it in bands))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
