"""Settings of the conversion of a trained encoder, without heavy imports so that the command line can show them."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Lengths = Literal["mixed", "own", "30"]
DecoderTraining = Literal["tuned", "frozen"]
Precision = Literal["float32", "bf16"]
Order = Literal["together", "last-first", "least-dependent", "least-error"]

FRESH = "@fresh"
# Settings of conversions layer by layer, which leave a conversion of all layers together as it was.
_OF_STAGES = ("order", "until", "until_lines")
# Settings that mean nothing without a decoder, and which folders of such encoders did not always have.
_OF_THE_DECODER = ("hidden_fraction", "token_weight")
# What conversions did before a setting existed.
_BEFORE = {"precision": "float32", "hidden_fraction": 0.0, "token_weight": 1.0}


@dataclass(frozen=True)
class Bound:
    """Bound up to which layers are replaced.

    Attributes:
        measure: ``wer``: word error rate above the teacher's; ``error``: relative error of the encoder's output.
        most: greatest value that is within the bound.
    """

    measure: Literal["wer", "error"]
    most: float


@dataclass(frozen=True, kw_only=True)
class TrainedConversionConfig:
    """Settings of a conversion; every option but `minutes` and `head_report` changes what the result is.

    Attributes:
        to: mechanism that replaces the attention, as a row: a name and options, such as toeplitz@table. It starts from
            the teacher's attention as far as it can; with @fresh at the end it starts as in a new encoder.
        layers: layers that are converted, numbered from 0: all, or a list with ranges such as 0-2,5. With order or
            until: layers that may be converted.
        order: convert all layers at once (together; with until as last-first), or one after the other, from the last
            one on (last-first), those first whose attention maps depend least on the input (least-dependent), or those
            first whose replacement alone, before any distillation, costs the least error (least-error).
        until: convert layer after layer as long as the word error rate exceeds the teacher's by no more than a bound
            (wer=+0.01), or as the relative error of the encoder's output is within it (error=0.2). The result is the
            last stage within the bound; two stages in a row beyond it end the conversion.
        until_lines: number of held-out lines with a text for the word error rate of each stage; 0 for none.
        heads: heads that are converted in each of these layers: all, or a list; for input-independent mechanisms.
        minutes: time for the distillation, turned into a number of steps by a measurement at the start; 0 for none.
            Conversions layer by layer share it equally among the layers; transcripts take their own time.
        steps: number of optimizer steps of the distillation, in place of minutes.
        lengths: what a student of Whisper is fed: its speech and a little silence (own), 30 s (30), or both (mixed).
        decoder: train Whisper's decoder along with the encoder, at a tenth of its rate (tuned), or not (frozen).
        hidden_fraction: part of the steps, at the start, in which Whisper's encoder learns the teacher's hidden states
            alone; the decoder is in the loop of the others, which take longer.
        token_weight: weight of the divergence between the next tokens of both decoders, relative to the error of hidden
            states.
        examples: number of different training examples; the teacher runs once for each. 0 chooses by the time.
        accumulate: number of examples per optimizer step.
        learning_rate: peak learning rate of the encoder's weights; 0 for 2e-4 at width 384 and less for wider ones.
        attention_rate: learning rate of the mechanisms' own maps, relative to that of the weights.
        decoder_rate: learning rate of the decoder, relative to that of the encoder's weights.
        precision: of teacher and student during the distillation: float32, or bf16 for matrix products in bfloat16,
            which is faster where the processor multiplies such numbers. Weights, errors and the converted model are
            float32.
        start_windows: number of windows of speech from which the mechanisms start.
        held_out: number of held-out examples for the relative error.
        language: language of the speech, as Whisper names it.
        head_report: describe each head of the teacher on the page, and measure the error that results from replacing
            it alone: two runs of the encoder per head, for at most 96 heads.
        seed: of all random choices.
    """

    to: str = "toeplitz@table"
    layers: str = "all"
    order: Order = "together"
    until: str = ""
    until_lines: int = 100
    heads: str = "all"
    minutes: float = 10.0
    steps: int = 0
    lengths: Lengths = "mixed"
    decoder: DecoderTraining = "tuned"
    hidden_fraction: float = 0.5
    token_weight: float = 0.05
    examples: int = 0
    accumulate: int = 4
    learning_rate: float = 0.0
    attention_rate: float = 100.0
    decoder_rate: float = 0.1
    precision: Precision = "float32"
    start_windows: int = 6
    held_out: int = 24
    language: str = "en"
    head_report: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if self.lengths not in ("mixed", "own", "30"):
            raise ValueError(f"lengths must be mixed, own or 30, not {self.lengths!r}")
        if self.decoder not in ("tuned", "frozen"):
            raise ValueError(f"decoder must be tuned or frozen, not {self.decoder!r}")
        if self.precision not in ("float32", "bf16"):
            raise ValueError(f"precision must be float32 or bf16, not {self.precision!r}")
        if min(self.minutes, self.steps, self.examples, self.learning_rate) < 0:
            raise ValueError("minutes, steps, examples and learning_rate must not be negative")
        if min(self.accumulate, self.start_windows, self.held_out) < 1:
            raise ValueError("accumulate, start_windows and held_out must be at least 1")
        if not 0 <= self.hidden_fraction <= 1:
            raise ValueError("hidden_fraction must be between 0 and 1")
        if self.token_weight < 0:
            raise ValueError("token_weight must not be negative")
        if min(self.attention_rate, self.decoder_rate) <= 0:
            raise ValueError("attention_rate and decoder_rate must be above 0")
        self._check_stages()

    def _check_stages(self) -> None:
        orders = get_args(Order)
        if self.order not in orders:
            raise ValueError(f"order must be {', '.join(orders[:-1])} or {orders[-1]}, not {self.order!r}")
        if self.until_lines < 0:
            raise ValueError("until_lines must not be negative")
        bound = self.bound
        if bound and bound.measure == "wer" and not self.until_lines:
            raise ValueError(f"until {self.until} needs lines to transcribe: until_lines must be at least 1")

    @property
    def row(self) -> str:
        """The row without the mark of a fresh start."""
        return self.to.removesuffix(FRESH)

    @property
    def fresh(self) -> bool:
        """Whether the mechanism starts as in a new encoder."""
        return self.to.endswith(FRESH)

    @property
    def bound(self) -> Bound | None:
        """The bound up to which layers are replaced; None without one."""
        return parse_bound(self.until) if self.until else None

    @property
    def staged(self) -> bool:
        """Whether layers are replaced one after the other."""
        return bool(self.until) or self.order != "together"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    def identity(self, *, decoder: bool = True) -> dict[str, Any]:
        """Return the settings that the weights depend on, as JSON data.

        Settings that are newer than a folder are not among its own, as far as they leave its weights as they were:
        those of stages for conversions of all layers together, and those with the value that all folders had before.

        Args:
            decoder: whether the model has a decoder in the loop of the distillation.
        """
        left_out = {"head_report", *(() if self.staged else _OF_STAGES), *(() if decoder else _OF_THE_DECODER)}
        left_out |= {name for name, before in _BEFORE.items() if getattr(self, name) == before}
        return {name: value for name, value in asdict(self).items() if name not in left_out}

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


def parse_bound(text: str) -> Bound:
    """Parse a bound such as ``wer=+0.01`` or ``error=0.2``.

    Raises:
        ValueError: if it is none.

    >>> parse_bound("wer=+0.01"), parse_bound("error=0.2")
    (Bound(measure='wer', most=0.01), Bound(measure='error', most=0.2))
    """
    measure, _, number = text.replace(" ", "").partition("=")
    try:
        most = float(number)
    except ValueError:
        most = math.nan
    if measure == "wer" and 0 <= most < math.inf:
        return Bound("wer", most)
    if measure == "error" and 0 < most < math.inf:
        return Bound("error", most)
    raise ValueError(
        "until must be wer=+0.01 (word error rate above the teacher's) or error=0.2 (relative error of the output), "
        f"with any such number, not {text!r}"
    )


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
