"""Settings of a study: one record for the command line, the presets and the results file."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from inattention.corpora.readers.espeak.reader import EspeakConfig
from inattention.model.config import AudioTransformerConfig
from inattention.pretraining.config import PretrainingConfig
from inattention.probing.config import ProbeConfig
from inattention.study.planning.plain_data import from_plain
from inattention.timing.config import TimingConfig

# Rows without a model: the input features themselves, with and without normalisation over the utterance.
MEL_ROWS = ("mel", "mel-no-cmvn")
# What results files mean that were written before a setting existed, where it is not today's default.
_BEFORE_IT_EXISTED = {"time_own_size": False}


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Settings of a study.

    Attributes:
        rows: what is compared: ``mel``, ``mel-no-cmvn``, and mechanisms with their options, such as
            ``patterned@logits`` or ``qk@untrained``. A row may have settings of its own:
            ``toeplitz@model.maps=per-layer``, ``qk@training.clip=1``.
        seeds: rows are run once with each.
        repeated: the rows that are run with every seed, as far as they are in the study, the others with the first
            alone; all rows if empty.
        learning_rates: ``NAME=RATE`` for rows, mechanisms or families with a learning rate of their own, such as
            ``hashing=5e-4``; the most specific name counts.
        curve_rows: the rows that are also probed during training, as far as they are in the study.
        curve_steps: optimizer steps after which they are probed, besides the last.
        corpus: the folder of a prepared corpus; if none is given, espeak is prepared with the ``espeak`` settings.
        espeak: the embedded corpus.
        model: the encoder; each row puts in its own attention.
        training: the pre-training.
        probes: the probes; their seed is each run's.
        timed: whether rows are timed; not needed where another study has their times.
        timing: what is timed; its rows are the study's.
        time_own_size: also time a training step of each row at the study's own size, all rows taking turns, so that
            held-out losses can be compared at equal time whatever else the machine did during training.
    """

    rows: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    repeated: tuple[str, ...] = ()
    learning_rates: tuple[str, ...] = ()
    curve_rows: tuple[str, ...] = ()
    curve_steps: tuple[int, ...] = ()
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
        if min(self.curve_steps, default=1) < 1 or len(set(self.curve_steps)) < len(self.curve_steps):
            raise ValueError("curve_steps must be different numbers of optimizer steps, from 1 on")

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        data = json.loads(json.dumps(asdict(self), default=str))
        assert isinstance(data, dict)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StudyConfig":
        """Return the settings that plain data holds.

        Results files of other versions are read, too: a setting that is missing had not been introduced and has the
        value that means the behaviour of that time; one that is unknown here is skipped.

        Raises:
            ValueError: for a value that is not possible.
        """
        try:
            return from_plain(cls, {**_BEFORE_IT_EXISTED, **data})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"settings of a study: {error}") from None
