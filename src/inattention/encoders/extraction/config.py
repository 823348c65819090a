"""Settings of an extraction over a folder, without heavy imports so that the command line can show them."""

from dataclasses import dataclass
from typing import Literal

from inattention.audio.limits import Truncated


@dataclass(frozen=True, kw_only=True)
class ExtractionConfig:
    """Settings of an extraction over a folder of recordings, or a single one.

    Attributes:
        layer: hidden state to extract: 0 is the embedded input, 1 the first layer, -1 the last.
        format: safetensors (NAME.safetensors, with the tensors features and times) or npy (NAME.npy, NAME.times.npy).
        batch_seconds: seconds of audio encoded at once.
        block: seconds of a block, for features of one pass over each whole recording, computed block by block; for
            encoders whose frames depend on a limited part of the input. For Whisper, time between the beginnings of
            its windows of 30 s. By default, recordings are encoded in chunks of the encoder's longest input.
        bound: greatest part of a row of weights that Toeplitz tables may leave out, with --block, to depend on less.
        device: cpu, cuda, ...; auto selects a GPU if there is one.
        overwrite: extract everything again and replace the contents of the output folder.
        truncated: skip files that end before their header says, or keep what is there of them.

    >>> ExtractionConfig(layer=3).format
    'safetensors'
    """

    layer: int = -1
    format: Literal["safetensors", "npy"] = "safetensors"
    batch_seconds: float = 120.0
    block: float | None = None
    bound: float = 0.0
    device: str = "auto"
    overwrite: bool = False
    truncated: Truncated = "skip"

    def __post_init__(self) -> None:
        if self.format not in ("safetensors", "npy"):
            raise ValueError(f"format must be 'safetensors' or 'npy', not {self.format!r}")
        if not 0 < self.batch_seconds < float("inf"):
            raise ValueError(f"batch_seconds must be above 0, not {self.batch_seconds}")
        if self.block is not None and not 0 < self.block < float("inf"):
            raise ValueError(f"block must be above 0 seconds, not {self.block}")
        if not 0 <= self.bound < 1:
            raise ValueError(f"bound must be 0 or more and below 1, not {self.bound}")
        if self.bound and self.block is None:
            raise ValueError("bound goes with block: set the length of a block too")
