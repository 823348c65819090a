"""Which alignments are believed, and what is known about that rule."""

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Facts:
    """What a rule may ask of an alignment.

    Attributes:
        confidence: Mean over the frames of speech of the log-likelihood of the phone there, less that of the acoustic
            model's likeliest state: 0 is best.
        shortest: Share of phones that last the model's least, three frames: a text that is too long for the speech is
            squeezed into it.
        pauses: Share of the time between the first phone and the last that is silence or noise: a text that is too
            short leaves speech over.
        longest_seconds: Of the phones.
        left_over: Share of the loud parts of the speech that lie in silences.
        phones: How many, without silences.
    """

    confidence: float
    shortest: float
    pauses: float
    longest_seconds: float
    left_over: float
    phones: int


@dataclass(frozen=True)
class Rule:
    """Bounds on the facts.

    Attributes:
        confidence: At least.
        shortest: At most.
        pauses: At most.
        longest_seconds: At most.
        left_over: At most.
    """

    confidence: float = -6.6
    shortest: float = 0.5
    pauses: float = 0.5
    longest_seconds: float = 0.8
    left_over: float = 0.3

    def objection(self, facts: Facts) -> str | None:
        """Why an alignment is not believed; None if it is."""
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


ANY = Rule(-math.inf, 1.0, 1.0, math.inf, 1.0)
"""Believes everything, for measuring."""

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
