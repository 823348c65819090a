"""The rule that decides which alignments are accepted, and its measured accuracy."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """Measurements of an alignment.

    Attributes:
        confidence: Mean log-likelihood ratio, over the frames of speech, of the aligned phone to the acoustic model's
            likeliest state: 0 is best.
        shortest: Share of phones with the model's minimum duration, three frames: large if the text is too long for
            the speech.
        pauses: Share of silence and noise in the time between the first phone and the last: large if the text is too
            short for the speech.
        longest_seconds: Duration of the longest phone.
        left_over: Share of the loud frames of the speech that lie in silences.
        phones: Number of phones, without silences.
    """

    confidence: float
    shortest: float
    pauses: float
    longest_seconds: float
    left_over: float
    phones: int


@dataclass(frozen=True)
class Rule:
    """Bounds on the measurements of an accepted alignment.

    Attributes:
        confidence: Minimum.
        shortest: Maximum.
        pauses: Maximum.
        longest_seconds: Maximum.
        left_over: Maximum.
    """

    confidence: float = -6.6
    shortest: float = 0.5
    pauses: float = 0.5
    longest_seconds: float = 0.8
    left_over: float = 0.3

    def objection(self, facts: Facts) -> str | None:
        """Return why an alignment is not accepted; None if it is."""
        if not facts.confidence >= self.confidence:
            return "the speech does not sound like its text"
        if facts.shortest > self.shortest:
            return "its text is too long for the speech"
        if (
            facts.pauses > self.pauses
            or facts.longest_seconds > self.longest_seconds
            or facts.left_over > self.left_over
        ):
            return "its text is too short for the speech"
        return None


RULE = Rule()

MEASURED: dict[str, Any] = {
    "on": "52 utterances of eSpeak in 12 voices at 11,025 Hz (benchmarks/alignment_accuracy.py)",
    "accepted": 0.6154,
    "borders_within_25_ms": 0.8606,
    "where_phones_without_a_true_time_count_as_wrong": 0.8348,
    "median_distance_ms": 8.3,
    "random_text_refused": 1.0,
    "as_long_text_refused": 1.0,
}
