"""No recording stands on both sides, every speaker is in every split where that can be, and what cannot is counted."""

import random
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inattention.corpora.core.splits import Member, check_fractions, split_at_random, split_within_speakers
from inattention.corpora.errors import CorpusError


@st.composite
def corpora(draw: st.DrawFn) -> list[Member]:
    """Speakers with some recordings of some utterances each."""
    members = []
    counts = draw(st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=6), max_size=5))
    for speaker, recordings in enumerate(counts):
        for recording, count in enumerate(recordings):
            name = f"{speaker}-{recording}"
            members += [Member(f"{name}-{i}", f"s{speaker}", name, 1.0 + i) for i in range(count)]
    return members


@settings(max_examples=150, deadline=None)
@given(corpora(), st.integers(0, 3), st.sampled_from([(0.1, 0.1), (0.3, 0.2), (0.1, 0.0)]))
def test_every_recording_is_on_one_side_or_its_speaker_is_counted(members: list, seed: int, held_out: tuple) -> None:
    dev, test = held_out
    splits = split_within_speakers(members, dev=dev, test=test, seed=seed)
    shuffled = random.Random(seed).sample(members, len(members))
    assert split_within_speakers(shuffled, dev=dev, test=test, seed=seed).of == splits.of
    assert set(splits.of) == {member.id for member in members}
    wanted = {"train", "dev", "test"} if test else {"train", "dev"}
    sides: dict[tuple[str, str], set[str]] = defaultdict(set)
    of_speaker: dict[str, set[str]] = defaultdict(set)
    recordings: dict[str, set[str]] = defaultdict(set)
    for member in members:
        sides[member.speaker, member.recording].add(splits.of[member.id])
        of_speaker[member.speaker].add(splits.of[member.id])
        recordings[member.speaker].add(member.recording)
    for (speaker, _), found in sides.items():
        if speaker in splits.one_recording:
            assert len(recordings[speaker]) == 1
        elif speaker in splits.two_recordings:
            assert len(recordings[speaker]) == 2
            assert found in ({"train"}, {"dev"}, {"test"}, {"dev", "test"})
        else:
            assert len(found) == 1
    for speaker, found in of_speaker.items():
        assert found == ({"train"} if speaker in splits.too_few else wanted)


def test_shares_are_near_the_fractions() -> None:
    members = [Member(f"{s}-{r}", f"s{s}", f"{s}-{r}", 10.0) for s in range(10) for r in range(30)]
    splits = split_within_speakers(members, dev=0.1, test=0.2, seed=0)
    counts = {split: list(splits.of.values()).count(split) for split in ("train", "dev", "test")}
    assert counts == {"train": 210, "dev": 30, "test": 60}
    assert not splits.notes()
    other = split_within_speakers(members, dev=0.1, test=0.2, seed=1)
    assert other.of != splits.of


def test_a_random_split_looks_at_no_recording() -> None:
    members = [Member(f"a-{i}", "a", "one", 1.0) for i in range(100)]
    splits = split_at_random(members, dev=0.1, test=0.1, seed=0)
    assert sorted(splits.of.values()).count("train") == 80


@pytest.mark.parametrize("held_out", [(0.0, 0.1), (0.1, 0.0), (0.5, 0.5), (-0.1, 0.1)])
def test_fractions_must_leave_something(held_out: tuple[float, float]) -> None:
    with pytest.raises(CorpusError, match="must be above 0 and sum to at most"):
        check_fractions(*held_out)
