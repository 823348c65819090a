"""Labels of probes: the speaker of an utterance, and the phone at a time.

Labels are matched with features by time, never by index: features every 12.5 ms and labels every 10 ms, paired by
index, would give wrong labels without any error.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from lhotse.supervision import AlignmentItem

from inattention.encoders.base import FeatureSource
from inattention.probing.features import Skip, SplitFeatures

if TYPE_CHECKING:
    from lhotse.cut import Cut

# Times that were summed or rounded differ by less than this.
SAME_TIME_SECONDS = 1e-6
# Alignment and features may end this far apart, and one frame more: stacking drops a remainder.
DURATION_TOLERANCE_SECONDS = 0.1


@dataclass(frozen=True)
class Examples:
    """Items of a split that a probe is trained or scored on.

    Attributes:
        rows: row of each item in the array of features; several items may share a row.
        labels: class of each item.
        utterances: index of each item's utterance in the split.
        skipped: utterances that the task cannot use, with reasons.
        unlabelled: number of items dropped because no label covers their time.
    """

    rows: Int[np.ndarray, " items"]
    labels: Int[np.ndarray, " items"]
    utterances: Int[np.ndarray, " items"]
    skipped: tuple[Skip, ...] = ()
    unlabelled: int = 0


def labels_at(times: Float[np.ndarray, " times"], items: Sequence[AlignmentItem]) -> list[str | None]:
    """Return the symbol of the item that covers each time; None where none does.

    An item covers its start but not its end, to a microsecond.

    Args:
        times: in seconds, in any order.
        items: alignment, in any order.

    Raises:
        ValueError: if items overlap.

    >>> labels_at(np.array([0.05, 0.1, 0.5]), [AlignmentItem("a", 0.0, 0.1), AlignmentItem("b", 0.1, 0.1)])
    ['a', 'b', None]
    """
    if not items:
        return [None] * len(times)
    items = sorted(items, key=lambda item: item.start)
    starts = np.array([item.start for item in items])
    ends = starts + [item.duration for item in items]
    overlap = np.flatnonzero(starts[1:] < ends[:-1] - SAME_TIME_SECONDS)
    if len(overlap):
        first, second = items[overlap[0]], items[overlap[0] + 1]
        raise ValueError(
            f"its alignment overlaps: {first.symbol!r} ends at {first.end:.4f} s, "
            f"{second.symbol!r} starts at {second.start:.4f} s"
        )
    covering = np.searchsorted(starts, times + SAME_TIME_SECONDS, side="right") - 1
    is_covered = (covering >= 0) & (times < ends[covering] - SAME_TIME_SECONDS)
    return [items[i].symbol if found else None for i, found in zip(covering, is_covered, strict=True)]


def frame_times(source: FeatureSource, frames: int, *, repeated: bool) -> Float[np.ndarray, "frames labels"]:
    """Return the times in seconds at which frames are labelled.

    Args:
        source: defines the times of its frames.
        frames: number of frames.
        repeated: use the centre of each log-mel frame that is stacked in a frame, instead of the frame's own centre.
    """
    centers = source.first_center_seconds + np.arange(frames) * source.step_seconds
    if not repeated:
        return centers[:, None]
    stacked = source.frames_per_step
    return centers[:, None] + (np.arange(stacked) - (stacked - 1) / 2) * (source.step_seconds / stacked)


def speakers_of(features: SplitFeatures, cuts: Iterable["Cut"]) -> list[str | None]:
    """Return the speaker of each utterance; None where it is unknown."""
    speaker = {cut.id: cut.supervisions[0].speaker for cut in cuts if cut.supervisions}
    return [speaker.get(name) for name in features.ids]


def speaker_examples(
    features: SplitFeatures, speakers: Sequence[str | None], classes: Sequence[str], *, per_frame: bool
) -> Examples:
    """Label each utterance, or each of its frames, with its speaker; classes are the speakers of the train split."""
    number = {speaker: i for i, speaker in enumerate(classes)}
    skipped = []
    for name, speaker in zip(features.ids, speakers, strict=True):
        if speaker not in number:
            reason = "has no speaker" if speaker is None else f"its speaker {speaker!r} is not in train"
            skipped.append(Skip(name, reason))
    label = np.array([number.get(speaker, -1) if speaker is not None else -1 for speaker in speakers], dtype=np.int64)
    utterances = np.arange(len(features.ids), dtype=np.int64)
    if per_frame:
        utterances = np.repeat(utterances, np.diff(features.offsets))
    rows = np.arange(len(utterances), dtype=np.int64)
    known = label[utterances] >= 0
    return Examples(rows[known], label[utterances][known], utterances[known], tuple(skipped))


def phone_examples(
    features: SplitFeatures, cuts: Iterable["Cut"], phones: Sequence[str], source: FeatureSource, *, repeated: bool
) -> Examples:
    """Label frames with the phone at their times.

    Utterances without an alignment, with a phone that is not in the inventory, or with an alignment that is longer
    than the features are skipped, with the reason.
    """
    number = {phone: i for i, phone in enumerate(phones)}
    position = {name: u for u, name in enumerate(features.ids)}
    skipped, parts, unlabelled = [], [], 0
    for cut in cuts:
        u = position.pop(cut.id, None)
        if u is None:
            continue
        start, end = features.offsets[u], features.offsets[u + 1]
        times = frame_times(source, int(end - start), repeated=repeated)
        try:
            label = _phone_numbers(cut, times, number, source.step_seconds)
        except ValueError as error:
            skipped.append(Skip(cut.id, str(error)))
            continue
        rows = np.repeat(np.arange(start, end), times.shape[1])
        known = label >= 0
        unlabelled += int((~known).sum())
        parts.append((rows[known], label[known], np.full(int(known.sum()), u, dtype=np.int64)))
    if not parts:
        nothing = np.empty(0, dtype=np.int64)
        return Examples(nothing, nothing, nothing, tuple(skipped), unlabelled)
    rows, labels, utterances = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Examples(rows, labels, utterances, tuple(skipped), unlabelled)


def _phone_numbers(
    cut: "Cut", times: Float[np.ndarray, "frames labels"], number: dict[str, int], step_seconds: float
) -> Int[np.ndarray, " items"]:
    """Return the class at each time, -1 where no phone covers it.

    Raises:
        ValueError: if the alignment cannot be used; the message says why.
    """
    items = [item for s in cut.supervisions for item in (s.alignment or {}).get("phone", ())]
    if not items:
        raise ValueError("has no phone alignment")
    unknown = sorted({item.symbol for item in items} - set(number))
    if unknown:
        raise ValueError(f"its phone {unknown[0]!r} is not in the corpus's inventory")
    aligned = max(item.start + item.duration for item in items)
    end = times.mean(1)[-1] + step_seconds / 2
    # Labels may end early: that time has none.
    if aligned - end > DURATION_TOLERANCE_SECONDS + step_seconds:
        raise ValueError(f"its phones end at {aligned:.3f} s, its features at {end:.3f} s")
    symbols = labels_at(times.flatten(), items)
    return np.array([-1 if symbol is None else number[symbol] for symbol in symbols], dtype=np.int64)
