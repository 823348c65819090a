"""Cuts of recordings, with one supervision each, and their phones."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from inattention.corpora.errors import CorpusError

if TYPE_CHECKING:
    from lhotse.cut import Cut

Phone = tuple[str, float, float]
"""A symbol, its start and its end, in seconds from the beginning of its audio."""


def make_cut(
    name: str,
    source: str,
    *,
    rate: int,
    samples: int,
    channels: int = 1,
    piece: tuple[int, int] | None = None,
    speaker: str | None,
    text: str | None = None,
    language: str | None = None,
    phones: Iterable[Phone] | None = None,
) -> "Cut":
    """Return a cut of a file, or a piece of it, with one supervision; several channels are averaged when it is read.

    Args:
        name: The cut's id.
        source: The file's path, relative to the corpus's root.
        rate: Hz of the file.
        samples: Of the whole file, in each channel.
        channels: Of the file.
        piece: First sample and end of the piece; the whole file by default.
        speaker: Who speaks; None if unknown.
        text: The spoken words.
        language: Their language.
        phones: In seconds from the beginning of the piece.
    """
    from lhotse import AudioSource, MonoCut, MultiCut, Recording, SupervisionSegment
    from lhotse.supervision import AlignmentItem

    first, end = piece or (0, samples)
    duration = round((end - first) / rate, 8)
    channel: Any = 0 if channels == 1 else list(range(channels))
    supervision = SupervisionSegment(
        id=name,
        recording_id=name,
        start=0.0,
        duration=duration,
        channel=channel,
        text=text,
        language=language,
        speaker=speaker,
        alignment={"phone": [AlignmentItem(symbol, round(a, 8), round(b - a, 8)) for symbol, a, b in phones]}
        if phones
        else None,
    )
    recording = Recording(
        id=name,
        sources=[AudioSource(type="file", channels=list(range(channels)), source=source)],
        sampling_rate=rate,
        num_samples=samples,
        duration=round(samples / rate, 8),
    )
    kind: Any = MonoCut if channels == 1 else MultiCut
    return kind(name, round(first / rate, 8), duration, channel, supervisions=[supervision], recording=recording)


def shortened(cut: Any, samples: int, rate: int) -> Any:
    """Return what a truncated file holds of a cut, without the text if that is not all of it.

    Args:
        cut: A lhotse cut of one recording.
        samples: Length of the file.
        rate: Hz of the file.

    Raises:
        CorpusError: The file ends before the cut.
    """
    end = samples / rate
    if end <= cut.start:
        raise CorpusError(f"it begins at {cut.start:.3f} s, its truncated file ends at {end:.3f} s")
    recording = replace(cut.recording, num_samples=samples, duration=end)
    supervisions = [one if cut.end <= end else replace(one, text=None) for one in cut.supervisions]
    return replace(
        cut, duration=round(min(cut.end, end) - cut.start, 8), recording=recording, supervisions=supervisions
    )


def fit_phones(phones: Sequence[Phone], seconds: float, tolerance: float) -> list[Phone]:
    """Return phones in order, checked against the duration of their audio; an overhang within the tolerance is cut off.

    Raises:
        CorpusError: There are none, they overlap, or they do not end with the audio.

    >>> fit_phones([("sil", 0.0, 0.5), ("ah", 0.5, 1.02)], 1.0, 0.1)
    [('sil', 0.0, 0.5), ('ah', 0.5, 1.0)]
    """
    phones = sorted((phone for phone in phones if phone[2] > phone[1]), key=lambda phone: phone[1])
    if not phones:
        raise CorpusError("there are no phones")
    for before, after in pairwise(phones):
        if after[1] < before[2] - 1e-6:
            raise CorpusError(f"phones overlap: {before[0]!r} ends at {before[2]:g} s, {after[0]!r} starts earlier")
    if abs(phones[-1][2] - seconds) > tolerance:
        raise CorpusError(f"phones end at {phones[-1][2]:.3f} s, the audio at {seconds:.3f} s")
    return [(symbol, start, min(end, seconds)) for symbol, start, end in phones if start < seconds]


def phones_within(phones: Sequence[Phone], start: float, end: float) -> list[Phone]:
    """Return the phones of a piece, in seconds from its beginning.

    >>> phones_within([("ah", 0.0, 1.0), ("s", 1.0, 2.0)], 0.5, 1.5)
    [('ah', 0.0, 0.5), ('s', 0.5, 1.0)]
    """
    return [(s, max(a, start) - start, min(b, end) - start) for s, a, b in phones if b > start and a < end]
