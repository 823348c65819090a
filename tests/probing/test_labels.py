"""Labels of probes: matched with features by time, and skipped where they do not fit."""

import numpy as np
import pytest
import torch
from lhotse import MonoCut, SupervisionSegment
from lhotse.supervision import AlignmentItem

from inattention.audio.config import FeatureConfig
from inattention.audio.log_mel import log_mel
from inattention.encoders.mel import MelSource
from inattention.probing.features import Skip, SplitFeatures
from inattention.probing.labels import frame_times, labels_at, phone_examples, speaker_examples

PAPER = MelSource()


def cut_of(items: list[AlignmentItem], name: str = "u", speaker: str = "ann") -> MonoCut:
    alignment = {"phone": items} if items else None
    supervision = SupervisionSegment(name, name, 0.0, 2.0, speaker=speaker, alignment=alignment)
    return MonoCut(name, 0.0, 2.0, 0, supervisions=[supervision])


def items_from_frames(labels: list[str], shift_seconds: float) -> list[AlignmentItem]:
    """Return an alignment whose k-th item lasts from k to k + 1 shifts."""
    return [AlignmentItem(label, k * shift_seconds, shift_seconds) for k, label in enumerate(labels)]


def split_of(**frames: int) -> SplitFeatures:
    offsets = np.cumsum([0, *frames.values()]).astype(np.int64)
    return SplitFeatures("train", tuple(frames), offsets, torch.zeros(int(offsets[-1]), 1, 4), ())


def test_the_label_is_that_of_the_item_that_covers_the_time() -> None:
    items = [AlignmentItem("c", 0.5, 0.1), AlignmentItem("a", 0.0, 0.1), AlignmentItem("b", 0.1, 0.2)]
    times = np.array([0.55, 0.0, 0.0999, 0.1, 0.2999, 0.3, 0.4, 0.6, -0.01])
    assert labels_at(times, items) == ["c", "a", "a", "b", "b", None, None, None, None]
    assert labels_at(times, []) == [None] * len(times)


def test_boundary_belongs_to_the_later_item_whatever_the_rounding() -> None:
    shift = 0.01
    items = [AlignmentItem(str(k), k * shift, shift) for k in range(1000)]
    wanted = [str(k) for k in range(1000)]
    for boundaries in (np.arange(1000) * shift, np.arange(1000) / 100, np.cumsum([0.0] + [shift] * 999)):
        assert labels_at(boundaries, items) == wanted


def test_overlapping_items_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'a' ends at 0.2000 s, 'b' starts at 0.1000 s"):
        labels_at(np.zeros(1), [AlignmentItem("a", 0.0, 0.2), AlignmentItem("b", 0.1, 0.2)])


