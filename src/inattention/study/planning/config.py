"""Everything that a study's outcome depends on, as one record: the command line, the preset and the saved account."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.timing.config import TimingConfig

# Rows without a model: the input features themselves, with and without normalisation over the utterance.
MEL_ROWS = ("mel", "mel-no-cmvn")


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """What a study compares, on what, and how.

    Attributes:
        rows: what is compared: ``mel``, ``mel-no-cmvn``, and mechanisms with their options, such as
            ``patterned@logits`` or ``qk@untrained``. A row may have settings of its own:
            ``toeplitz@model.maps=per-layer``, ``qk@training.clip=1``.
        seeds: rows are run once with each.
        repeated: the rows that are run with every seed, as far as they are in the study, the others with the first
            alone; all rows if left out.
        learning_rates: ``NAME=RATE`` for rows, mechanisms or families that do not take the training's own rate, such
            as ``hashing=5e-4``; what says most of a row counts.
        corpus: the folder of a prepared corpus; if left out, espeak is prepared as ``espeak`` says.
        espeak: the embedded corpus.
        model: the encoder; each row puts in its own attention.
        training: the pre-training.
        probes: the probes; each run's seed stands in for theirs.
        timed: whether rows are timed: where another study has their times, there is no need to.
        timing: what is timed; the study's rows stand in for its own.
        time_own_size: also time a training step of each row at the study's own size, all rows taking turns, so that
            held-out losses can be read at equal time whatever else the machine did while it trained.
    """

    rows: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    repeated: tuple[str, ...] = ()
    learning_rates: tuple[str, ...] = ()
    corpus: Path | None = None
    espeak: EspeakConfig = field(default_factory=EspeakConfig)
    model: AudioTransformerConfig = field(default_factory=AudioTransformerConfig)
    training: PretrainingConfig = field(default_factory=PretrainingConfig)
    probes: ProbeConfig = field(default_factory=ProbeConfig)
    timed: bool = True
    timing: TimingConfig = field(default_factory=TimingConfig)
    time_own_size: bool = True

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError("a study needs at least one row")
        if not self.seeds or min(self.seeds) < 0 or len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a study needs seeds: different numbers, none below 0")

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain data for JSON."""
        data = json.loads(json.dumps(asdict(self), default=str))
        assert isinstance(data, dict)
        return data
