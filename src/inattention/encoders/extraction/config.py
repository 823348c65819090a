"""The settings of an extraction over a folder, in a module that is light enough for the command line's help."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """How the features of a folder of recordings are extracted.

    Attributes:
        layer: which hidden state: 0 is the embedded input, 1 the first layer, -1 the last.
        format: safetensors (NAME.safetensors, with the tensors features and times) or npy (NAME.npy, NAME.times.npy).
        batch_seconds: seconds of audio that go through the encoder at once.
        device: cpu, cuda, ...; auto takes a GPU if there is one.
        overwrite: extract everything anew, whatever stands in the output folder.

    >>> ExtractionConfig(layer=3).format
    'safetensors'
    """

    layer: int = -1
    format: Literal["safetensors", "npy"] = "safetensors"
    batch_seconds: float = 120.0
    device: str = "auto"
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.format not in ("safetensors", "npy"):
            raise ValueError(f"format must be 'safetensors' or 'npy', not {self.format!r}")
        if not 0 < self.batch_seconds < float("inf"):
            raise ValueError(f"batch_seconds must be above 0, not {self.batch_seconds}")
