"""The paper's results, shown beside ours: its Table 1 (time) and Table 2 (accuracy).

Wu et al. 2021: encoders pre-trained for 500,000 steps on LibriSpeech train-clean-360, timed on the authors' GPU at
500 frames; the unit of the times and what they count are not stated. Speech and machine differ from ours, so that only
the order of rows and the ratios of times can be compared.
"""

from dataclasses import dataclass

CITATION = (
    "Wu, Hsieh, Chen, Chi, Lee: Input-independent Attention Weights Are Expressive Enough: A Study of Attention in "
    "Self-supervised Audio Transformers. SLT 2021, arXiv 2006.05174"
)


@dataclass(frozen=True)
class PaperRow:
    """One row of the paper's tables.

    Attributes:
        time: at 500 frames, in an unstated unit; None for Mel.
        accuracy: by task.
    """

    time: float | None
    accuracy: dict[str, float]

    @property
    def ratio(self) -> float | None:
        """Its time relative to the paper's QK."""
        return None if self.time is None else self.time / _QK_TIME


_QK_TIME = 146.8
_TASKS = ("speaker-utterance", "speaker-frame", "phone-1-hidden", "phone-2-hidden")


def _row(time: float | None, *accuracies: float) -> PaperRow:
    return PaperRow(time, dict(zip(_TASKS, accuracies, strict=True)))


PAPER = {
    "mel": _row(None, 0.0060, 0.0033, 0.5246, 0.5768),
    "qk": _row(146.8, 0.9926, 0.9824, 0.6460, 0.6887),
    "shared-qk": _row(143.4, 0.9898, 0.9622, 0.5893, 0.6345),
    "sparse-strided": _row(143.4, 0.9786, 0.9039, 0.6048, 0.6450),
    "sparse-fixed": _row(143.4, 0.9597, 0.7960, 0.6069, 0.6846),
    "sign-alsh": _row(268.9, 0.9716, 0.8237, 0.5863, 0.6393),
    "xbox": _row(235.5, 0.9639, 0.7994, 0.5860, 0.6262),
    "xbox-qnf": _row(240.2, 0.9667, 0.7958, 0.5819, 0.6241),
    "simple-lsh": _row(236.2, 0.9628, 0.7370, 0.5771, 0.6189),
    "simple-alsh": _row(235.7, 0.9678, 0.7999, 0.5783, 0.6214),
    "synthesizer-dense": _row(111.0, 0.9660, 0.9027, 0.6180, 0.6287),
    "synthesizer-dense-multihead": _row(130.5, 0.9509, 0.9135, 0.6073, 0.6471),
    "synthesizer-random": _row(116.8, 0.9803, 0.8868, 0.5820, 0.6237),
    "patterned@logits": _row(116.8, 0.9842, 0.9855, 0.6157, 0.6492),
}


def paper_row(row: str) -> PaperRow | None:
    """Return the paper's results for a row of ours; None where it has none.

    >>> paper_row("patterned@logits").accuracy["speaker-frame"], paper_row("patterned")
    (0.9855, None)
    """
    return PAPER.get(row)
