"""Settings of an export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

Precision = Literal["float32", "int8", "bf16"]
Form = Literal["auto", "dense", "band", "fft", "two-level", "limited"]
Decoder = Literal["none", "float32", "int8"]


class ExportError(ValueError):
    """A model that cannot be exported, or a file that does not compute what the model does."""


@dataclass(frozen=True, kw_only=True)
class ExportConfig:
    """Settings of an export.

    Attributes:
        precision: of the linear layers: float32; int8, with one scale per output channel of the weights and the range
            of the activations measured on each input (dynamic) or on recordings (static, see calibrate); or bf16.
        calibrate: folder of recordings for static int8, at most 64 of which are used. Dynamic int8 is usually more
            accurate and as fast; static int8 suits runtimes and processors without dynamic quantisation.
        form: how heads mix over time whose weights depend on j - i alone: a dense matrix, a band, Fourier
            transforms (fft), or two-level: near frames one by one, far frames in blocks of equal weight. By default
            each head gets the one that is fastest on this machine, two-level only in int8 and bf16, which are not
            exact either. limited: bands without a uniform weight, so that inattention-runtime can encode long
            recordings in blocks.
        bound: greatest part of a row of weights that a band may leave out.
        layers: hidden states that the file returns: 0 is the embedded input, 1 the first layer, -1 the last. The last
            one by default.
        seconds: length of the input that forms are chosen for.
        decoder: also write Whisper's decoder for CTranslate2, as a folder beside the file: float32 or int8.
        corpus: folder of a prepared corpus, to compare the accuracy of the file with that of the model: word error
            rates of a Whisper with a decoder, accuracies of speaker and phone probes of other encoders.
        lines: number of utterances of the corpus to use of each split; 0 for all.
        language: language of the corpus, as Whisper names it.
    """

    precision: Precision = "float32"
    form: Form = "auto"
    bound: float = 1e-4
    layers: tuple[int, ...] = ()
    seconds: float = 10.0
    decoder: Decoder = "none"
    calibrate: Path | None = None
    corpus: Path | None = None
    lines: int = 200
    language: str = "en"

    def __post_init__(self) -> None:
        for name, choices in (("precision", Precision), ("form", Form), ("decoder", Decoder)):
            if (value := getattr(self, name)) not in get_args(choices):
                raise ValueError(f"{name} must be one of {', '.join(get_args(choices))}, not {value!r}")
        if self.calibrate is not None and self.precision != "int8":
            raise ValueError(f"calibrate must come with precision int8, not {self.precision}")
        if self.lines < 0:
            raise ValueError(f"lines must not be negative, as {self.lines} is")
        if not 0 < self.bound < 1:
            raise ValueError(f"bound must lie between 0 and 1, not {self.bound}")
        if not 0 < self.seconds < 3600:
            raise ValueError(f"seconds must be above 0 and under an hour, not {self.seconds}")
