"""Settings of an export."""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "int8", "bf16"]
Form = Literal["auto", "dense", "band", "fft", "limited"]


class ExportError(ValueError):
    """A model that cannot be exported, or a file that does not compute what the model does."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of an export.

    Attributes:
        precision: of the linear layers: float32; int8, with weights per output channel and activations quantised as
            they come; or bf16.
        form: how heads mix over time whose weights depend on j - i alone: a dense matrix, a band, or Fourier
            transforms (fft). By default each head gets the one that is fastest on this machine. limited: bands
            without a uniform weight, so that inattention-runtime can encode long recordings in blocks.
        bound: greatest part of a row of weights that a band may leave out.
        layers: hidden states that the file returns: 0 is the embedded input, 1 the first layer, -1 the last. The last
            one by default.
        seconds: length of the input that forms are chosen for.
        decoder: also write Whisper's decoder for CTranslate2, as a folder beside the file: float32 or int8.
    """

    precision: Precision = "float32"
    form: Form = "auto"
    bound: float = 1e-4
    layers: tuple[int, ...] = ()
    seconds: float = 10.0
    decoder: Literal["none", "float32", "int8"] = "none"

    def __post_init__(self) -> None:
        if not 0 < self.bound < 1:
            raise ValueError(f"bound must lie between 0 and 1, not {self.bound}")
        if not 0 < self.seconds < 3600:
            raise ValueError(f"seconds must be above 0 and under an hour, not {self.seconds}")