def test_labels_every_10_ms_match_frames_every_37_5_ms_by_time_and_not_by_index() -> None:
    rng = np.random.default_rng(0)
    labels = [str(symbol) for symbol in rng.integers(9, size=200)]
    times = PAPER.first_center_seconds + np.arange(52) * PAPER.step_seconds
    by_time = labels_at(times, items_from_frames(labels, 0.01))
    # In tenths of a millisecond: frame s is centred at 125 + 375 s, label k lasts from 100 k to 100 (k + 1).
    assert by_time == [labels[(125 + 375 * s) // 100] for s in range(52)]
    assert sum(a == b for a, b in zip(by_time, labels, strict=False)) < 20


def test_frame_centres_are_the_middle_of_the_log_mel_frames_that_they_stack() -> None:
    config = FeatureConfig()
    frames = np.arange(30) * config.hop_seconds
    assert frame_times(PAPER, 10, repeated=True).flatten() == pytest.approx(frames)
    assert frame_times(PAPER, 10, repeated=False)[:, 0] == pytest.approx(frames.reshape(10, 3).mean(1))


def test_frame_centres_are_where_a_click_is_loudest() -> None:
    # A click at the centre of a log-mel frame has most of its energy in that frame.
    config = FeatureConfig()
    waveform = torch.zeros(16_000)
    waveform[round(0.5 * 16_000)] = 1.0
    loudest = int(log_mel(waveform, config).mean(1).argmax())
    times = frame_times(PAPER, 26, repeated=True).flatten()
    assert times[loudest] == pytest.approx(0.5)


def test_repeated_labels_use_the_phone_of_each_log_mel_frame() -> None:
    items = [AlignmentItem("a", 0.0, 0.02), AlignmentItem("b", 0.02, 0.13)]
    center = phone_examples(split_of(u=4), [cut_of(items)], ["a", "b"], PAPER, repeated=False)
    repeated = phone_examples(split_of(u=4), [cut_of(items)], ["a", "b"], PAPER, repeated=True)
    assert center.rows.tolist() == [0, 1, 2, 3]
    assert center.labels.tolist() == [0, 1, 1, 1]
    assert repeated.rows.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert repeated.labels.tolist() == [0, 0, 1] + [1] * 9


def test_frames_outside_the_alignment_are_dropped_and_counted() -> None:
    # Frames are centred at 12.5, 50, 87.5 and 125 ms.
    items = [AlignmentItem("a", 0.03, 0.05), AlignmentItem("b", 0.1, 0.02)]
    examples = phone_examples(split_of(u=4), [cut_of(items)], ["a", "b"], PAPER, repeated=False)
    assert examples.rows.tolist() == [1]
    assert examples.labels.tolist() == [0]
    assert examples.unlabelled == 3
    assert examples.skipped == ()


def test_rows_and_utterances_are_those_of_the_split_whatever_was_skipped() -> None:
    cuts = [cut_of([AlignmentItem("b", 0.0, 0.15)], "x"), cut_of([], "y"), cut_of([AlignmentItem("a", 0.0, 0.1)], "z")]
    examples = phone_examples(split_of(x=4, z=3), cuts, ["a", "b"], PAPER, repeated=False)
    assert examples.rows.tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert examples.labels.tolist() == [1, 1, 1, 1, 0, 0, 0]
    assert examples.utterances.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert examples.skipped == ()


@pytest.mark.parametrize(
    ("items", "reason"),
    [
        ([], "has no phone alignment"),
        ([AlignmentItem("a", 0.0, 0.1), AlignmentItem("zz", 0.1, 0.05)], "its phone 'zz' is not in the corpus's inv"),
        ([AlignmentItem("a", 0.0, 0.4)], "its phones end at 0.400 s, its features at 0.144 s"),
        ([AlignmentItem("a", 0.0, 0.1), AlignmentItem("b", 0.05, 0.1)], "its alignment overlaps"),
    ],
)
def test_unusable_alignment_skips_its_utterance_and_no_other(items: list[AlignmentItem], reason: str) -> None:
    cuts = [cut_of(items, "bad"), cut_of([AlignmentItem("a", 0.0, 0.15)], "good")]
    examples = phone_examples(split_of(bad=4, good=4), cuts, ["a", "b"], PAPER, repeated=False)
    assert examples.rows.tolist() == [4, 5, 6, 7]
    (skip,) = examples.skipped
    assert skip.utterance == "bad"
    assert skip.reason.startswith(reason)


def test_labels_read_with_a_wrong_frame_shift_are_refused() -> None:
    # Labels every 10 ms read as every 12.5 ms: the alignment seems a quarter longer than the features.
    frames = 80
    labels = round(frames * PAPER.step_seconds / 0.01)
    right, wrong = (items_from_frames(["a"] * labels, shift) for shift in (0.01, 0.0125))
    assert not phone_examples(split_of(u=frames), [cut_of(right)], ["a"], PAPER, repeated=False).skipped
    (skip,) = phone_examples(split_of(u=frames), [cut_of(wrong)], ["a"], PAPER, repeated=False).skipped
    assert "its phones end at 3.750 s, its features at 2.994 s" in skip.reason


def test_speaker_unknown_in_train_is_skipped_with_its_name() -> None:
    split = split_of(x=2, y=3, z=1)
    per_frame = speaker_examples(split, ["bob", "eve", None], ["ann", "bob"], per_frame=True)
    assert per_frame.rows.tolist() == [0, 1]
    assert per_frame.labels.tolist() == [1, 1]
    assert per_frame.skipped == (Skip("y", "its speaker 'eve' is not in train"), Skip("z", "has no speaker"))
    whole = speaker_examples(split, ["bob", "eve", "ann"], ["ann", "bob"], per_frame=False)
    assert whole.rows.tolist() == whole.utterances.tolist() == [0, 2]
    assert whole.labels.tolist() == [1, 0]
