"""Settings of the conversion of a trained encoder, without heavy imports so that the command line can show them."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Lengths = Literal["mixed", "own", "30"]
DecoderTraining = Literal["tuned", "frozen"]

FRESH = "@fresh"


@dataclass(frozen=True, kw_only=True)
class TrainedConversionConfig:
    """Settings of a conversion; every option but `minutes` changes what the result is.

    Attributes:
        to: mechanism that replaces the attention, as a row: a name and options, such as toeplitz@table. It starts from
            the teacher's attention as far as it can; with @fresh at the end it starts as in a new encoder.
        layers: layers that are converted, numbered from 0: all, or a list with ranges such as 0-2,5.
        heads: heads that are converted in each of these layers: all, or a list; for input-independent mechanisms.
        minutes: time for the distillation, turned into a number of steps by a measurement at the start; 0 for none.
        steps: number of optimizer steps of the distillation, in place of minutes.
        lengths: what a student of Whisper is fed: its speech and a little silence (own), 30 s (30), or both (mixed).
        decoder: train Whisper's decoder along with the encoder, at a tenth of its rate (tuned), or not (frozen).
        examples: number of different training examples; the teacher runs once for each. 0 chooses by the time.
        accumulate: number of examples per optimizer step.
        learning_rate: peak learning rate of the encoder's weights; 0 for 4e-4 at width 384 and less for wider ones.
        attention_rate: learning rate of the mechanisms' own maps, relative to that of the weights.
        decoder_rate: learning rate of the decoder, relative to that of the encoder's weights.
        start_windows: number of windows of speech from which the mechanisms start.
        held_out: number of held-out examples for the relative error.
        language: language of the speech, as Whisper names it.
        seed: of all random choices.
    """

    to: str = "toeplitz@table"
    layers: str = "all"
    heads: str = "all"
    minutes: float = 10.0
    steps: int = 0
    lengths: Lengths = "mixed"
    decoder: DecoderTraining = "tuned"
    examples: int = 0
    accumulate: int = 3
    learning_rate: float = 0.0
    attention_rate: float = 50.0
    decoder_rate: float = 0.1
    start_windows: int = 6
    held_out: int = 24
    language: str = "en"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lengths not in ("mixed", "own", "30"):
            raise ValueError(f"lengths must be mixed, own or 30, not {self.lengths!r}")
        if self.decoder not in ("tuned", "frozen"):
            raise ValueError(f"decoder must be tuned or frozen, not {self.decoder!r}")
        if min(self.minutes, self.steps, self.examples, self.learning_rate) < 0:
            raise ValueError("minutes, steps, examples and learning_rate must not be negative")
        if min(self.accumulate, self.start_windows, self.held_out) < 1:
            raise ValueError("accumulate, start_windows and held_out must be at least 1")
        if min(self.attention_rate, self.decoder_rate) <= 0:
            raise ValueError("attention_rate and decoder_rate must be above 0")

    @property
    def row(self) -> str:
        """The row without the mark of a fresh start."""
        return self.to.removesuffix(FRESH)

    @property
    def fresh(self) -> bool:
        """Whether the mechanism starts as in a new encoder."""
        return self.to.endswith(FRESH)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def chosen_layers(self, count: int) -> tuple[int, ...]:
        """Return the layers to convert.

        Raises:
            ValueError: if a layer does not exist.

        >>> TrainedConversionConfig(layers="0-1,3").chosen_layers(4)
        (0, 1, 3)
        """
        return indices(self.layers, count, "layers")

    def chosen_heads(self, count: int) -> tuple[int, ...] | None:
        """Return the heads to convert; None for all.

        Raises:
            ValueError: if a head does not exist.
        """
        chosen = indices(self.heads, count, "heads")
        return None if len(chosen) == count else chosen


def indices(text: str, count: int, what: str) -> tuple[int, ...]:
    """Parse a list of indices with ranges.

    Raises:
        ValueError: if it is none, or names an index from ``count`` on.

    >>> indices("all", 3, "layers"), indices("2,0-1", 3, "layers")
    ((0, 1, 2), (0, 1, 2))
    """
    if text.strip() == "all":
        return tuple(range(count))
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.strip().partition("-")
        if not low.isdecimal() or (high and not high.isdecimal()):
            raise ValueError(f"{what} must be all, or numbers such as 0-2,5, not {text!r}")
        found.update(range(int(low), int(high or low) + 1))
    missing = sorted(found - set(range(count)))
    if missing:
        raise ValueError(f"{what} {text}: the encoder has {what} 0 to {count - 1}, and no {missing[0]}")
    return tuple(sorted(found))
