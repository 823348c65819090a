"""Settings of a timing run, without heavy imports so that the command line can show them."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["forward", "train"]


@dataclass(frozen=True, kw_only=True)
class TimingConfig:
    """Settings of a timing run. The sizes of the encoder default to the paper's.

    Attributes:
        rows: mechanisms with their options, such as ``patterned@logits``; defaults to all mechanisms. ``qk`` is always
            measured too, as the reference of all ratios.
        width: number of features of a frame inside the encoder.
        heads: number of attention heads, which share the width.
        layers: number of layers; they share their weights.
        feed_forward: width inside the feed-forward part of a layer.
        lengths: numbers of frames of an utterance.
        batch_sizes: numbers of utterances encoded at once.
        modes: ``forward`` (evaluation), ``train`` (forward, backward and an AdamW step).
        exponent_lengths: numbers of frames at which the mixing alone is timed, to fit the exponent of its growth; none
            to skip it.
        threads: number of threads of PyTorch.
        rounds: smallest number of measurements of each row; rows take turns, in a new order each round.
        seconds: rounds are added until a setting (a length, batch size and mode) was measured this long.
        device: such as ``cpu`` or ``cuda``.
        seed: of weights, inputs and the order of turns.
    """

    rows: tuple[str, ...] = ()
    width: int = 768
    heads: int = 12
    layers: int = 6
    feed_forward: int = 3072
    lengths: tuple[int, ...] = (500, 1000)
    batch_sizes: tuple[int, ...] = (1,)
    modes: tuple[Mode, ...] = ("forward", "train")
    exponent_lengths: tuple[int, ...] = (1000, 2000, 4000)
    threads: int = 2
    rounds: int = 5
    seconds: float = 10.0
    device: str = "cpu"
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = (self.width, self.heads, self.layers, self.feed_forward, self.threads, self.rounds)
        if min(*sizes, *self.lengths, *self.batch_sizes, *self.exponent_lengths) < 1:
            raise ValueError("sizes, lengths, batch_sizes, threads and rounds of a timing run must be at least 1")
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        if len(set(self.exponent_lengths)) == 1:
            raise ValueError("exponent_lengths must be at least two different lengths, or none")
