"""Settings of a measurement, without heavy imports so that the command line can show them."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class MeasureConfig:
    """Settings of the measurement of a converted encoder.

    Attributes:
        lengths: what the converted Whisper hears: its speech and half a second of silence (own), 30 s (30), or both.
        utterances: number of utterances to transcribe, the first of the split; 0 for all.
        texts_only: leave out utterances without a text, unless none has one; otherwise they count for the difference
            of words only.
        examples: number of examples for the relative error of hidden states.
        probes: train speaker and phone probes on each layer of both encoders; of a corpus that has such labels.
        probe_utterances: number of utterances of each split for the probes, the first ones; 0 for all.
        rounds: number of rounds in which encoders are timed; 0 for no times.
        threads: number of threads of PyTorch in these rounds.
        language: language of the speech, as Whisper names it.
    """

    lengths: Literal["both", "own", "30"] = "both"
    utterances: int = 0
    texts_only: bool = True
    examples: int = 24
    probes: bool = True
    probe_utterances: int = 200
    rounds: int = 9
    threads: int = 1
    language: str = "en"

    def __post_init__(self) -> None:
        if self.lengths not in ("both", "own", "30"):
            raise ValueError(f"lengths must be both, own or 30, not {self.lengths!r}")
        if min(self.utterances, self.rounds, self.probe_utterances) < 0:
            raise ValueError("utterances, probe_utterances and rounds must not be negative")
        if min(self.examples, self.threads) < 1:
            raise ValueError("examples and threads must be at least 1")
