"""What a file says of itself, checked: it may come from a stranger."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

KEY = "inattention"
FORMAT = 1
LARGEST = 2**20  # characters
LONGEST_SECONDS = 3600.0  # of what is encoded at once
MOST_PER_SECOND = 1e6  # spectral values; encoders take some ten thousand
MOST_WEIGHTS = 2**24  # of mel filters
MOST_POINTS = 2**26  # of the transforms of a window
# The key of a tensor's entry that names another file with its numbers: reading it would open a path that the file
# chooses. Field number and length may have more bytes than they need, and the value may stand before the key.
_ELSEWHERE = re.compile(rb"(\x0a|\x8a\x80*\x00)(\x08|\x88\x80*\x00)location")


class ModelFileError(ValueError):
    """A file that is no usable encoder; the message names it, and the reason."""


@dataclass(frozen=True)
class Blocks:
    """Part of the input that a frame of the output depends on.

    Attributes:
        back: frames before it.
        ahead: frames behind it.
        grid: parts of a recording that are encoded begin at multiples of it.
        longest: greatest number of frames that are encoded at once, those around a block included.
        left_out: greatest part of any row of weights that bands leave out.
    """

    back: int
    ahead: int
    grid: int
    longest: int
    left_out: float


@dataclass(frozen=True)
class Description:
    """Facts about an encoder that a runtime needs.

    Attributes:
        features: how a waveform becomes its input.
        step_seconds: time from one frame to the next.
        first_center_seconds: time of the first frame's centre.
        longest: greatest number of frames that are encoded at once.
        width: number of features of a frame.
        layers: number of layers.
        outputs: number of the hidden state by the name of the output.
        precision: of the linear layers.
        blocks: how a longer recording is encoded in blocks, as one pass over the whole; None if it cannot be.
        unlimited: why it cannot be.
    """

    features: dict[str, Any]
    step_seconds: float
    first_center_seconds: float
    longest: int
    width: int
    layers: int
    outputs: dict[str, int]
    precision: str
    blocks: Blocks | None
    unlimited: str


def whole(low: int, high: int) -> Callable[[Any], bool]:
    """Return a check for whole numbers within limits."""
    return lambda value: type(value) is int and low <= value <= high


def number(low: float, high: float) -> Callable[[Any], bool]:
    """Return a check for numbers within limits."""
    return lambda value: type(value) in (int, float) and low <= value <= high


def _truth(value: Any) -> bool:
    return type(value) is bool


def _stages(value: Any) -> bool:
    return isinstance(value, list) and 0 < len(value) <= 32 and all(map(whole(1, 2**12), value))


FEATURES: dict[str, dict[str, Callable[[Any], bool]]] = {
    "log-mel": {
        "sampling_rate": whole(1_000, 768_000),
        "fft_size": whole(2, 2**16),
        "window_seconds": number(1e-6, 60),
        "hop_seconds": number(1e-6, 60),
        "mels": whole(1, 4096),
        "lowest_hz": number(0, 384_000),
        "highest_hz": number(0, 384_000),
        "log_floor": number(1e-30, 1),
        "deltas": _truth,
        "delta_frames": whole(3, 9999),
        "normalise": _truth,
        "stack": whole(1, 1000),
    },
    "whisper": {
        "sampling_rate": whole(1_000, 768_000),
        "fft_size": whole(2, 2**16),
        "hop_samples": whole(1, 2**16),
        "mels": whole(1, 4096),
        "silence_frames": lambda value: value is None or whole(0, 1_000_000)(value),
    },
    "waveform": {
        "sampling_rate": whole(1_000, 768_000),
        "normalise": _truth,
        "kernels": _stages,
        "strides": _stages,
    },
}
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "frame_shift_seconds": number(1e-6, 60),
    "first_center_seconds": number(0, 60),
    "longest_frames": whole(1, 1_000_000),
    "width": whole(1, 1_000_000),
    "layers": whole(0, 10_000),
    "precision": lambda value: value in ("float32", "int8", "bf16"),
}


_BLOCKS: dict[str, Callable[[Any], bool]] = {
    "back": whole(0, 1_000_000),
    "ahead": whole(0, 1_000_000),
    "grid": whole(1, 1_000_000),
    "longest_frames": whole(1, 10_000_000),
    "left_out": number(0, 1),
}


def read_description(name: str, entries: Mapping[str, str], outputs: list[str]) -> Description:
    """Return what a file's metadata says.

    Args:
        name: the file, for errors.
        entries: its metadata.
        outputs: the names of its outputs.

    Raises:
        ModelFileError: if it was not exported by inattention, or a value is missing or out of its limits.
    """
    text = entries.get(KEY, "")
    if not text:
        raise ModelFileError(f"{name}: was not written by `inattention export` (it has no metadata {KEY!r})")
    try:
        data = json.loads(text) if len(text) <= LARGEST else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise ModelFileError(f"{name}: its metadata {KEY!r} is no JSON object of usual size")
    if not whole(FORMAT, FORMAT)(data.get("format")):
        raise ModelFileError(
            f"{name}: has metadata of format {_short(data.get('format'))}; this version reads format {FORMAT}"
        )
    _check(name, data, _FIELDS)
    features = data.get("features")
    kind = features.get("kind") if isinstance(features, dict) else None
    if not isinstance(features, dict) or not isinstance(kind, str) or kind not in FEATURES:
        raise ModelFileError(f"{name}: takes features of an unknown kind {_short(kind)}")
    _check(name, features, FEATURES[kind])
    _check_together(name, data, features)
    states = data.get("outputs")
    if (
        not isinstance(states, dict)
        or list(states) != outputs
        or not all(whole(0, data["layers"])(state) for state in states.values())
    ):
        raise ModelFileError(f"{name}: its metadata and its graph have different outputs")
    return Description(
        features=features,
        step_seconds=float(data["frame_shift_seconds"]),
        first_center_seconds=float(data["first_center_seconds"]),
        longest=data["longest_frames"],
        width=data["width"],
        layers=data["layers"],
        outputs=states,
        precision=data["precision"],
        blocks=_blocks(name, data.get("blocks")),
        unlimited=_reason(data.get("unlimited")),
    )


def _blocks(name: str, data: Any) -> Blocks | None:
    """Return how recordings are encoded in blocks; files of earlier versions do not say it.

    Raises:
        ModelFileError: if a value is missing or out of its limits.
    """
    if data is None:
        return None
    if not isinstance(data, dict):
        raise ModelFileError(f"{name}: its metadata has no usable blocks ({str(data)[:40]!r})")
    _check(name, data, _BLOCKS)
    # Parts begin up to a grid's length before what a block depends on, and each block adds a frame at least.
    if data["back"] + data["ahead"] + data["grid"] > data["longest_frames"]:
        raise ModelFileError(f"{name}: its metadata has a reach that is longer than what is encoded at once")
    return Blocks(data["back"], data["ahead"], data["grid"], data["longest_frames"], float(data["left_out"]))


def _reason(text: Any) -> str:
    return (
        text[:500] if isinstance(text, str) and text else "it was exported by a version that did not record its reach"
    )


def check_self_contained(name: str, content: bytes) -> None:
    """Raise if the numbers of a tensor lie in another file.

    Raises:
        ModelFileError: naming the file.
    """
    if _ELSEWHERE.search(content):
        raise ModelFileError(f"{name}: refers to weights in other files, which are not read")


def _check(name: str, data: Mapping[str, Any], fields: Mapping[str, Callable[[Any], bool]]) -> None:
    for field, right in fields.items():
        if field not in data or not right(data[field]):
            raise ModelFileError(f"{name}: its metadata has no usable {field} ({_short(data.get(field))})")


def _short(value: Any) -> str:
    """Return a value as it is shown in an error."""
    text = ascii(value) if isinstance(value, str | int | float | None) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else f"{text[:40]}..."


def _check_together(name: str, data: Mapping[str, Any], features: Mapping[str, Any]) -> None:
    """Raise if values that are fine alone do not go together, or together fill the memory."""
    check = {"log-mel": _log_mel_mistake, "whisper": _whisper_mistake, "waveform": _waveform_mistake}
    mistake = check[features["kind"]](features, data["longest_frames"])
    if mistake:
        raise ModelFileError(f"{name}: its metadata has {mistake}")


def _log_mel_mistake(features: Mapping[str, Any], longest: int) -> str:
    rate = features["sampling_rate"]
    hop, window = features["hop_seconds"] * rate, features["window_seconds"] * rate
    if round(hop) < 1 or not 1 <= round(window) <= features["fft_size"]:
        return "a hop or a window that does not fit its fft_size"
    if not features["lowest_hz"] < (features["highest_hz"] or rate / 2) <= rate / 2:
        return "mel bands outside of 0 Hz to half the sampling rate"
    if features["delta_frames"] % 2 == 0:
        return f"an even number of delta_frames, {features['delta_frames']}"
    if features["mels"] / features["hop_seconds"] > MOST_PER_SECOND:
        return "more mel bands a second than any encoder takes"
    return _filters_mistake(features)


def _whisper_mistake(features: Mapping[str, Any], longest: int) -> str:
    seconds = 2 * longest * features["hop_samples"] / features["sampling_rate"]
    if seconds > LONGEST_SECONDS:
        return f"a window of {seconds:g} s"
    if 2 * longest * features["fft_size"] > MOST_POINTS:
        return "a spectrum of too many points for its window"
    if features["mels"] * features["sampling_rate"] / features["hop_samples"] > MOST_PER_SECOND:
        return "more mel bands a second than any encoder takes"
    return _filters_mistake(features)


def _filters_mistake(features: Mapping[str, Any]) -> str:
    return "too many mel bands for its fft_size" if features["mels"] * features["fft_size"] > MOST_WEIGHTS else ""


def _waveform_mistake(features: Mapping[str, Any], longest: int) -> str:
    kernels, strides = features["kernels"], features["strides"]
    if len(kernels) != len(strides):
        return f"{len(kernels)} kernels for {len(strides)} strides"
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    if samples + longest * prod(strides) > LONGEST_SECONDS * features["sampling_rate"]:
        return "frames that take in more of a recording than any encoder does"
    return ""
