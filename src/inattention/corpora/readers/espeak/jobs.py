"""Jobs and answers of the process that speaks, as they travel between processes in JSON."""

from dataclasses import asdict, dataclass
from typing import Any

Segment = tuple[str, int, int]
"""A phone, its first sample, and its end."""


@dataclass(frozen=True, kw_only=True)
class SpeakJob:
    """Sentences for one voice, spoken until its share of the corpus is filled.

    Attributes:
        id: The speaker.
        voice: eSpeak's name of the voice.
        texts: Sentences to speak, more than needed.
        seconds: The voice's share of the corpus.
        at_least: Utterances to speak even if they exceed the share.
        prefix: Of the utterances' ids.
        audio: The folder to write to.
        seed: Of rates, pitches, pauses and noise.
        sampling_rate: See `EspeakConfig`, as for all that follow.
    """

    id: str
    voice: str
    texts: tuple[str, ...]
    seconds: float
    at_least: int
    prefix: str
    audio: str
    seed: int
    sampling_rate: int
    words_per_minute: float
    rate_spread: float
    pitch_spread: int
    noise_dbfs: float

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON data."""
        return asdict(self)


@dataclass(frozen=True)
class Utterance:
    """A spoken sentence.

    Attributes:
        id: Its name.
        text: The sentence.
        samples: Its length.
        phones: Its phones, without gaps from the first sample to the last.
    """

    id: str
    text: str
    samples: int
    phones: tuple[Segment, ...]


@dataclass(frozen=True)
class SpokenVoice:
    """The answer to a `SpeakJob`.

    Attributes:
        utterances: What was spoken and written.
        bad: Utterances that could not be spoken, each with the reason.
    """

    utterances: tuple[Utterance, ...]
    bad: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the answer as JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "SpokenVoice":
        """Read what `to_json` returned."""
        utterances = (
            Utterance(u["id"], u["text"], u["samples"], tuple((phone, first, end) for phone, first, end in u["phones"]))
            for u in data["utterances"]
        )
        return cls(tuple(utterances), tuple((item, reason) for item, reason in data["bad"]))
